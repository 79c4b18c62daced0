"""What the design says of one series, worked out the slow way: every window counted anew from raw rows, tick by tick.

Exact fractions, plain loops, nothing carried from one tick to the next but the incident that is open. Only what is
left to the engine's own judgement (when a burn began, and the course of a forecast over a rolling period) is not here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from evaluators import calendars
from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    Condition,
    ExhaustionCondition,
    SilentCondition,
)
from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.engine import SeriesSpec
from evaluators.slots import SlotCounts

RESOLVE_AFTER = 2 * MINUTE
Z95 = 1.959963984540054


@dataclass(frozen=True)
class Facts:
    """What holds at a tick."""

    verdict: str | None
    data: str
    holding: tuple[Condition, ...]
    breached: bool
    held_back: bool


@dataclass
class Story:
    """What a run tells: verdict changes as (tick, verdict, data); incidents as [severity, detected, resolved]."""

    verdicts: list[tuple[int, str | None, str]] = field(default_factory=list)
    changes: list[tuple[str, int, str]] = field(default_factory=list)
    incidents: list[tuple[str, int, int | None]] = field(default_factory=list)


class Oracle:
    """One series. `rows` are raw: (slot, good, total, excluded good, excluded total), any order, repeats add up.

    `targets`: from which tick on which target was promised; the newest one is in force after it.
    """

    def __init__(
        self,
        spec: SeriesSpec,
        slot_us: int,
        begin_us: int,
        rows: Iterable[Sequence[int]],
        targets: Sequence[tuple[int, float]] = (),
    ) -> None:
        self.spec, self.slot_us, self.begin_us = spec, slot_us, begin_us
        self.rows = [(row[0] * slot_us, *row[1:]) for row in rows]
        self.targets = sorted(targets) or [(begin_us, spec.identity.target)]

    @classmethod
    def of(cls, spec: SeriesSpec, slot_us: int, begin_us: int, counts: SlotCounts) -> Oracle:
        """Of the rows of its own series."""
        rows = [row[1:] for row in counts.columns.T.tolist() if row[0] == spec.identity.series_id]
        return cls(spec, slot_us, begin_us, rows)

    # ------------------------------------------------------------------------------------------------------- counting

    def count(self, start_us: int, end_us: int, view: str = "contractual") -> tuple[int, int]:
        """Failures and total of the slots that start in [start, end)."""
        failures = total = 0
        for at_us, good, every, excluded_good, excluded in self.rows:
            if start_us <= at_us < end_us:
                failures += every - good
                total += every
                if view == "contractual":
                    failures -= excluded - excluded_good
                    total -= excluded
        return failures, total

    def window(self, tick_us: int, length_us: int, view: str = "contractual") -> tuple[int, int]:
        """Rounded down to a slot up to 6 h, to a minute up to 3 d, to 15 min beyond."""
        step = self.slot_us if length_us <= 6 * HOUR else MINUTE if length_us <= 3 * DAY else 15 * MINUTE
        return self.count((tick_us - length_us) // step * step, tick_us, view)

    def period(self, tick_us: int) -> tuple[int, int]:
        """Start and end of the period that the tick's last slot lies in."""
        period = self.spec.period
        if isinstance(period, CalendarPeriod):
            return calendars.bounds(period, tick_us - self.slot_us)
        return calendars.window_start(tick_us, period.length_us, self.slot_us), tick_us

    def last_us(self, tick_us: int) -> int | None:
        """End of the last slot with a sample."""
        seen = [at_us + self.slot_us for at_us, _, total, *_ in self.rows if total and at_us < tick_us]
        return max(seen, default=None)

    def born_us(self, tick_us: int) -> int | None:
        """Since when it is counted."""
        seen = [at_us for at_us, _, total, *_ in self.rows if total and at_us < tick_us]
        return max(min(seen), self.spec.counts_from_us) if seen else None

    # ------------------------------------------------------------------------------------------------------- budgets

    def budget_at(self, us: int) -> Fraction:
        """1 - target, of the version in force for the slot that starts there."""
        target = [target for from_us, target in self.targets if from_us <= us] or [self.targets[0][1]]
        return 1 - Fraction(str(target[-1]))

    def allowed(self, tick_us: int, view: str = "contractual") -> tuple[Fraction, bool]:
        """Budget in events, and whether it is projected: each version's share of what was seen, the newest's of what is expected."""
        start_us, _ = self.period(tick_us)
        edges = [start_us, *(from_us for from_us, _ in self.targets if start_us < from_us < tick_us), tick_us]
        seen = sum(
            (self.budget_at(first) * self.count(first, end, view)[1] for first, end in itertools.pairwise(edges)),
            Fraction(0),
        )
        _, total = self.count(start_us, tick_us, view)
        expected = self._expected(tick_us, view, total)
        if expected is None:
            return seen, False
        return seen + self.budget_at(tick_us - self.slot_us) * (expected - total), True

    def _expected(self, tick_us: int, view: str, total: int) -> Fraction | None:
        start_us, end_us = self.period(tick_us)
        born_us = self.born_us(tick_us)
        if born_us is None:
            return Fraction(0)
        elapsed = max(tick_us - max(start_us, born_us), 1)
        if not isinstance(self.spec.period, CalendarPeriod):
            return None if born_us <= start_us else Fraction(total * (tick_us - start_us), elapsed)
        if tick_us >= end_us:
            return None
        previous_us = calendars.bounds(self.spec.period, start_us - 1)[0]
        previous = self.count(previous_us, start_us, view)[1]
        if born_us <= previous_us and previous > 0:
            return Fraction(max(previous, total))
        return Fraction(total * (end_us - max(start_us, born_us)), elapsed)

    def burns(self, tick_us: int, length_us: int, view: str, factor: float) -> bool:
        """The error ratio is the factor times the budget, or more."""
        failures, total = self.window(tick_us, length_us, view)
        rate = Fraction(str(factor)) * self.budget_at(tick_us - self.slot_us)
        return failures > 0 and total > 0 and Fraction(failures, total) >= rate

    def enough(self, tick_us: int, length_us: int, view: str, factor: float) -> bool:
        """The low-traffic gate: failures, and events or Wilson's lower bound."""
        failures, total = self.window(tick_us, length_us, view)
        minimum = self.spec.policy.minimum
        if failures < minimum.failures:
            return False
        rate = float(Fraction(str(factor)) * self.budget_at(tick_us - self.slot_us))
        return total >= minimum.events or wilson(failures, total) > rate

    def gone_us(self, tick_us: int, view: str = "contractual") -> int | None:
        """When a calendar period's budget will be gone at the burn of 6 h; None: not within the period."""
        if not self._burns_away(tick_us, view):
            return None
        start_us, end_us = self.period(tick_us)
        failures, _ = self.window(tick_us, 6 * HOUR, view)
        born_us = self.born_us(tick_us)
        assert born_us is not None
        left = self.allowed(tick_us, view)[0] - self.count(start_us, tick_us, view)[0]
        gone_us = tick_us + math.floor(max(left, Fraction(0)) * max(min(tick_us - born_us, 6 * HOUR), 1) / failures)
        return gone_us if gone_us <= end_us else None

    def _burns_away(self, tick_us: int, view: str) -> bool:
        failures, total = self.window(tick_us, 6 * HOUR, view)
        if not total or Fraction(failures, total) <= self.budget_at(tick_us - self.slot_us):
            return False
        return self.enough(tick_us, 6 * HOUR, view, 1)

    # ------------------------------------------------------------------------------------------------------- verdicts

    def facts(self, tick_us: int) -> Facts:
        """Verdict, data state and what holds."""
        start_us, _ = self.period(tick_us)
        failures, total = self.count(start_us, tick_us)
        allowed, projected = self.allowed(tick_us)
        gone = total > 0 and failures > 0 and failures >= allowed
        breached = gone and (not projected or failures > 1)
        holding, held_back = self._holding(tick_us)
        ours = self._ours(tick_us)
        risk = any(not isinstance(each, SilentCondition) for each in holding) or gone or self._short(tick_us)
        verdict = "breached" if breached else "at_risk" if risk else "met"
        last_us = self.last_us(tick_us)
        silent = last_us is None or tick_us - last_us >= max(6 * self.slot_us, 5 * MINUTE)
        return Facts(
            verdict=verdict if ours and total > 0 else None,
            data="silent" if silent else "live",
            holding=tuple(holding) if ours else (),
            breached=breached and ours,
            held_back=held_back and ours,
        )

    def _ours(self, tick_us: int) -> bool:
        until_us = self.spec.counts_until_us
        return tick_us > self.spec.counts_from_us and (until_us is None or tick_us - self.slot_us < until_us)

    def _short(self, tick_us: int) -> bool:
        if isinstance(self.spec.period, CalendarPeriod):
            return self.gone_us(tick_us) is not None
        return self._burns_away(tick_us, "contractual")

    def _holding(self, tick_us: int) -> tuple[list[Condition], bool]:
        held_back = False
        holding: list[Condition] = []
        for each in self.spec.policy.conditions:
            if isinstance(each, BurnRateCondition):
                burning = all(
                    self.burns(tick_us, length, each.view, each.factor) for length in (each.long_us, each.short_us)
                )
                sure = burning and self.enough(tick_us, each.long_us, each.view, each.factor)
                held_back |= burning and not sure
                holds = sure
            elif isinstance(each, SilentCondition):
                watched_us = max(self.spec.counts_from_us, self.begin_us)
                last_us = self.last_us(tick_us)
                holds = tick_us - max(watched_us, watched_us if last_us is None else last_us) >= each.after_us
            elif isinstance(each, BudgetRemainingCondition):
                start_us, _ = self.period(tick_us)
                failures, total = self.count(start_us, tick_us, each.view)
                allowed, _ = self.allowed(tick_us, each.view)
                holds = total > 0 and allowed - failures < Fraction(str(each.below)) * allowed
            elif isinstance(each, ExhaustionCondition):
                gone_us = self.gone_us(tick_us, each.view)
                holds = gone_us is not None and gone_us - tick_us <= each.within_us
            else:
                holds = False
            if holds:
                holding.append(each)
        return holding, held_back

    # ------------------------------------------------------------------------------------------------------- the story

    def story(self, until_us: int) -> Story:
        """All that is told from the beginning up to a tick."""
        told = Story()
        known: tuple[str | None, str] = (None, "silent")
        alert = _Alert()
        for tick_us in range(self.begin_us + self.slot_us, until_us + 1, self.slot_us):
            facts = self.facts(tick_us)
            if (facts.verdict, facts.data) != known:
                known = (facts.verdict, facts.data)
                told.verdicts.append((tick_us, *known))
            alert.look(tick_us, facts, told)
        if alert.detected_us is not None:
            told.incidents.append((alert.severity, alert.detected_us, None))
        return told


