"""The first form of the state: answers."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table. Frozen: a later form is a later migration, whatever `schema.py` says by then."""
    op.create_table(
        "answers",
        sa.Column("id", sa.String, primary_key=True),
        sa.Column("request_id", sa.String, nullable=False),
        sa.Column("at", sa.Float, nullable=False),
        sa.Column("tenant", sa.String, nullable=False),
        sa.Column("key", sa.String, nullable=False),
        sa.Column("assistant", sa.String, nullable=False),
        sa.Column("model", sa.String, nullable=False),
        sa.Column("style", sa.String, nullable=False),
        sa.Column("question", sa.Text, nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("finish_reason", sa.String, nullable=False),
        sa.Column("relevance", sa.Float, nullable=False),
        sa.Column("passages", sa.JSON, nullable=False),
        sa.Column("prompt_tokens", sa.Integer, nullable=False),
        sa.Column("completion_tokens", sa.Integer, nullable=False),
        sa.Column("milliseconds", sa.Float, nullable=False),
    )
    op.create_index("answers_at", "answers", ["at"])
