"""How fast ingest does what, and how it behaves while something is away. Durations are microseconds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import structlog

_log: Final = structlog.stdlib.get_logger(__name__)

SECOND_US: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Pace:
    """The loop's numbers. The defaults suit production; tests shorten the waits."""

    flush_after_us: int = SECOND_US // 2
    """A commit this often: the price of a transaction is small beside it, and a page may not wait for long."""
    flush_records: int = 50_000
    """A commit earlier than that once so many records are waiting; twice as many and reading waits for the commit."""
    flush_letter_bytes: int = 8 * 1024 * 1024
    """A commit earlier than that once dead letters take so much memory."""
    fetch_timeout_us: int = SECOND_US // 5
    fetch_records: int = 20_000
    report_every_us: int = SECOND_US
    future_us: int = 600 * SECOND_US
    """Event times further ahead of the clock are dead letters."""
    short_us: int = 10 * SECOND_US
    """A log that ends before our position for so long was made anew. Not at once: after a broker's failover its end
    may step back for a moment. Most brokers say it outright, and then nothing waits for this."""
    release_within_us: int = 5 * SECOND_US
    """Work in flight at revocation or stop is committed within this, or thrown away and read again by whoever is next."""
    first_retry_us: int = SECOND_US // 10
    last_retry_us: int = 5 * SECOND_US


class Away:
    """Something that ingest needs and that may be away: says so once, and once when it is back."""

    def __init__(self, name: str, pace: Pace) -> None:
        self._name = name
        self._pace = pace
        self._attempts = 0

    def failed(self, error: Exception) -> None:
        if not self._attempts:
            _log.warning(
                "Ingest waits for a dependency.", action="dependency_away", dependency=self._name, error=str(error)
            )
        self._attempts += 1

    def answered(self) -> None:
        if self._attempts:
            _log.info("A dependency is back.", action="dependency_back", dependency=self._name, attempts=self._attempts)
        self._attempts = 0

    def retry_us(self, jitter: float) -> int:
        """How long to wait before the next attempt: doubling, bounded, and spread by `jitter` in [0, 1)."""
        doublings = min(max(self._attempts - 1, 0), 16)
        full = min(self._pace.first_retry_us << doublings, self._pace.last_retry_us)
        return full - int(full * jitter / 2)
