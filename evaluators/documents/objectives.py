"""Reads the objectives of an agreement: indicator, target, period."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final, get_args

from evaluators.agreements import (
    CalendarPeriod,
    CalendarUnit,
    Comparison,
    Indicator,
    Objective,
    Period,
    RatioIndicator,
    RollingPeriod,
    ThresholdIndicator,
)
from evaluators.documents.fields import Field, Section
from evaluators.documents.tree import shown
from evaluators.durations import DAY, MINUTE
from evaluators.policies import DEFAULT_POLICY
from evaluators.selectors import METRIC_LABEL, Selector

INDICATORS: Final = ("ratio", "threshold")
LATER_INDICATORS: Final = ("quantile", "histogram", "uptime", "throughput", "freshness", "response")
BUDGETING: Final = "Occurrences"
LATER_BUDGETING: Final = frozenset({"Timeslices", "RatioTimeslices"})
LATER_KEYS: Final = ("timeSliceTarget", "timeSliceWindow", "exclusions", "serviceHours", "credits")
COMPARISONS: Final[tuple[Comparison, ...]] = get_args(Comparison)
CALENDAR_UNITS: Final[tuple[CalendarUnit, ...]] = get_args(CalendarUnit)
SHORTEST_PERIOD: Final = MINUTE
LONGEST_PERIOD: Final = 366 * DAY
MOST_GROUPS: Final = 100_000

NOTHING: Final = Selector("", None, ())
"""Stands where a selector was reported."""

_SYMBOLS: Final = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "≤": "lte", "≥": "gte", "le": "lte", "ge": "gte"}
_UNIT_WORDS: Final = {"daily": "day", "weekly": "week", "monthly": "month", "quarterly": "quarter", "yearly": "year"}
_NO_BUDGET: Final = "leaves no error budget: the first failure would break the promise"
_INDICATOR_EXAMPLE: Final = "{ratio: {bad: 'http_requests{status=~\"5..\"}', total: http_requests}}"
_PERCENT_SIGN: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,12})?) ?%", re.ASCII)
_LABEL_NAME: Final = re.compile(r"[A-Za-z_][\w.-]{0,127}", re.ASCII)


def read(field: Field, time_zone: str) -> Objective:
    section = field.section()
    name = section.need("name", "availability").name()
    display_name, service, runbook = section.get("displayName"), section.get("service"), section.get("runbook")
    indicator = _indicator(section.need("indicator", _INDICATOR_EXAMPLE).section())
    group_by, group_bound = _groups(section)
    alerts = section.get("alerts")
    objective = Objective(
        name=name,
        indicator=indicator,
        target=_target(section),
        period=_period(section.need("period", "{rolling: 30d}").section(), time_zone),
        service=None if service is None else service.text(),
        group_by=group_by,
        group_bound=group_bound,
        alerts=(DEFAULT_POLICY,) if alerts is None else alerts.names(f"[{DEFAULT_POLICY}]", least=0),
        runbook=None if runbook is None else runbook.url(),
        display_name=None if display_name is None else display_name.text(),
    )
    _budgeting(section)
    section.refuse(LATER_KEYS)
    section.close()
    return objective


def _indicator(section: Section) -> Indicator:
    kind = section.one_of(INDICATORS, LATER_INDICATORS, _INDICATOR_EXAMPLE)
    section.close()
    if kind is None:
        return RatioIndicator(NOTHING)
    inner = kind.section()
    indicator = _ratio(inner) if kind.path.endswith(".ratio") else _threshold(inner)
    inner.close()
    return indicator


def _ratio(inner: Section) -> RatioIndicator:
    total = inner.need("total", "http_requests").selector(metric=True)
    part = inner.one_of(("good", "bad"), (), "bad: 'http_requests{status=~\"5..\"}'")
    if part is None:
        return RatioIndicator(total)
    selector = part.selector(metric=True)
    if part.path.endswith(".good"):
        return RatioIndicator(total, good=selector)
    return RatioIndicator(total, bad=selector)


def _threshold(inner: Section) -> ThresholdIndicator:
    metric = inner.need("metric", "http_request_duration_seconds").selector(metric=True)
    op = inner.need("op", "lte").choice(COMPARISONS, _SYMBOLS)
    return ThresholdIndicator(metric, op, inner.need("value", "0.3").number())


def _groups(section: Section) -> tuple[tuple[str, ...], int]:
    group_by, bound = section.get("groupBy"), section.get("groupBound")
    labels: list[str] = []
    for item in () if group_by is None else group_by.items("[region]"):
        label = item.text()
        if label and (label == METRIC_LABEL or not _LABEL_NAME.fullmatch(label)):
            item.error(f"{shown(label)} is no label name", "such as region")
        elif label in labels:
            item.error(f"{shown(label)} stands in this list twice")
        labels.append(label)
    return tuple(labels), 1000 if bound is None else bound.whole_number(1, MOST_GROUPS)


def _target(section: Section) -> float:
    """The share from `target` or `targetPercent`; NaN where there is none."""
    share, percent = section.get("target"), section.get("targetPercent")
    if percent is None:
        return _share(section.need("target", "0.999") if share is None else share)
    if share is not None:
        percent.error("stands beside target, which says the same", "keep one of them")
    return _percent(percent)


def _share(field: Field) -> float:
    if signed := _PERCENT_SIGN.fullmatch(field.written()):
        field.error("must be a number between 0 and 1", f"did you mean targetPercent: {signed[1]}?")
        return math.nan
    value = field.number()
    if 1 < value < 100:
        mend = f"did you mean targetPercent: {field.written()}, or target: {_hundredth(field.written())}?"
        field.error("must be between 0 and 1", mend)
    elif value in (1, 100):
        field.error(_NO_BUDGET, "such as 0.9999")
    elif field.sound and not 0 < value < 1:
        field.error("must be between 0 and 1", "such as 0.999")
    return value


def _percent(field: Field) -> float:
    if signed := _PERCENT_SIGN.fullmatch(field.written()):
        field.error("must be a number", f"leave the sign out: targetPercent: {signed[1]}")
        return math.nan
    value = field.number()
    if 0 < value < 1:
        field.error("is below one percent", f"did you mean target: {field.written()}?")
    elif value == 100:
        field.error(_NO_BUDGET, "such as 99.99")
    elif field.sound and not 0 < value < 100:
        field.error("must be between 0 and 100", "such as 99.9")
    return _hundredth(field.written()) if field.sound else math.nan


def _hundredth(written: str) -> float:
    """By decimal places, since 99.9 / 100 is not 0.999 in binary."""
    return float(Decimal(written) / 100)


def _period(section: Section, time_zone: str) -> Period:
    kind = section.one_of(("rolling", "calendar"), (), "{rolling: 30d}")
    section.close()
    if kind is not None and kind.path.endswith(".calendar"):
        return CalendarPeriod(kind.choice(CALENDAR_UNITS, _UNIT_WORDS), time_zone)
    return RollingPeriod(SHORTEST_PERIOD if kind is None else kind.duration(SHORTEST_PERIOD, LONGEST_PERIOD))


def _budgeting(section: Section) -> None:
    method = section.get("budgetingMethod")
    if method is None:
        return
    written = method.text()
    if written in LATER_BUDGETING:
        method.error(f"{written} is not supported yet", f"leave it out, or write {BUDGETING}")
    else:
        method.choice((BUDGETING,))
