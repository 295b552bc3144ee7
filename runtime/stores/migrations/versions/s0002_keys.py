"""Client keys that were made here, and the configured ones that were revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "keys",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("prefix", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
        sa.Column("scopes", sa.LargeBinary, nullable=False),
        sa.Column("models", sa.LargeBinary, nullable=False),
        sa.Column("pins", sa.LargeBinary, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double),
        sa.Column("active", sa.Boolean, nullable=False),
        sa.Column("revoked_s", sa.Double),
        sa.Column("last_used_s", sa.Double),
        sa.UniqueConstraint("hash", name="keys_by_hash"),
    )
    op.create_table(
        "revoked_keys",
        sa.Column("hash", sa.Text, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("revoked_s", sa.Double, nullable=False),
    )
    op.create_table(
        "revisions",
        sa.Column("topic", sa.Text, primary_key=True),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