@dataclass
class _Alert:
    """The incident of a series, if one is open: looked at once each tick."""

    detected_us: int | None = None
    severity: str = ""
    rank: int = 0
    free_us: int | None = None
    calm_us: int | None = None

    def look(self, tick_us: int, facts: Facts, told: Story) -> None:
        pages = any(each.severity == "page" for each in facts.holding)  # type: ignore[union-attr]
        rank = 3 if facts.breached else 2 if pages else 1 if facts.holding else 0
        if self.detected_us is None:
            if rank:
                self.detected_us, self.rank = tick_us, rank
                self.severity = "page" if rank > 1 else "ticket"
                self.calm_us = None if pages else tick_us
                self.free_us = None
                told.changes.append(("opened", tick_us, self.severity))
            return
        if not rank:
            self.calm_us = tick_us if self.calm_us is None else self.calm_us
            self.free_us = tick_us if self.free_us is None else self.free_us
            if tick_us - self.free_us >= RESOLVE_AFTER:
                told.changes.append(("resolved", tick_us, self.severity))
                told.incidents.append((self.severity, self.detected_us, tick_us))
                self.detected_us = None
            return
        self.free_us = None
        again = pages and self.calm_us is not None and tick_us - self.calm_us > RESOLVE_AFTER
        if rank > self.rank or again:
            self.rank = max(rank, self.rank)
            self.severity = "page" if self.rank > 1 else "ticket"
            told.changes.append(("escalated", tick_us, self.severity))
        self.calm_us = None if pages else tick_us if self.calm_us is None else self.calm_us


def wilson(failures: int, total: int) -> float:
    """Lower bound of the 95 % Wilson score interval."""
    p, z = failures / total, Z95
    middle, spread = p + z * z / (2 * total), z * math.sqrt((p * (1 - p) + z * z / (4 * total)) / total)
    return (middle - spread) / (1 + z * z / total)
