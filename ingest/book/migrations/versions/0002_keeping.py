"""Sources remember when they are read again and how their last run went; failures, when they are tried again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Columns alone, each with what an older row means: no schedule, no failure in a row, tried again by the next run."""
    op.add_column("sources", sa.Column("schedule", sa.JSON))
    op.add_column("sources", sa.Column("last_good", sa.Float))
    op.add_column("sources", sa.Column("outcome", sa.String, nullable=False, server_default=""))
    op.add_column("sources", sa.Column("failed_runs", sa.Integer, nullable=False, server_default="0"))
    op.add_column("sources", sa.Column("runner", sa.JSON))
    op.add_column("failures", sa.Column("version", sa.String, nullable=False, server_default=""))
    op.add_column("failures", sa.Column("next_at", sa.Float, server_default="0"))
