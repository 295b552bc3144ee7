"""People who log in, their logins, and attempts that failed."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0005"
down_revision = "0004"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    op.create_table(
        "people",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("tenant", sa.Text, nullable=False),
        sa.Column("scopes", sa.LargeBinary, nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("changed_s", sa.Double, nullable=False),
    )
    op.create_table(
        "logins",
        sa.Column("token", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("created_s", sa.Double, nullable=False),
        sa.Column("expires_s", sa.Double, nullable=False),
    )
    op.create_index("logins_by_name", "logins", ["name"])
    op.create_index("logins_by_end", "logins", ["expires_s"])
    op.create_table(
        "login_attempts",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("attempt", sa.Text, nullable=False),
        sa.Column("about", sa.Text, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
    )
    op.create_index("login_attempts_by_about", "login_attempts", ["about", "at_s"])
    op.create_index("login_attempts_by_attempt", "login_attempts", ["attempt"])
    op.create_index("login_attempts_by_age", "login_attempts", ["at_s"])
