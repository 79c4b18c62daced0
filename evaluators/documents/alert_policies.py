"""Reads the spec of an AlertPolicy."""

from __future__ import annotations

from typing import Final, get_args

from evaluators.agreements import (
    AlertPolicy,
    BudgetRemainingCondition,
    BudgetShareCondition,
    BurnRateCondition,
    Condition,
    ExhaustionCondition,
    Minimum,
    Severity,
    SilentCondition,
    View,
)
from evaluators.documents.fields import Field, Section
from evaluators.durations import DAY, SECOND
from evaluators.policies import MOST_CONDITIONS

CONDITIONS: Final = ("burnRate", "silent", "budgetRemaining", "exhaustion")
LATER_CONDITIONS: Final = ("blind",)
VIEWLESS: Final = frozenset({"silent"})
SEVERITIES: Final[tuple[Severity, ...]] = get_args(Severity)
VIEWS: Final[tuple[View, ...]] = get_args(View)
SHORTEST: Final = SECOND
LONGEST: Final = 366 * DAY
_MOST_EVENTS: Final = 10**12
_FEWER: Final = "keep those that somebody acts on"
_EXAMPLE: Final = "[{burnRate: {long: 1h, short: 5m, factor: 14.4}, severity: page}]"


def read(name: str, spec: Section) -> AlertPolicy:
    field = spec.need("conditions", _EXAMPLE)
    conditions = [_condition(each) for each in field.items(_EXAMPLE)]
    if len(conditions) > MOST_CONDITIONS:
        field.error(f"holds {len(conditions)} conditions, of which {MOST_CONDITIONS} could be evaluated", _FEWER)
    minimum = spec.get("minimum")
    notify = spec.get("notify")
    policy = AlertPolicy(
        name=name,
        conditions=tuple(each for each in conditions if each is not None),
        minimum=Minimum() if minimum is None else _minimum(minimum.section()),
        notify=None if notify is None else notify.names("[oncall]"),
    )
    spec.close()
    return policy


def _minimum(section: Section) -> Minimum:
    events, failures, least = section.get("events"), section.get("failures"), Minimum()
    minimum = Minimum(
        events=least.events if events is None else events.whole_number(0, _MOST_EVENTS),
        failures=least.failures if failures is None else failures.whole_number(0, _MOST_EVENTS),
    )
    section.close()
    return minimum


def _condition(field: Field) -> Condition | BudgetShareCondition | None:
    section = field.section()
    severity = section.need("severity", "page").choice(SEVERITIES, {"critical": "page", "warning": "ticket"})
    view_field = section.get("view")
    view = VIEWS[0] if view_field is None else view_field.choice(VIEWS)
    kind = section.one_of(CONDITIONS, LATER_CONDITIONS, _EXAMPLE)
    section.close()
    if kind is None:
        return None
    word = kind.path.rpartition(".")[2]
    if view_field is not None and word in VIEWLESS:
        view_field.error(f"says nothing about {word}, which has no views", "leave it out")
    inner = kind.section()
    condition = _inner(word, inner, severity, view)
    inner.close()
    return condition


def _inner(word: str, inner: Section, severity: Severity, view: View) -> Condition | BudgetShareCondition:
    match word:
        case "burnRate":
            return _burn_rate(inner, severity, view)
        case "silent":
            return SilentCondition(inner.need("after", "10m").duration(SHORTEST, LONGEST), severity)
        case "budgetRemaining":
            below = inner.need("below", "0.1")
            share = below.number()
            if below.sound and not 0 < share < 1:
                below.error("must be between 0 and 1", "0.1 is a tenth of the budget")
            return BudgetRemainingCondition(share, severity, view)
        case _:
            return ExhaustionCondition(inner.need("within", "3d").duration(SHORTEST, LONGEST), severity, view)


def _burn_rate(inner: Section, severity: Severity, view: View) -> BurnRateCondition | BudgetShareCondition:
    long, short = inner.need("long", "1h"), inner.need("short", "5m")
    long_us, short_us = long.duration(SHORTEST, LONGEST), short.duration(SHORTEST, LONGEST)
    if long.sound and short.sound and long_us <= short_us:
        short.error("must be shorter than long", "a twelfth of it is usual")
    pace = inner.one_of(("factor", "budgetShare"), (), "factor: 14.4")
    if pace is None:
        return BurnRateCondition(long_us, short_us, 1.0, severity, view)
    value = pace.number()
    if pace.path.endswith(".budgetShare"):
        if pace.sound and not 0 < value <= 1:
            pace.error("must be above 0 and at most 1", "0.02 is 2 % of the budget within the long window")
        return BudgetShareCondition(long_us, short_us, value, severity, view)
    if pace.sound and value < 1:
        pace.error(
            "is below 1: it would fire while the budget lasts beyond the period", "14.4 and 6 are usual for pages"
        )
    return BurnRateCondition(long_us, short_us, value, severity, view)
