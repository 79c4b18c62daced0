"""Reads shares of a whole: targets between 0 and 1, with a mend for those that were written as percent."""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Final

from evaluators.documents.fields import Field, Section

LEAST_QUANTILE: Final = 0.5
GREATEST_QUANTILE: Final = 0.9999
"""Beyond it a slice would need more than ten thousand samples to tell its quantile from its greatest value."""

_NO_BUDGET: Final = "leaves no error budget: the first failure would break the promise"
_PERCENT_SIGN: Final = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,12})?) ?%", re.ASCII)
_PERCENTILE: Final = re.compile(r"[pP]?(?P<percent>[0-9]{2})\.?(?P<more>[0-9]{0,12}) ?%?", re.ASCII)


def target(section: Section) -> float:
    """The share from `target` or `targetPercent`; NaN where there is none."""
    share, percent = section.get("target"), section.get("targetPercent")
    if percent is None:
        return _share(section.need("target", "0.999") if share is None else share)
    if share is not None:
        percent.error("stands beside target, which says the same", "keep one of them")
    return _percent(percent)


def slice_target(field: Field) -> float:
    """Above 0 and at most 1: a slice may be asked to be good as a whole."""
    signed = _PERCENT_SIGN.fullmatch(field.written())
    if signed:
        field.error("must be a number above 0 and at most 1", f"did you mean {_hundredth(signed[1])}?")
        return math.nan
    value = field.number()
    if 1 < value <= 100:
        field.error("must be above 0 and at most 1", f"did you mean {_hundredth(field.written())}?")
    elif field.sound and not 0 < value <= 1:
        field.error("must be above 0 and at most 1", "such as 0.99, or 1 where every failure spoils its slice")
    return value


def quantile(field: Field) -> float:
    """Which quantile, as a share: 0.99 is what `p99` names."""
    rule = f"must be from {LEAST_QUANTILE} to {GREATEST_QUANTILE}"
    named = _PERCENTILE.fullmatch(field.written())
    if named:
        field.error(f"{rule}, as a share", f"did you mean {_hundredth(named['percent'] + '.' + named['more'])}?")
        return math.nan
    value = field.number()
    if field.sound and not LEAST_QUANTILE <= value <= GREATEST_QUANTILE:
        field.error(rule, "0.99 is the value that 99 of 100 samples do not exceed")
    return value


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
