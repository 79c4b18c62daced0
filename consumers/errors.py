"""What can go wrong in ingest.

IngestError
├── LogUnavailable       the broker is away or answers with a passing error: retry
├── PositionOutOfRange   the log does not hold the offset that we want to read: look at its bounds
├── RegistryUnavailable  the schema registry is away, or does not let us in: retry
├── LedgerUnavailable    the database is away, or a commit's outcome is unknown: read positions again, retry
└── DefinitionsMoved     the definitions changed since they were loaded: load, then read the span again

A bad record is no exception: it is data (`DeadLetter`).
"""

from __future__ import annotations

from collections.abc import Collection

from consumers.ports import Partition


class IngestError(Exception):
    """Root of what ingest raises."""


class LogUnavailable(IngestError):
    """The log cannot be reached now; a retry can help."""


class PositionOutOfRange(IngestError):
    """The log of these partitions holds no such offset: it was made anew, or has let go of what we had not read."""

    def __init__(self, partitions: Collection[Partition]) -> None:
        super().__init__(", ".join(f"{each.topic}/{each.number}" for each in partitions))
        self.partitions = frozenset(partitions)


class RegistryUnavailable(IngestError):
    """The registry of schemas cannot be asked now; a retry can help. What is read by them waits, and is never refused."""


class LedgerUnavailable(IngestError):
    """The ledger cannot be reached, or a commit's outcome is unknown; a retry can help."""


class DefinitionsMoved(IngestError):
    """The definitions have a newer revision than the entries were matched by."""
