"""When burn-rate conditions fire, and what becomes of an incident: each tick is worked out anew by counting rows.

::

    condition      ___####____##_______________#___________
    incident       ___[=========== 2 min ==]___[== 2 min ==
                      opened             resolved
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from evaluators.agreements import BurnRateCondition, Minimum, RollingPeriod
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import Advance, SeriesSpec, ShardEngine
from tests.evaluators.engine.promises import SLOT, START, UNGATED, counts, engine_of, promise
from tests.examples import examples

TICKS = 36
CALM = 2 * MINUTE
SOME_DAYS = RollingPeriod(3 * DAY)
LONG_AGO = (1, START // SLOT - 2 * 8640, 10_000_000, 10_000_000, 0, 0)
"""So much good traffic that nothing breaks the promise itself."""
MINIMUMS = st.sampled_from([UNGATED, Minimum(), Minimum(20, 2), Minimum(10_000, 3), Minimum(0, 5)])
Row = tuple[int, int, int, int, int, int]


@st.composite
def burns(draw: st.DrawFn, severity: str | None = None) -> BurnRateCondition:
    """Windows of a few slots, so that they fill and empty within the ticks."""
    short = draw(st.integers(1, 4))
    return BurnRateCondition(
        draw(st.integers(short, 12)) * SLOT,
        short * SLOT,
        draw(st.sampled_from([1.0, 1.5, 2.0, 5.0, 9.0])),
        draw(st.sampled_from(["page", "ticket"])) if severity is None else severity,  # type: ignore[arg-type]
        draw(st.sampled_from(["contractual", "experienced"])),
    )


@st.composite
def traffic(draw: st.DrawFn, ticks: int = TICKS) -> list[Row]:
    """Stretches of slots that are alike, then a new mood; some of what failed is excluded."""
    rows: list[Row] = []
    slot = START // SLOT
    while slot < START // SLOT + ticks:
        total = draw(st.sampled_from([0, 1, 4, 10, 10, 40, 100]))
        share = draw(st.sampled_from([0, 0, 0, 10, 20, 45, 50, 100]))
        left_out = draw(st.sampled_from([0, 0, 0, 50, 100]))
        for _ in range(draw(st.integers(1, 14))):
            failed = total * share // 100
            failed_out = failed * left_out // 100
            if total:
                rows.append((1, slot, total - failed, total, 0, failed_out))
            slot += 1
    return [row for row in rows if row[1] < START // SLOT + ticks]


@dataclass(frozen=True)
class Naive:
    """Every question is answered by looking at all rows."""

    spec: SeriesSpec
    rows: list[Row]

    def count(self, tick_us: int, length_us: int, view: str) -> tuple[int, int]:
        """Failures and total of the slots in [tick - length, tick)."""
        failures = total = 0
        for _, slot, good, every, good_out, out in self.rows:
            if tick_us - length_us <= slot * SLOT < tick_us:
                failures += every - good - (out - good_out if view == "contractual" else 0)
                total += every - (out if view == "contractual" else 0)
        return failures, total

    def fires(self, condition: BurnRateCondition, tick_us: int) -> bool:
        return self.burns(condition, tick_us) and self.enough(condition, tick_us)

    def burns(self, condition: BurnRateCondition, tick_us: int) -> bool:
        """In the long and in the short window at the factor, or faster."""
        for length_us in (condition.long_us, condition.short_us):
            failures, total = self.count(tick_us, length_us, condition.view)
            if not failures or Fraction(failures, total) < self.rate(condition):
                return False
        return True

    def rate(self, condition: BurnRateCondition) -> Fraction:
        return Fraction(str(condition.factor)) * (1 - Fraction(str(self.spec.identity.target)))

    def enough(self, condition: BurnRateCondition, tick_us: int) -> bool:
        """In the long window: failures, and either events or a Wilson lower bound over the rate."""
        failures, total = self.count(tick_us, condition.long_us, condition.view)
        minimum = self.spec.policy.minimum
        if failures < minimum.failures:
            return False
        return total >= minimum.events or wilson(failures, total) > self.rate(condition)

    def firing(self, tick_us: int) -> str | None:
        """The gravest severity of what fires."""
        found = {each.severity for each in self.spec.policy.conditions if self.fires(each, tick_us)}  # type: ignore[arg-type, union-attr]
        return "page" if "page" in found else "ticket" if found else None


def wilson(failures: int, total: int) -> float:
    """The smaller root p of (ratio - p)^2 = z^2 p (1 - p) / n, by halving: at 95 %."""
    ratio, square, low, high = failures / total, 1.959963984540054**2, 0.0, failures / total
    for _ in range(80):
        middle = (low + high) / 2
        if (ratio - middle) ** 2 > square * middle * (1 - middle) / total:
            low = middle
        else:
            high = middle
    return low


def ticks(number: int = TICKS) -> list[int]:
    return [START + place * SLOT for place in range(1, number + 1)]


def told(spec: SeriesSpec, rows: list[Row], until_us: int) -> Advance:
    engine = engine_of(spec)
    engine.fold(counts([LONG_AGO, *rows]))
    return engine.advance(until_us, lateness_us=0)


def seen_at(engine: ShardEngine, tick_us: int) -> tuple[str | None, bool]:
    """What fires at a tick, and whether an alert is held back."""
    engine.advance(tick_us, lateness_us=0)
    [block] = engine.table(blind=None).blocks
    firing = {-1: None, 0: "ticket", 1: "page"}[int(block.columns["firing"][0])]
    return firing, bool(block.columns["held_back"][0])


# ---------------------------------------------------------------------------------------------------------- conditions


@examples(30)
@given(st.lists(burns(), min_size=1, max_size=2, unique=True), MINIMUMS, st.sampled_from([0.9, 0.95]), traffic())
def test_conditions_fire_at_the_ticks_of_a_recount_and_at_no_others(
    conditions: list[BurnRateCondition], minimum: Minimum, target: float, rows: list[Row]
) -> None:
    """Both windows at the factor and the gate passed; what the gate alone holds back is marked."""
    spec = promise(*conditions, period=SOME_DAYS, target=target, minimum=minimum, has_exclusions=True)
    naive = Naive(spec, rows)
    engine = engine_of(spec)
    engine.fold(counts([LONG_AGO, *rows]))

    for tick_us in ticks():
        firing, held_back = seen_at(engine, tick_us)

        assert firing == naive.firing(tick_us)
        assert held_back == any(naive.burns(each, tick_us) and not naive.enough(each, tick_us) for each in conditions)
        event(f"fires {firing}, held back {held_back}")


@examples(60)
@given(st.integers(1, 150), st.data(), st.sampled_from([2.0, 5.0, 9.0]), st.sampled_from([0.9, 0.95]))
def test_the_gate_wants_failures_and_either_events_or_certainty(
    total: int, data: st.DataObject, factor: float, target: float
) -> None:
    """By default at least 5 failures, and 100 events or a lower bound over the rate; one slot is enough to see."""
    failures = data.draw(st.integers(0, total))
    condition = BurnRateCondition(SLOT, SLOT, factor, "page")
    spec = promise(condition, period=SOME_DAYS, target=target, minimum=Minimum())
    rows: list[Row] = [(1, START // SLOT, total - failures, total, 0, 0)]
    rate = Fraction(str(factor)) * (1 - Fraction(str(target)))

    advance = told(spec, rows, START + SLOT)

    burning = failures > 0 and Fraction(failures, total) >= rate
    sure = failures >= 5 and (total >= 100 or wilson(failures, total) > rate)
    assert bool(advance.open_incidents) == (burning and sure)


@pytest.mark.parametrize(("failures", "total"), [(5, 10), (9, 99), (1, 1), (40, 50), (99, 99)])
def test_the_wilson_bound_of_the_recount_is_that_of_the_paper(failures: int, total: int) -> None:
    """Two ways to the same number: the equation's root by halving, and its formula."""
    z, p = 1.959963984540054, failures / total
    spread = z * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    assert wilson(failures, total) == pytest.approx((p + z * z / (2 * total) - spread) / (1 + z * z / total), rel=1e-9)


