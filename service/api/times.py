"""Event times (int microseconds) and their RFC 3339 text on the wire."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from evaluators.moments import EPOCH, rfc3339

_MICROSECOND: Final = timedelta(microseconds=1)
_EPOCH_SECONDS: Final = re.compile(r"\d{1,11}(\.\d{1,6})?", re.ASCII)
_LONGEST: Final = 40
_DATE: Final = len("2026-11-23")


def rfc3339_or_none(time_us: int | None) -> str | None:
    """The same for a time that may not have come."""
    return None if time_us is None else rfc3339(time_us)


def moment(when: datetime) -> str:
    """A time by the database's clock, to the millisecond."""
    return when.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def of_datetime(moment: datetime) -> int:
    """Microseconds of an aware datetime."""
    return (moment - EPOCH) // _MICROSECOND


def parse(text: str) -> int:
    """RFC 3339 with an offset, a UTC date, or seconds since the epoch. Raises ValueError with what was expected."""
    written = text.strip()
    if _EPOCH_SECONDS.fullmatch(written):
        return round(float(written) * 1_000_000)
    try:
        moment = datetime.fromisoformat(written[:_LONGEST])
        if len(written) == _DATE and moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return of_datetime(moment)
    except (ValueError, TypeError, OverflowError):  # TypeError: no offset was given
        raise ValueError("expected an RFC 3339 time such as 2026-11-23T15:50:00Z, or seconds since the epoch") from None
