"""Whether an engine can carry on with other definitions, or must be loaded again."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evaluators.agreements import BurnRateCondition, Condition, RollingPeriod, SilentCondition
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import SeriesSpec
from service.evaluation.shard import Shape, packed_checkpoint, unpacked_checkpoint
from service.storage.specs import Specs
from tests.evaluators.engine.promises import promise

LONG = BurnRateCondition(3 * DAY, 6 * HOUR, 1, "ticket")
QUICK = BurnRateCondition(HOUR, 5 * MINUTE, 14.4, "page")
SILENT = SilentCondition(10 * MINUTE, "ticket")


def specs(*found: SeriesSpec) -> Specs:
    return Specs(1, found, None, {spec.identity.series_id: 0 for spec in found})


def of(*conditions: Condition) -> Specs:
    return specs(promise(*conditions))


@pytest.mark.parametrize(
    ("after", "carries_on"),
    [
        (of(LONG, QUICK), True),
        (of(QUICK), True),
        (of(replace(QUICK, factor=6.0, severity="ticket"), LONG, SILENT), True),
        (of(LONG, QUICK, replace(QUICK, long_us=2 * HOUR)), False),
        (of(LONG, replace(QUICK, short_us=10 * MINUTE)), False),
        (specs(promise(LONG, QUICK, period=RollingPeriod(2 * DAY))), False),
        (specs(promise(LONG, QUICK), promise(LONG, series=2)), True),
    ],
)
def test_an_engine_carries_on_where_it_has_summed_all_that_is_asked(after: Specs, carries_on: bool) -> None:
    """Windows that it has not summed would be filled by and by: until then burn rates would be too low."""
    assert Shape.of(of(LONG, QUICK)).holds(after) is carries_on


def test_a_checkpoint_keeps_what_it_is_good_for() -> None:
    """unpacked(packed(x)) = x."""
    shape = Shape.of(of(LONG, QUICK))
    assert unpacked_checkpoint(packed_checkpoint(shape, b"engine")) == (shape, b"engine")