# ---------------------------------------------------------------------------------------------------------- incidents


def lives(naive: Naive, number: int) -> list[tuple[int, int | None, str]]:
    """Opened, resolved, gravest severity: firing ticks with at most 2 min of calm between them are one incident."""
    firing = [(tick_us, severity) for tick_us in ticks(number) if (severity := naive.firing(tick_us)) is not None]
    groups: list[list[tuple[int, str]]] = []
    for tick_us, severity in firing:
        # Calm begins at the tick after the last that fired.
        if groups and tick_us <= groups[-1][-1][0] + SLOT + CALM:
            groups[-1].append((tick_us, severity))
        else:
            groups.append([(tick_us, severity)])
    found: list[tuple[int, int | None, str]] = []
    for group in groups:
        end_us = group[-1][0] + SLOT + CALM
        over = end_us <= ticks(number)[-1]
        gravest = "page" if any(severity == "page" for _, severity in group) else "ticket"
        found.append((group[0][0], end_us if over else None, gravest))
    return found


LONG_RUN = 150


@examples(35)
@given(burns("page"), burns("ticket"), MINIMUMS, traffic(LONG_RUN))
def test_incidents_live_from_the_first_tick_that_fires_to_two_minutes_after_the_last(
    page: BurnRateCondition, ticket: BurnRateCondition, minimum: Minimum, rows: list[Row]
) -> None:
    """One at a time; a condition that comes back within two minutes goes on with it."""
    spec = promise(page, ticket, period=SOME_DAYS, target=0.9, minimum=minimum, has_exclusions=True)
    wanted = lives(Naive(spec, rows), LONG_RUN)

    advance = told(spec, rows, START + LONG_RUN * SLOT)

    last = {change.incident.id: change.incident for change in advance.incidents}
    assert [(each.detected_us, each.resolved_us, each.severity) for each in last.values()] == wanted
    assert [each.detected_us for each in advance.open_incidents] == [opened for opened, end, _ in wanted if end is None]
    for before, after in itertools.pairwise(last.values()):
        assert before.resolved_us is not None
        assert before.resolved_us <= after.detected_us
    event(f"{len(wanted)} incidents")


