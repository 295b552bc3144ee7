"""Responses, and the conversations they belong to."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0001"
down_revision = None

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "responses",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("background", sa.Boolean, nullable=False),
        sa.Column("lease_until_s", sa.Double, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("owner", "id", name="responses_by_id"),
    )
    op.create_index("responses_by_age", "responses", ["created_s", "bytes"])
    op.create_table(
        "items",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("bytes", sa.Integer, nullable=False),
        sa.Column("body", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("owner", "digest", name="items_by_digest"),
    )
    op.create_index("items_by_id", "items", ["owner", "id"])
    op.create_index("items_by_bytes", "items", ["bytes"])
    op.create_table(
        "links",
        sa.Column("response", NUMBER, sa.ForeignKey("responses.number"), primary_key=True),
        sa.Column("output", sa.Boolean, primary_key=True),
        sa.Column("position", sa.Integer, primary_key=True),
        sa.Column("item", NUMBER, sa.ForeignKey("items.number"), nullable=False),
    )
    op.create_index("links_by_item", "links", ["item"])
