"""Which alert conditions an objective has, after names, shares and the built-in policy are resolved.

The built-in policy `burn-rate` is the table of multiwindow, multi-burn-rate alerts in Google's SRE Workbook, chapter
"Alerting on SLOs" (https://sre.google/workbook/alerting-on-slos/, table 5-8), which is made for 30 days; its windows scale
with the period. The factor that spends `share` of the budget within the long window is share * period / long.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from evaluators.agreements import (
    AlertPolicy,
    BudgetShareCondition,
    BurnRateCondition,
    Condition,
    Minimum,
    Objective,
    Severity,
    SilentCondition,
)
from evaluators.durations import MINUTE

DEFAULT_POLICY: Final = "burn-rate"

MOST_CONDITIONS: Final = 56
"""Of one objective, over all its policies: one int64 holds verdict, data state and a bit for each condition."""

_TABLE: Final[tuple[tuple[float, int, Severity], ...]] = (
    # factor, period / long window: at 30 d that is 1 h, 6 h, 1 d and 3 d, for 2, 5, 10 and 10 % of the budget
    (14.4, 720, "page"),
    (6.0, 120, "page"),
    (3.0, 30, "ticket"),
    (1.0, 10, "ticket"),
)
_SHORT_PART: Final = 12
"""The short window is a twelfth of the long one: an alert ends soon after its cause."""
_SHORTEST_LONG: Final = 12 * MINUTE
"""So that the short window is at least a minute: below that, a few late samples would decide."""
_SILENT_AFTER: Final = 10 * MINUTE

_ROUNDING: Final = 1e-9
"""1 - target is not exact in binary: 1 / (1 - 0.9) comes out above 10."""


class UnknownPolicy(LookupError):
    """An objective names an alert policy that does not exist."""


@dataclass(frozen=True, slots=True)
class ResolvedPolicy:
    """What the engine evaluates for one objective; windows in microseconds, whole slots."""

    conditions: tuple[Condition, ...]
    minimum: Minimum

    @property
    def windows(self) -> tuple[int, ...]:
        """The lengths that burn-rate conditions look at, ascending."""
        burning = [each for each in self.conditions if isinstance(each, BurnRateCondition)]
        return tuple(sorted({length for each in burning for length in (each.long_us, each.short_us)}))


def resolve(
    objective: Objective,
    policies: Mapping[str, AlertPolicy],
    period_us: int,
    *,
    slot_us: int,
    notify: Sequence[str],
) -> tuple[ResolvedPolicy, tuple[str, ...]]:
    """The conditions of all policies that the objective names, and the targets that hear of them.

    `period_us` is the period's nominal length (`calendars.nominal_length`); `notify` are the agreement's targets, which a
    policy without its own uses. Of several policies' minimums the least of each number counts, so that no policy holds
    back what another would have told. An objective without alerts still tells the agreement's targets of a breach.

    Raises:
        UnknownPolicy: for a name that is neither in `policies` nor built in.
    """
    named = [_named(name, objective.target, policies, period_us) for name in objective.alerts]
    conditions = (_resolved(each, period_us, slot_us) for policy in named for each in policy.conditions)
    heard = [target for policy in named for target in (notify if policy.notify is None else policy.notify)]
    minimums = [policy.minimum for policy in named] or [Minimum()]
    minimum = Minimum(min(each.events for each in minimums), min(each.failures for each in minimums))
    return (
        ResolvedPolicy(tuple(dict.fromkeys(conditions)), minimum),
        tuple(dict.fromkeys(heard if named else notify)),
    )


def default_policy(target: float, period_us: int) -> AlertPolicy:
    """The built-in policy for a target and a period.

    Rows that could never fire are left out: a share of errors cannot burn faster than 1 / (1 - target), so a target of
    0.9 (at most 10x) has no 14.4x row, and one of 0.8 (at most 5x) is paged only when it is breached.
    """
    return AlertPolicy(name=DEFAULT_POLICY, conditions=tuple(_default_conditions(target, period_us)))


def fault(condition: Condition | BudgetShareCondition, target: float, period_us: int) -> str | None:
    """Why a burn-rate condition makes no sense for this target and period, in words; None if it does."""
    if not isinstance(condition, BurnRateCondition | BudgetShareCondition):
        return None
    factor = _factor(condition, period_us)
    if factor < 1 - _ROUNDING:
        return f"a factor of {factor:.4g} is below 1: it would fire while the budget lasts beyond the period"
    if not _can_fire(factor, target):
        fastest = f"with a target of {target:.10g} nothing burns faster than {1 / (1 - target):.4g}"
        return f"a factor of {factor:.4g} can never fire: {fastest}"
    return None


def _named(name: str, target: float, policies: Mapping[str, AlertPolicy], period_us: int) -> AlertPolicy:
    if name == DEFAULT_POLICY:
        return default_policy(target, period_us)
    if name not in policies:
        raise UnknownPolicy(f"no alert policy is called {name!r}")
    return policies[name]


def _default_conditions(target: float, period_us: int) -> Iterator[Condition]:
    for factor, part, severity in _TABLE:
        if _can_fire(factor, target):
            long_us = max(period_us // part, _SHORTEST_LONG)
            yield BurnRateCondition(long_us, long_us // _SHORT_PART, factor, severity)
    yield SilentCondition(_SILENT_AFTER, "ticket")


def _resolved(condition: Condition | BudgetShareCondition, period_us: int, slot_us: int) -> Condition:
    """Factor from share, windows in whole slots."""
    if isinstance(condition, BudgetShareCondition):
        factor = _factor(condition, period_us)
        burn = BurnRateCondition(condition.long_us, condition.short_us, factor, condition.severity, condition.view)
        return _resolved(burn, period_us, slot_us)
    if isinstance(condition, BurnRateCondition):
        windows = {"long_us": _whole(condition.long_us, slot_us), "short_us": _whole(condition.short_us, slot_us)}
        return replace(condition, **windows)
    return condition


def _factor(condition: BurnRateCondition | BudgetShareCondition, period_us: int) -> float:
    if isinstance(condition, BurnRateCondition):
        return condition.factor
    return condition.share * period_us / condition.long_us


def _can_fire(factor: float, target: float) -> bool:
    return factor * (1 - target) < 1 - _ROUNDING


def _whole(us: int, slot_us: int) -> int:
    """The nearest whole number of slots, at least one."""
    return max((us + slot_us // 2) // slot_us, 1) * slot_us
