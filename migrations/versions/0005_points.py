"""Points beside counts: what an entry of the ledger carries that cannot be summed, and what evaluation keeps of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("ledger", sa.Column("points", sa.LargeBinary(), nullable=True))
    op.create_table(
        "point_pages",
        sa.Column("shard", sa.Integer(), nullable=False),
        sa.Column("tick_seq", sa.BigInteger(), nullable=False),
        sa.Column("kept", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("shard", "tick_seq", name=op.f("pk_point_pages")),
    )


def downgrade() -> None:
    op.drop_table("point_pages")
    op.drop_column("ledger", "points")
