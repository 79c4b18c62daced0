"""A policy made ready for arrays: which windows it needs, and one bit for each condition that can hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from evaluators import durations
from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    Condition,
    Minimum,
    Period,
    RollingPeriod,
    SilentCondition,
)
from evaluators.durations import HOUR
from evaluators.policies import MOST_CONDITIONS, ResolvedPolicy

FORECAST_WINDOW: Final = 6 * HOUR
KNOT_PART: Final = 30
"""The forecast of a rolling period knows exactly what rolls off within the next thirtieth of it."""

# The code of a (tick, series): verdict + 1 in two bits, silent, breached, a bit for each condition, retired.
VERDICT_BITS: Final = 3
SILENT_BIT: Final = 1 << 2
BREACH_BIT: Final = 1 << 3
CONDITION_SHIFT: Final = 4
RETIRED_BIT: Final = 1 << (CONDITION_SHIFT + MOST_CONDITIONS)

TICKET, PAGE, BREACH = 1, 2, 3
"""Ranks of what an incident is about; a breach is a page that says more."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`lengths` are the windows summed, ascending; `shown` the places of those with a name in `names`."""

    period: Period
    conditions: tuple[Condition, ...]
    minimum: Minimum
    lengths: tuple[int, ...]
    shown: tuple[int, ...]
    names: tuple[str, ...]
    described: tuple[Mapping[str, Any], ...]

    @classmethod
    def of(cls, period: Period, policy: ResolvedPolicy, windows: Sequence[str], slot_us: int) -> Plan:
        """`windows` are the names of those that are shown whatever the policy says."""
        conditions = policy.conditions[:MOST_CONDITIONS]  # documents with more are refused
        named = {_whole(durations.parse(name), slot_us) for name in windows}
        named |= {_whole(length, slot_us) for length in policy.windows}
        every = named | {FORECAST_WINDOW}
        if isinstance(period, RollingPeriod):
            length = period.length_us
            every |= {length, _whole(length - length // KNOT_PART, slot_us)}
        lengths = tuple(sorted(every))
        names = tuple(durations.format(length) for length in sorted(named))
        shown = tuple(lengths.index(length) for length in sorted(named))
        described = (*(describe(each) for each in conditions), {"breached": True})
        return cls(period, conditions, policy.minimum, lengths, shown, names, described)

    @property
    def forecast_window(self) -> int:
        return self.lengths.index(FORECAST_WINDOW)

    @property
    def breach(self) -> int:
        """The place of the breach among `described`."""
        return len(self.conditions)

    def place(self, length_us: int, slot_us: int) -> int:
        """Where a condition's window stands among `lengths`."""
        return self.lengths.index(_whole(length_us, slot_us))

    def rank(self, code: int) -> int:
        """The gravest of what holds; 0: nothing."""
        if code & BREACH_BIT:
            return BREACH
        return self.acute_rank(code)

    def acute_rank(self, code: int) -> int:
        """The gravest condition that holds, the breach left aside."""
        bits = code >> CONDITION_SHIFT
        severities = {each.severity for place, each in enumerate(self.conditions) if bits >> place & 1}
        return PAGE if "page" in severities else TICKET if severities else 0

    def leading(self, code: int) -> int:
        """Which condition explains an alert: pages before tickets, then as written; the breach where no page holds."""
        bits = code >> CONDITION_SHIFT
        holding = [place for place in range(len(self.conditions)) if bits >> place & 1]
        for place in holding:
            if self.conditions[place].severity == "page":
                return place
        if code & BREACH_BIT:
            return self.breach
        return holding[0] if holding else -1


def describe(condition: Condition) -> Mapping[str, Any]:
    """A condition as a page carries it."""
    match condition:
        case BurnRateCondition():
            return {
                "long": durations.format(condition.long_us),
                "short": durations.format(condition.short_us),
                "factor": round(condition.factor, 6),
                "view": condition.view,
            }
        case SilentCondition():
            return {"silent": durations.format(condition.after_us)}
        case BudgetRemainingCondition():
            return {"budgetRemaining": condition.below, "view": condition.view}
        case _:
            return {"exhaustion": durations.format(condition.within_us), "view": condition.view}


def _whole(length_us: int, slot_us: int) -> int:
    """Windows are whole slots, at least one."""
    return max(length_us // slot_us, 1) * slot_us
