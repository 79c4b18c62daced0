"""The clock of the process, handed to whatever needs one."""

from __future__ import annotations

import time

_NANOSECONDS_A_MICROSECOND = 1000


def now_us() -> int:
    """Microseconds since the epoch."""
    return time.time_ns() // _NANOSECONDS_A_MICROSECOND
