"""What every request used and cost, its attempts, its prices, sums by day, and how far the journals are taken in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

__all__ = ["down_revision", "revision", "upgrade"]

revision = "0003"
down_revision = "0002"

NUMBER = sa.BigInteger().with_variant(sa.Integer, "sqlite")
USAGE = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens", "search_requests",
)  # fmt: skip


def upgrade() -> None:
    _settlements()
    _attempts()
    _days()
    op.create_table(
        "prices",
        sa.Column("version", sa.Text, primary_key=True),
        sa.Column("document", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "journals",
        sa.Column("file", sa.Text, primary_key=True),
        sa.Column("drained_bytes", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "ledger_marks",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("value", sa.Double, nullable=False),
    )


def _settlements() -> None:
    op.create_table(
        "settlements",
        sa.Column("number", NUMBER, primary_key=True),
        sa.Column("id", sa.Text, nullable=False),
        sa.Column("at_s", sa.Double, nullable=False),
        *_texts("request_id", "decision", "tenant", "key", "operation", "protocol", "model", "combo", "target"),
        *_texts("provider", "connection", "session"),
        sa.Column("stream", sa.Boolean, nullable=False),
        *_texts("replay"),
        sa.Column("rescues", sa.Integer, nullable=False),
        *_texts("outcome", "error"),
        *_numbers(sa.Integer, "status", "duration_ms", "first_token_ms", *USAGE),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("unpriced", sa.Boolean, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        sa.UniqueConstraint("id", name="settlements_by_id"),
    )
    for column in ("tenant", "key", "model", "provider", "connection"):
        op.create_index(f"settlements_by_{column}", "settlements", [column, "number"])
    op.create_index("settlements_by_request", "settlements", ["request_id"])
    op.create_index("settlements_by_age", "settlements", ["at_s"])
    failed = sa.text("outcome <> 'ok'")
    op.create_index(
        "settlements_by_outcome", "settlements", ["outcome", "number"], sqlite_where=failed, postgresql_where=failed
    )


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("settlement", sa.Text, primary_key=True),
        sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("at_s", sa.Double, nullable=False),
        *_texts("target", "provider", "connection", "outcome"),
        *_numbers(sa.Integer, "status", "duration_ms", *USAGE),
        sa.Column("estimated", sa.Boolean, nullable=False),
        sa.Column("unpriced", sa.Boolean, nullable=False),
        sa.Column("cost_nano_usd", sa.BigInteger, nullable=False),
        *_texts("price_version"),
        *_numbers(sa.Integer, "requests", "images"),
        sqlite_with_rowid=False,
    )


def _days() -> None:
    op.create_table(
        "days",
        sa.Column("day", sa.Integer, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text, primary_key=True) for name in ("tenant", "key", "model", "provider", "connection")),
        *_numbers(sa.BigInteger, "requests", "errors", "replays", "attempts", *USAGE),
        *_numbers(sa.BigInteger, "estimated", "unpriced", "cost_nano_usd"),
        sqlite_with_rowid=False,
    )


def _texts(*names: str) -> list[sa.Column[str]]:
    return [sa.Column(name, sa.Text, nullable=False) for name in names]


def _numbers(kind: type[sa.Integer], *names: str) -> list[sa.Column[int]]:
    return [sa.Column(name, kind, nullable=False) for name in names]
