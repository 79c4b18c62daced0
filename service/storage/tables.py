"""Every table of the database, in one place. `migrations/` creates them; the stores beside this file use them.

Times named `*_us` are int microseconds since the epoch: event time unless the comment says clock (processing time, by
the clock of the process that wrote it). `timestamptz` columns are the database's clock.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "ix": "ix_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

# What the first `migrate` fixed for good: slot length and shard count; and the definitions' revision, which ingest
# locks FOR SHARE while it commits and `apply` locks FOR UPDATE while it changes definitions.
installation = Table(
    "installation",
    metadata,
    Column("id", SmallInteger, primary_key=True, autoincrement=False),
    Column("slot_us", BigInteger, nullable=False),
    Column("shards", Integer, nullable=False),
    Column("revision", BigInteger, nullable=False, server_default=text("0")),
    CheckConstraint("id = 1", name="single"),
)

# Documents as applied, every version kept. `in_force_from_us` is event time; a version is in force until the next.
documents = Table(
    "documents",
    metadata,
    Column("kind", Text, primary_key=True),  # Agreement | AlertPolicy | NotificationTarget
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("source", Text, nullable=False),  # the YAML of this one document; what is read back to build the definitions
    Column("spec", JSONB, nullable=False),  # the same as JSON, for people and queries
    Column("in_force_from_us", BigInteger, nullable=False),
    Column("applied_by", Text, nullable=False),
    Column("applied_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# One row per (agreement, objective, indicator fingerprint, groupBy): what slots belong to. A changed indicator or
# groupBy makes a new row and starts its windows anew; a changed target does not.
indicators = Table(
    "indicators",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("agreement", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("fingerprint", Text, nullable=False),
    Column("group_by", ARRAY(Text), nullable=False),
    Column("group_bound", Integer, nullable=False),
    Column("shard", Integer, nullable=False),  # by hash of the agreement's name
    UniqueConstraint("agreement", "objective", "fingerprint", name="uq_indicators_identity"),
)

# One row per group (one with empty labels for an ungrouped objective). Admitted in the ingest transaction under the
# indicator's row lock, up to its bound; the rest goes to the one row with is_other.
series = Table(
    "series",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("indicator_id", BigInteger, ForeignKey("indicators.id"), nullable=False),
    Column("labels", JSONB, nullable=False),  # {"region": "eu"}; {} ungrouped; {"region": "other"} the rest
    Column("label_key", Text, nullable=False),  # canonical JSON of the label values in groupBy order
    Column("is_other", Boolean, nullable=False, server_default=text("false")),
    Column("admitted_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("indicator_id", "label_key", name="uq_series_group"),
)

# Where ingest stands: advanced by compare-and-set in the transaction that writes the ledger entry. The greatest epoch
# of a partition is the live one; an epoch ends when the log was made anew.
partition_offsets = Table(
    "partition_offsets",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("last_record_crc", BigInteger),  # fingerprint of the last record read, to notice a log made anew
    Column("last_record_time_us", BigInteger),
    Column("max_event_us", BigInteger),  # greatest event time committed
)

# The append-only record of what was counted. Entries of one epoch of one partition chain without holes.
ledger = Table(
    "ledger",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),  # read_from
    Column("next_offset", BigInteger, nullable=False),  # position after the span
    Column("counts", LargeBinary, nullable=False),  # SlotCounts.pack(), merged, slots in event time
    Column("records", Integer, nullable=False),
    Column("samples", Integer, nullable=False),
    Column("dead", Integer, nullable=False),
    Column("max_event_us", BigInteger),  # greatest event time, capped at clock_us; null: nothing usable in the span
    Column("clock_us", BigInteger, nullable=False),  # the worker's clock when the span was read
    Column("gap", Boolean, nullable=False, server_default=text("false")),  # the span was gone before it was read
    Column("committed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("points", LargeBinary),  # Points.pack(): what cannot be summed as it comes; null: nothing
)

# What ingest never saw: records that were gone before they were read. The span is in time, as far as it is known.
blind_spans = Table(
    "blind_spans",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("from_us", BigInteger),  # greatest event time committed before; null: nothing had been read
    Column("until_us", BigInteger, nullable=False),  # timestamp of the first record after; until it is read, the clock
    Index("ix_blind_spans_until", "until_us"),
)

# What the ingest worker that owns a partition saw last; written each second beside the ledger.
partition_status = Table(
    "partition_status",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", Integer, nullable=False),
    Column("position", BigInteger, nullable=False),  # committed next_offset that this status speaks of
    Column("end_position", BigInteger),  # position that had reached the end of the log ...
    Column("end_seen_us", BigInteger),  # ... as a fetch sent at this clock answered
    Column("high_watermark", BigInteger),  # end of the log as last seen
    Column("last_record_us", BigInteger),  # clock when the last record was read
    Column("clock_us", BigInteger, nullable=False),  # worker clock of this status
    Column("worker", Text, nullable=False),
)

# Leases. A tick transaction first updates its row WHERE epoch = :mine.
shards = Table(
    "shards",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("owner", Text),
    Column("epoch", BigInteger, nullable=False, server_default=text("0")),
    Column("expires_at", DateTime(timezone=True)),
    Column("evaluated_until_us", BigInteger),  # end of the last evaluated slot (the tick), event time
    Column("watermark_us", BigInteger),
    Column("ticked_at", DateTime(timezone=True)),  # database clock of the last committed tick
    Column("tick_seq", BigInteger, nullable=False, server_default=text("0")),
    Column("open_state", LargeBinary),  # the engine's small truth beside the slots (open incidents, verdicts, pending)
)

# Who evaluates, whether or not it holds a shard yet: what a fair share is depends on how many there are.
shard_owners = Table(
    "shard_owners",
    metadata,
    Column("owner", Text, primary_key=True),
    Column("expires_at", DateTime(timezone=True), nullable=False),
)

shard_cursors = Table(
    "shard_cursors",
    metadata,
    Column("shard", Integer, ForeignKey("shards.id"), primary_key=True),
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("next_offset", BigInteger, nullable=False),
    Column("time_us", BigInteger),  # the partition's time at the cursor: greatest capped event time so far
    Column("clock_us", BigInteger),  # clock of the newest entry folded
)

# Slots, written time-major by each tick (one row a bucket of series), gathered series-major in the background, and rolled
# up once they are old. The truth at any moment is the sum of all three.
slot_pages = Table(
    "slot_pages",
    metadata,
    Column("shard", Integer, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),  # series_id // BUCKET_SERIES (see slots store)
    Column("tick_seq", BigInteger, primary_key=True),
    Column("counts", LargeBinary, nullable=False),
    Column("rows", Integer, nullable=False),
)

# What is measured from, of each tick; gathered into one row with the checkpoint. See evaluators.measures.
point_pages = Table(
    "point_pages",
    metadata,
    Column("shard", Integer, primary_key=True),
    Column("tick_seq", BigInteger, primary_key=True),
    Column("kept", LargeBinary, nullable=False),  # Measuring.unsaved(), or .whole()
)

slot_chunks = Table(
    "slot_chunks",
    metadata,
    Column("series_id", BigInteger, primary_key=True),
    Column("chunk", Integer, primary_key=True),  # slot // CHUNK_SLOTS (see slots store)
    Column("counts", LargeBinary, nullable=False),
)

slot_days = Table(
    "slot_days",
    metadata,
    Column("series_id", BigInteger, primary_key=True),
    Column("step_s", SmallInteger, primary_key=True, autoincrement=False),  # 60, or 900 after thirteen months
    Column("day", Integer, primary_key=True, autoincrement=False),  # of UTC, since 1970
    Column("counts", LargeBinary, nullable=False),  # evaluators.rollup.rolled by the step
    Column("quarters", LargeBinary),  # of a day of minutes, the same rolled on by 900: what a start needs of it
)

checkpoints = Table(
    "checkpoints",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("tick_seq", BigInteger, nullable=False),  # valid only beside pages with a greater tick_seq folded on top
    Column("state", LargeBinary, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

# What serve shows: one row a shard, replaced each tick.
standings = Table(
    "standings",
    metadata,
    Column("shard", Integer, primary_key=True, autoincrement=False),
    Column("tick_seq", BigInteger, nullable=False),
    Column("identities", LargeBinary, nullable=False),  # StandingTable.pack_identities()
    Column("identities_hash", Text, nullable=False),
    Column("columns", LargeBinary, nullable=False),  # StandingTable.pack_columns()
    Column("as_of_us", BigInteger, nullable=False),
    Column("written_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

verdict_changes = Table(
    "verdict_changes",
    metadata,
    Column("series_id", BigInteger, primary_key=True),
    Column("at_us", BigInteger, primary_key=True),
    Column("verdict", Text),
    Column("data", Text, nullable=False),
    Column("reason", Text, nullable=False),
)

incidents = Table(
    "incidents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("shard", Integer, nullable=False),
    Column("series_id", BigInteger, nullable=False),
    Column("agreement", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("service", Text),
    Column("labels", JSONB, nullable=False),
    Column("severity", Text, nullable=False),
    Column("state", Text, nullable=False),  # open | resolved | withdrawn
    Column("started_us", BigInteger, nullable=False),
    Column("detected_us", BigInteger, nullable=False),
    Column("resolved_us", BigInteger),
    Column("reason", Text, nullable=False),
    Column("condition", JSONB, nullable=False),
    Column("burn_rates", JSONB, nullable=False),
    Column("budget_remaining", Float),
    Column("exhausted_us", BigInteger),
    Column("runbook", Text),
    Column("partial", Boolean, nullable=False, server_default=text("false")),
    Column("notify", ARRAY(Text), nullable=False),
    Column("announced", Text),  # severity last put into the outbox
    Column("owed", Integer),  # seq of the event whose page a catch-up holds back
    Column("acknowledged_by", Text),
    Column("acknowledged_at", DateTime(timezone=True)),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_incidents_state", "state", text("detected_us DESC"), "id"),
    Index("ix_incidents_agreement", "agreement", text("detected_us DESC"), "id"),
    Index("ix_incidents_series", "series_id", "detected_us"),
)

# The timeline of an incident; `seq` counts within the incident.
incident_events = Table(
    "incident_events",
    metadata,
    Column("incident_id", Text, ForeignKey("incidents.id"), primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("type", Text, nullable=False),  # opened | escalated | acknowledged | resolved | withdrawn | amended | note
    Column("at_us", BigInteger),  # event time of the change; null for what people did
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("author", Text),  # the token's name for what people did
    Column("detail", JSONB, nullable=False),
)

restatements = Table(
    "restatements",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("series_id", BigInteger, nullable=False),
    Column("agreement", Text, nullable=False),
    Column("objective", Text, nullable=False),
    Column("from_us", BigInteger, nullable=False),  # earliest slot touched
    Column("cause", Text, nullable=False),  # late_data
    Column("old", JSONB, nullable=False),
    Column("new", JSONB, nullable=False),
    Column("author", Text, nullable=False),
    Column("recorded_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Index("ix_restatements_agreement", "agreement", text("id DESC")),
)

# One row per (incident, change, target): written in the tick's transaction, claimed by conditional update.
outbox = Table(
    "outbox",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=True),
    Column("idempotency_key", Text, nullable=False, unique=True),  # incident id . seq . target
    Column("incident_id", Text, nullable=False),
    Column("type", Text, nullable=False),  # incident.opened | .escalated | .acknowledged | .resolved | .withdrawn
    Column("severity", Text, nullable=False),
    Column("target", Text, nullable=False),  # NotificationTarget name
    Column("payload", JSONB, nullable=False),  # the page of INTERFACES: {"type", "timestamp", "data"}
    Column("state", Text, nullable=False, server_default=text("'pending'")),  # pending | sent | failed
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("next_attempt_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("claimed_by", Text),
    Column("claimed_until", DateTime(timezone=True)),
    Column("last_error", Text),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("settled_at", DateTime(timezone=True)),
    Index("ix_outbox_waiting", "target", "severity", "attempts", "id", postgresql_where=text("state = 'pending'")),
    Index("ix_outbox_incident", "incident_id"),
)
