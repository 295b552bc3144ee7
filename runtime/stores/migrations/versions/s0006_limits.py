"""What was used, by key, tenant, combo and policy; counters of limits that workers and machines share; limits of keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.create_table(
        "spent",
        sa.Column("subject", sa.Text, primary_key=True),
        sa.Column("span", sa.Text, primary_key=True),
        sa.Column("start_s", sa.BigInteger, primary_key=True),
        sa.Column("requests", sa.BigInteger, nullable=False),
        sa.Column("tokens", sa.BigInteger, nullable=False),
        sa.Column("nano_usd", sa.BigInteger, nullable=False),
    )
    op.create_index("spent_by_age", "spent", ["span", "start_s"])
    op.create_table(
        "limit_counters",
        sa.Column("counter", sa.Text, primary_key=True),
        sa.Column("bucket", sa.BigInteger, primary_key=True),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("until_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("limit_counters_by_end", "limit_counters", ["until_ms"])
    op.create_table(
        "limit_holds",
        sa.Column("counter", sa.Text, primary_key=True),
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("amount", sa.BigInteger, nullable=False),
    )
    op.create_index("limit_holds_by_holder", "limit_holds", ["holder"])
    op.create_table(
        "limit_holders",
        sa.Column("holder", sa.Text, primary_key=True),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
    )
    op.add_column("keys", sa.Column("limits", sa.LargeBinary))
