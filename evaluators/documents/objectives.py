"""Reads the objectives of an agreement: indicator, target, period, and what stands around them."""

from __future__ import annotations

from typing import Final, get_args

from evaluators import calendars
from evaluators.agreements import CalendarPeriod, CalendarUnit, Objective, Period, RollingPeriod
from evaluators.documents import budgeting, indicators, shares
from evaluators.documents.fields import Field, Section
from evaluators.documents.tree import shown
from evaluators.durations import DAY, MINUTE
from evaluators.policies import DEFAULT_POLICY

LATER_KEYS: Final = ("exclusions", "serviceHours", "credits")
CALENDAR_UNITS: Final[tuple[CalendarUnit, ...]] = get_args(CalendarUnit)
SHORTEST_PERIOD: Final = MINUTE
LONGEST_PERIOD: Final = 366 * DAY
MOST_GROUPS: Final = 100_000

_UNIT_WORDS: Final = {"daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year"}


def read(field: Field, time_zone: str) -> Objective:
    section = field.section()
    name = section.need("name", "availability").name()
    display_name, service, runbook = section.get("displayName"), section.get("service"), section.get("runbook")
    period = _period(section.need("period", "{rolling: 30d}").section(), time_zone)
    period_us = calendars.nominal_length(period)
    indicator = indicators.read(section.need("indicator", indicators.EXAMPLE).section(), period_us)
    group_by, group_bound = _groups(section)
    alerts = section.get("alerts")
    objective = Objective(
        name=name,
        indicator=indicator,
        target=shares.target(section),
        period=period,
        service=None if service is None else service.text(),
        group_by=group_by,
        group_bound=group_bound,
        alerts=(DEFAULT_POLICY,) if alerts is None else alerts.names(f"[{DEFAULT_POLICY}]", least=0),
        runbook=None if runbook is None else runbook.url(),
        display_name=None if display_name is None else display_name.text(),
        budgeting=budgeting.read(section, indicator, period_us),
    )
    section.refuse(LATER_KEYS)
    section.close()
    return objective


def _groups(section: Section) -> tuple[tuple[str, ...], int]:
    group_by, bound = section.get("groupBy"), section.get("groupBound")
    labels: list[str] = []
    for item in () if group_by is None else group_by.items("[region]"):
        label = item.label("region")
        if item.sound and label in labels:
            item.error(f"{shown(label)} stands in this list twice")
        labels.append(label)
    return tuple(labels), 1000 if bound is None else bound.whole_number(1, MOST_GROUPS)


def _period(section: Section, time_zone: str) -> Period:
    """A long one where none can be read, so that nothing else is found too long for it."""
    kind = section.one_of(("rolling", "calendar"), (), "{rolling: 30d}")
    section.close()
    if kind is not None and kind.path.endswith(".calendar"):
        return CalendarPeriod(kind.choice(CALENDAR_UNITS, _UNIT_WORDS), time_zone)
    rolling_us = LONGEST_PERIOD if kind is None else kind.duration(SHORTEST_PERIOD, LONGEST_PERIOD)
    return RollingPeriod(rolling_us if kind is not None and kind.sound else LONGEST_PERIOD)
