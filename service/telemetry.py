"""Every metric of Upheld itself, its name and its meaning, in one place.

What agreements look like from outside (`upheld_sli_ratio` and the like) is rendered by `service.api.metrics`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_FAST = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(frozen=True)
class Telemetry:
    """The metrics of one process, on a registry of its own so that several can live in one test run."""

    registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=True))
    records: Counter = field(init=False)
    dead_letters: Counter = field(init=False)
    late_samples: Counter = field(init=False)
    stray_samples: Counter = field(init=False)
    gaps: Counter = field(init=False)
    missing_records: Counter = field(init=False)
    epochs: Counter = field(init=False)
    lag: Gauge = field(init=False)
    partition_watermark: Gauge = field(init=False)
    tick_duration: Histogram = field(init=False)
    ledger_commit_duration: Histogram = field(init=False)
    notifications: Counter = field(init=False)

    def __post_init__(self) -> None:
        """Register every metric."""
        put = object.__setattr__
        on = self.registry
        put(
            self,
            "records",
            Counter("upheld_ingest_records", "Records read, by result.", ["topic", "result"], registry=on),
        )
        put(
            self,
            "dead_letters",
            Counter("upheld_dead_letters", "Records sent to the dead-letter topic.", ["reason"], registry=on),
        )
        put(
            self,
            "late_samples",
            Counter("upheld_late_samples", "Samples of slots that had been evaluated.", registry=on),
        )
        put(
            self,
            "stray_samples",
            Counter("upheld_stray_samples", "Points that came too late to mend what was measured.", registry=on),
        )
        put(
            self,
            "gaps",
            Counter("upheld_gaps", "Spans of a log that were gone before they were read.", ["topic"], registry=on),
        )
        put(
            self,
            "missing_records",
            Counter("upheld_missing_records", "Records that were gone before they were read.", ["topic"], registry=on),
        )
        put(
            self,
            "epochs",
            Counter("upheld_epochs_begun", "Partitions whose log was made anew.", ["topic"], registry=on),
        )
        put(
            self,
            "lag",
            Gauge("upheld_consumer_lag_records", "Records behind the log's end.", ["topic", "partition"], registry=on),
        )
        put(
            self,
            "partition_watermark",
            Gauge("upheld_watermark_timestamp_seconds", "Event time reached.", ["topic", "partition"], registry=on),
        )
        put(
            self,
            "tick_duration",
            Histogram(
                "upheld_tick_duration_seconds", "One shard's tick with its transaction.", buckets=_FAST, registry=on
            ),
        )
        put(
            self,
            "ledger_commit_duration",
            Histogram("upheld_ledger_commit_duration_seconds", "One ledger transaction.", buckets=_FAST, registry=on),
        )
        put(
            self,
            "notifications",
            Counter("upheld_notifications", "Notifications sent, by result.", ["channel", "result"], registry=on),
        )

    def render(self) -> bytes:
        """Prometheus text exposition of this process."""
        return generate_latest(self.registry)
