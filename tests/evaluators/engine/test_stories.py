"""What the engine tells of one series is what a slow recount tells, tick by tick."""

from __future__ import annotations

from hypothesis import given

from evaluators.durations import MINUTE
from evaluators.engine import SeriesSpec
from tests.evaluators.engine.histories import SLOT, Row, histories, promises, straight, turns
from tests.evaluators.engine.oracle import Oracle
from tests.evaluators.engine.promises import START, counts
from tests.examples import examples

UNTIL = START + 160 * MINUTE


@examples(60)
@given(promises(), histories())
def test_verdicts_and_incidents_are_those_of_a_slow_recount(spec: SeriesSpec, rows: list[Row]) -> None:
    """Any policy over any history: the same changes at the same ticks."""
    story = Oracle.of(spec, SLOT, START, counts(rows)).story(UNTIL)

    _, run = straight([spec], rows, UNTIL)

    assert [(at, verdict, data) for _, at, verdict, data in turns(run)] == story.verdicts
    assert [(each.kind, each.at_us, each.incident.severity) for each in run.changes] == story.changes
    assert [(each.severity, each.detected_us, each.resolved_us) for each in run.incidents] == story.incidents
