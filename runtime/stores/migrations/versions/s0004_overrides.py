"""Changes of the configuration that the management API made, the secrets they brought, and who did what."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0004"
down_revision = "0003"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "overrides",
        sa.Column("section", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("document", sa.Text),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "stored_secrets",
        sa.Column("id", sa.Text, primary_key=True),
        sa.Column("store_key", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
    )
    op.create_table(
        "audit_log",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("target", sa.Text, nullable=False),
        sa.Column("resource_type", sa.Text, nullable=False),
        sa.Column("status", sa.Text, nullable=False),
        sa.Column("request_id", sa.Text, nullable=False),
        sa.Column("ip", sa.Text, nullable=False),
        sa.Column("details", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("id", name="audit_log_by_id"),
    )
    op.create_index("audit_log_by_age", "audit_log", ["at_s"])
    op.create_index("audit_log_by_tenant", "audit_log", ["tenant", "number"])
