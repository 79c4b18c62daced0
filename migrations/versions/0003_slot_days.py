"""Days of rolled-up slots: by minute after some days, by quarter of an hour after thirteen months."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "slot_days",
        sa.Column("series_id", sa.BigInteger(), nullable=False),
        sa.Column("step_s", sa.SmallInteger(), nullable=False),
        sa.Column("day", sa.Integer(), nullable=False),
        sa.Column("counts", sa.LargeBinary(), nullable=False),
        sa.Column("quarters", sa.LargeBinary(), nullable=True),
        sa.PrimaryKeyConstraint("series_id", "step_s", "day", name=op.f("pk_slot_days")),
    )
    # What is packed is compressed already.
    op.execute("ALTER TABLE slot_days ALTER counts SET STORAGE EXTERNAL, ALTER quarters SET STORAGE EXTERNAL")


def downgrade() -> None:
    # The counts of old days are in no other table: they would be lost.
    op.execute(
        "DO $$ BEGIN IF EXISTS (SELECT FROM slot_days) THEN"
        " RAISE EXCEPTION 'slot_days holds counts that no earlier version can read'; END IF; END $$"
    )
    op.drop_table("slot_days")
