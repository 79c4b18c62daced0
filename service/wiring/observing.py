"""Ingest's observer as metrics."""

from __future__ import annotations

from consumers.ports import Partition
from service.telemetry import Telemetry

_MICROSECONDS = 1_000_000


class IngestMetrics:
    """Implements `consumers.ports.Observer` on a process's telemetry."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._telemetry = telemetry

    def records(self, topic: str, result: str, count: int) -> None:
        """Counts records by what became of them."""
        self._telemetry.records.labels(topic, result).inc(count)

    def dead_letters(self, code: str, count: int) -> None:
        """Counts dead letters by their stable code."""
        self._telemetry.dead_letters.labels(code).inc(count)

    def committed(self, duration_us: int, entries: int) -> None:
        """Observes one ledger transaction."""
        del entries
        self._telemetry.ledger_commit_duration.observe(duration_us / _MICROSECONDS)

    def gap(self, partition: Partition, missing: int) -> None:
        """Counts a span that was gone, and its records."""
        self._telemetry.gaps.labels(partition.topic).inc()
        self._telemetry.missing_records.labels(partition.topic).inc(missing)

    def epoch_begun(self, partition: Partition) -> None:
        """Counts logs that were made anew."""
        self._telemetry.epochs.labels(partition.topic).inc()

    def partition(self, partition: Partition, lag: int | None, watermark_us: int | None) -> None:
        """Shows how far a partition has been read."""
        labels = (partition.topic, str(partition.number))
        if lag is not None:
            self._telemetry.lag.labels(*labels).set(lag)
        if watermark_us is not None:
            self._telemetry.partition_watermark.labels(*labels).set(watermark_us / _MICROSECONDS)

    def released(self, partition: Partition) -> None:
        """Drops what another worker tells from now on."""
        labels = (partition.topic, str(partition.number))
        for gauge in (self._telemetry.lag, self._telemetry.partition_watermark):
            gauge.labels(*labels)  # `remove` raises for a child that was never told
            gauge.remove(*labels)
