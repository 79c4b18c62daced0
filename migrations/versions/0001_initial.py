"""The first schema: every table of service.storage.tables as of then."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

# Columns that hold packed bytes: compressed already, so Postgres need not try again at each write.
PACKED = (
    ("ledger", "counts"),
    ("slot_pages", "counts"),
    ("slot_chunks", "counts"),
    ("checkpoints", "state"),
)


def upgrade() -> None:
    op.create_table(
        "checkpoints",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tick_seq", sa.BigInteger(), nullable=False),
        sa.Column("state", sa.LargeBinary(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_checkpoints")),
    )
    op.create_table(
        "documents",
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("spec", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("in_force_from_us", sa.BigInteger(), nullable=False),
        sa.Column("applied_by", sa.Text(), nullable=False),
        sa.Column("applied_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("kind", "name", "version", name=op.f("pk_documents")),
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("started_us", sa.BigInteger(), nullable=False),
        sa.Column("detected_us", sa.BigInteger(), nullable=False),
        sa.Column("resolved_us", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("condition", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("burn_rates", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("budget_remaining", sa.Float(), nullable=True),
        sa.Column("exhausted_us", sa.BigInteger(), nullable=True),
        sa.Column("runbook", sa.Text(), nullable=True),
        sa.Column("partial", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("notify", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("announced", sa.Text(), nullable=True),
        sa.Column("owed", sa.Integer(), nullable=True),
        sa.Column("acknowledged_by", sa.Text(), nullable=True),
        sa.Column("acknowledged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_incidents")),
    )
    op.create_index(
        "ix_incidents_agreement", "incidents", ["agreement", sa.literal_column("detected_us DESC"), "id"], unique=False
    )
    op.create_index("ix_incidents_series", "incidents", ["series_id", "detected_us"], unique=False)
    op.create_index(
        "ix_incidents_state", "incidents", ["state", sa.literal_column("detected_us DESC"), "id"], unique=False
    )
    op.create_table(
        "indicators",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.Text(), nullable=False),
        sa.Column("group_by", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("group_bound", sa.Integer(), nullable=False),
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_indicators")),
        sa.UniqueConstraint("agreement", "objective", "fingerprint", name="uq_indicators_identity"),
    )
    op.create_table(
        "installation",
        sa.Column("id", sa.SmallInteger(), autoincrement=False, nullable=False),
        sa.Column("slot_us", sa.BigInteger(), nullable=False),
        sa.Column("shards", sa.Integer(), nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.CheckConstraint("id = 1", name=op.f("ck_installation_single")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_installation")),
    )
    op.create_table(
        "ledger",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("first_offset", sa.BigInteger(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.Column("records", sa.Integer(), nullable=False),
        sa.Column("samples", sa.Integer(), nullable=False),
        sa.Column("dead", sa.Integer(), nullable=False),
        sa.Column("max_event_us", sa.BigInteger(), nullable=True),
        sa.Column("clock_us", sa.BigInteger(), nullable=False),
        sa.Column("gap", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("committed_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", "epoch", "first_offset", name=op.f("pk_ledger")),
    )
    op.create_table(
        "outbox",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("idempotency_key", sa.Text(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("payload", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("state", sa.Text(), server_default=sa.text("'pending'"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("next_attempt_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("claimed_by", sa.Text(), nullable=True),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.Column("last_error", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("settled_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("idempotency_key", name=op.f("uq_outbox_idempotency_key")),
    )
    op.create_index("ix_outbox_incident", "outbox", ["incident_id"], unique=False)
    op.create_index(
        "ix_outbox_waiting",
        "outbox",
        ["target", "severity", "attempts", "id"],
        unique=False,
        postgresql_where=sa.text("state = 'pending'"),
    )
    op.create_table(
        "partition_offsets",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("last_record_crc", sa.BigInteger(), nullable=True),
        sa.Column("last_record_time_us", sa.BigInteger(), nullable=True),
        sa.Column("max_event_us", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("topic", "partition", "epoch", name=op.f("pk_partition_offsets")),
    )
    op.create_table(
        "partition_status",
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("end_position", sa.BigInteger(), nullable=True),
        sa.Column("end_seen_us", sa.BigInteger(), nullable=True),
        sa.Column("high_watermark", sa.BigInteger(), nullable=True),
        sa.Column("last_record_us", sa.BigInteger(), nullable=True),
        sa.Column("clock_us", sa.BigInteger(), nullable=False),
        sa.Column("worker", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition", name=op.f("pk_partition_status")),
    )
    op.create_table(
        "restatements",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("agreement", sa.Text(), nullable=False),
        sa.Column("objective", sa.Text(), nullable=False),
        sa.Column("from_us", sa.BigInteger(), nullable=False),
        sa.Column("cause", sa.Text(), nullable=False),
        sa.Column("old", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("new", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("author", sa.Text(), nullable=False),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_restatements")),
    )
    op.create_index(
        "ix_restatements_agreement", "restatements", ["agreement", sa.literal_column("id DESC")], unique=False
    )
    op.create_table(
        "shards",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("epoch", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("evaluated_until_us", sa.BigInteger(), nullable=True),
        sa.Column("watermark_us", sa.BigInteger(), nullable=True),
        sa.Column("ticked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("tick_seq", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("open_state", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_shards")),
    )
    op.create_table(
        "slot_chunks",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("chunk", sa.Integer(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "chunk", name=op.f("pk_slot_chunks")),
    )
    op.create_table(
        "slot_pages",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("bucket", sa.BigInteger(), nullable=False),
        sa.Column("tick_seq", sa.BigInteger(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.Column("rows", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "bucket", "tick_seq", name=op.f("pk_slot_pages")),
    )
    op.create_table(
        "standings",
        sa.Column("shard", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("tick_seq", sa.BigInteger(), nullable=False),
        sa.Column("identities", sa.LargeBinary(), nullable=False),
        sa.Column("identities_hash", sa.Text(), nullable=False),
        sa.Column("columns", sa.LargeBinary(), nullable=False),
        sa.Column("as_of_us", sa.BigInteger(), nullable=False),
        sa.Column("written_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.PrimaryKeyConstraint("shard", name=op.f("pk_standings")),
    )
    op.create_table(
        "verdict_changes",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=False),
        sa.Column("verdict", sa.Text(), nullable=True),
        sa.Column("data", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("series_id", "at_us", name=op.f("pk_verdict_changes")),
    )
    op.create_table(
        "incident_events",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("at_us", sa.BigInteger(), nullable=True),
        sa.Column("recorded_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.Column("author", sa.Text(), nullable=True),
        sa.Column("detail", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.ForeignKeyConstraint(["incident_id"], ["incidents.id"], name=op.f("fk_incident_events_incident_id")),
        sa.PrimaryKeyConstraint("incident_id", "seq", name=op.f("pk_incident_events")),
    )
    op.create_table(
        "series",
        sa.Column("id", sa.BigInteger(), autoincrement=True, nullable=False),
        sa.Column("indicator_id", sa.BigInteger(), nullable=False),
        sa.Column("labels", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("label_key", sa.Text(), nullable=False),
        sa.Column("is_other", sa.Boolean(), server_default=sa.text("false"), nullable=False),
        sa.Column("admitted_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False),
        sa.ForeignKeyConstraint(["indicator_id"], ["indicators.id"], name=op.f("fk_series_indicator_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("indicator_id", "label_key", name="uq_series_group"),
    )
    op.create_table(
        "shard_cursors",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.Column("time_us", sa.BigInteger(), nullable=True),
        sa.Column("clock_us", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["shard"], ["shards.id"], name=op.f("fk_shard_cursors_shard")),
        sa.PrimaryKeyConstraint("shard", "topic", "partition", "epoch", name=op.f("pk_shard_cursors")),
    )
    for table, column in PACKED:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN {column} SET STORAGE EXTERNAL")


def downgrade() -> None:
    op.drop_table("shard_cursors")
    op.drop_table("series")
    op.drop_table("incident_events")
    op.drop_table("verdict_changes")
    op.drop_table("standings")
    op.drop_table("slot_pages")
    op.drop_table("slot_chunks")
    op.drop_table("shards")
    op.drop_table("restatements")
    op.drop_table("partition_status")
    op.drop_table("partition_offsets")
    op.drop_table("outbox")
    op.drop_table("ledger")
    op.drop_table("installation")
    op.drop_table("indicators")
    op.drop_table("incidents")
    op.drop_table("documents")
    op.drop_table("checkpoints")
