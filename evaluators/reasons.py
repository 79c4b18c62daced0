"""The reason behind a verdict or an incident, in plain words."""

from __future__ import annotations

import math
from typing import Final

from evaluators import durations
from evaluators.durations import DAY, HOUR

NOTHING_COUNTED: Final = "nothing counted yet in this period"
HELD_BACK: Final = "an alert is held back: too few events to be sure"
RETIRED: Final = "retired: no longer part of any agreement"
RETIRED_GROUP: Final = "retired: no events of this group for a whole period"

_UNITS: Final = (
    (DAY + 2 * HOUR, "today"),
    (8 * DAY, "this week"),
    (32 * DAY, "this month"),
    (93 * DAY, "this quarter"),
)
_MANY: Final = 100


def met(spent: float, allowed: float) -> str:
    """`31.2% of the error budget spent`."""
    return f"{_percent(spent / allowed)} of the error budget spent" if allowed > 0 else "none of the error budget spent"


def burning(burn_long: float, burn_short: float, long: str, short: str, view: str, gone_in_us: int | None) -> str:
    """`burning 14.9x over 1h and 16.2x over 5m (contractual); budget gone in 14 h 30 min at this rate`."""
    text = f"burning {_times(burn_long)} over {long} and {_times(burn_short)} over {short} ({view})"
    return text if gone_in_us is None else f"{text}; {gone_in(gone_in_us)}"


def gone_in(us: int) -> str:
    """`budget gone in 14 h 30 min at this rate`."""
    return f"budget gone in {durations.in_words(us)} at this rate"


def exhausted(view: str, gone_in_us: int | None) -> str:
    """An exhaustion condition, or a forecast, is what puts the promise at risk."""
    return f"{'budget nearly gone' if gone_in_us is None else gone_in(gone_in_us)} ({view})"


def spent(failures: int, allowed: float, period: str) -> str:
    """`budget spent: 1,204 of 1,000 allowed failures this month`."""
    return f"budget spent: {failures:,} of {_count(allowed)} allowed failures {period}"


def left(remaining: float, below: float, view: str) -> str:
    """`4.2% of the error budget left, below 10% (contractual)`."""
    return f"{_percent(remaining)} of the error budget left, below {_percent(below)} ({view})"


def silent(for_us: int | None) -> str:
    """`no events for 12 min`; None: there never was one."""
    return "no events yet" if for_us is None else f"no events for {durations.in_words(for_us)}"


def blind(cause: str) -> str:
    """Beside the reason, while we cannot see."""
    return f"blind: {cause}"


def period_words(kind: str, start_us: int, end_us: int) -> str:
    """`this month`, `in the last 30 d`: a calendar period by its length, a rolling one as it was asked for."""
    length = end_us - start_us
    if kind == "rolling":
        # Its start is rounded down by up to a quarter of an hour: the length that was asked for is a whole unit below.
        unit = DAY if length >= DAY else HOUR if length >= HOUR else durations.MINUTE
        return f"in the last {durations.in_words(max(length // unit * unit, unit))}"
    return next((words for most, words in _UNITS if length < most), "this year")


def _times(burn: float) -> str:
    return "0x" if math.isnan(burn) else f"{burn:,.1f}x" if burn < _MANY else f"{burn:,.0f}x"


def _count(allowed: float) -> str:
    return f"{allowed:,.0f}" if allowed >= _MANY else f"{allowed:,.1f}".removesuffix(".0")


def _percent(share: float) -> str:
    return f"{share * 100:,.1f}".removesuffix(".0") + "%"
