"""Event times (int microseconds since the epoch) as people and programs read them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def rfc3339(time_us: int) -> str:
    """UTC with `Z`; a fraction only where there is one."""
    return (EPOCH + timedelta(microseconds=time_us)).isoformat().removesuffix("+00:00") + "Z"