@examples(35)
@given(burns("page"), burns("ticket"), traffic(LONG_RUN))
def test_a_ticket_is_escalated_at_the_first_tick_at_which_a_page_fires(
    page: BurnRateCondition, ticket: BurnRateCondition, rows: list[Row]
) -> None:
    """What is told of each incident: opened, escalated when it grows graver, resolved; never lesser again."""
    spec = promise(page, ticket, period=SOME_DAYS, target=0.9, has_exclusions=True)
    naive = Naive(spec, rows)

    advance = told(spec, rows, START + LONG_RUN * SLOT)

    for opened_us, end_us, gravest in lives(naive, LONG_RUN):
        steps = [change for change in advance.incidents if change.incident.detected_us == opened_us]
        assert [change.kind for change in steps].count("opened") == 1
        assert steps[0].kind == "opened"
        assert (steps[-1].kind == "resolved") == (end_us is not None)
        raised = [change.at_us for change in steps if change.incident.severity == "page"]
        span = [tick_us for tick_us in ticks(LONG_RUN) if tick_us >= opened_us and (end_us is None or tick_us < end_us)]
        pages = [tick_us for tick_us in span if naive.firing(tick_us) == "page"]
        assert raised[:1] == pages[:1]
        assert (gravest == "page") == bool(pages)
        event(f"opened as {steps[0].incident.severity}, became {gravest}")


# ---------------------------------------------------------------------------------------------------------- broken promises


def broken(rows: list[Row], tick_us: int, length_us: int, budget: Fraction) -> bool:
    """The failures of the period have used up its budget; while it is young the budget is of the expected total."""
    inside = [row for row in rows if tick_us - length_us <= row[1] * SLOT < tick_us]
    failures, total = sum(row[3] - row[2] for row in inside), sum(row[3] for row in inside)
    born_us = min((row[1] * SLOT for row in rows if row[1] * SLOT < tick_us), default=tick_us)
    if not failures:
        return False
    if born_us <= tick_us - length_us:
        return failures >= budget * total
    return failures > 1 and failures >= budget * total * Fraction(length_us, tick_us - born_us)


@examples(35)
@given(
    st.integers(2, 40).map(lambda slots: slots * SLOT),
    st.lists(burns("ticket"), max_size=1),
    st.sampled_from([0.5, 0.8, 0.9]),
    traffic(LONG_RUN),
)
def test_a_broken_promise_pages_whatever_the_minimum_says(
    length_us: int, conditions: list[BurnRateCondition], target: float, rows: list[Row]
) -> None:
    """A minimum that nothing reaches holds back every condition, but never the breach; it stays open until that ends."""
    rows = [(series, slot, good, total, 0, 0) for series, slot, good, total, _, _ in rows]
    out_of_reach = Minimum(events=10**9, failures=10**9)
    spec = promise(*conditions, period=RollingPeriod(length_us), target=target, minimum=out_of_reach)
    budget = 1 - Fraction(str(target))
    breached = [tick_us for tick_us in ticks(LONG_RUN) if broken(rows, tick_us, length_us, budget)]

    engine = engine_of(spec)
    engine.fold(counts(rows))
    advance = engine.advance(START + LONG_RUN * SLOT, lateness_us=0)

    incidents = {change.incident.id: change.incident for change in advance.incidents}.values()
    firsts = [at for place, at in enumerate(breached) if not place or at > breached[place - 1] + SLOT + CALM]
    assert [each.detected_us for each in incidents] == firsts
    assert {each.severity for each in incidents} <= {"page"}
    assert {change.kind for change in advance.incidents} <= {"opened", "resolved"}
    spans = [(each.detected_us, each.resolved_us or START + HOUR) for each in incidents]
    assert all(any(first <= tick_us < end for first, end in spans) for tick_us in breached)
    event(f"{len(firsts)} breaches")


@examples(30)
@given(st.integers(1, 6), st.integers(2, 60), st.sampled_from([0.99, 0.999, 0.9999]))
def test_a_young_period_is_not_broken_by_its_first_failure(total: int, slots: int, target: float) -> None:
    """Even where less than one is expected to be allowed: a projection is no proof."""
    rows: list[Row] = [(1, START // SLOT, total - 1, total, 0, 0)]
    rows += [(1, START // SLOT + place, total, total, 0, 0) for place in range(1, slots)]
    spec = promise(period=RollingPeriod(HOUR), target=target)

    engine = engine_of(spec)
    engine.fold(counts(rows))
    advance = engine.advance(START + slots * SLOT, lateness_us=0)

    assert not advance.incidents
    assert "breached" not in {change.verdict for change in advance.verdicts}
