"""The tables of the store as this version of the code sees them; `migrations` bring a database there.

Times are Unix seconds, money is integer nano-USD. Every row belongs to a tenant, or to something that does.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
)

__all__ = [
    "METADATA",
    "USAGE",
    "attempts",
    "audit_log",
    "days",
    "items",
    "journals",
    "keys",
    "ledger_marks",
    "limit_counters",
    "limit_holders",
    "limit_holds",
    "links",
    "login_attempts",
    "logins",
    "overrides",
    "people",
    "prices",
    "responses",
    "revisions",
    "revoked_keys",
    "settlements",
    "spent",
    "stored_secrets",
]

METADATA: Final = MetaData()

USAGE: Final = (
    "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "reasoning_tokens",
    "audio_input_tokens", "audio_output_tokens", "image_input_tokens", "accepted_prediction_tokens",
    "rejected_prediction_tokens", "search_requests",
)  # fmt: skip
"""The columns of what was used."""

NUMBER: Final = BigInteger().with_variant(Integer, "sqlite")
"""SQLite counts up only in a column that is called an integer."""

responses: Final = Table(
    "responses",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("background", Boolean, nullable=False),
    Column("lease_until_s", Double, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("owner", "id", name="responses_by_id"),
    Index("responses_by_age", "created_s", "bytes"),
)
"""``bytes`` is what the row takes by itself, for the limit of all."""

items: Final = Table(
    "items",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("owner", Text, nullable=False),
    Column("id", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("bytes", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    UniqueConstraint("owner", "digest", name="items_by_digest"),
    Index("items_by_id", "owner", "id"),
    Index("items_by_bytes", "bytes"),
)
"""Items of conversations, once per owner, however many responses share them."""

links: Final = Table(
    "links",
    METADATA,
    Column("response", NUMBER, ForeignKey("responses.number"), primary_key=True),
    Column("output", Boolean, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("item", NUMBER, ForeignKey("items.number"), nullable=False),
    Index("links_by_item", "item"),
)
"""Which items a response was asked (``output`` false) and answered, in order."""

keys: Final = Table(
    "keys",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("hash", Text, nullable=False),
    Column("scopes", LargeBinary, nullable=False),
    Column("models", LargeBinary, nullable=False),
    Column("pins", LargeBinary, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double),
    Column("active", Boolean, nullable=False),
    Column("revoked_s", Double),
    Column("last_used_s", Double),
    Column("limits", LargeBinary),
    UniqueConstraint("hash", name="keys_by_hash"),
)
"""Client keys; ``prefix`` is what may be shown of one, lists are JSON."""

revoked_keys: Final = Table(
    "revoked_keys",
    METADATA,
    Column("hash", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("revoked_s", Double, nullable=False),
)
"""Keys that are good no more, whatever the configuration says, and whatever backup brings them back."""

revisions: Final = Table(
    "revisions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
"""How often a topic was changed."""

people: Final = Table(
    "people",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("tenant", Text, nullable=False),
    Column("scopes", LargeBinary, nullable=False),
    Column("password", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("changed_s", Double, nullable=False),
)
"""Who may log in; ``password`` is its argon2id hash."""

logins: Final = Table(
    "logins",
    METADATA,
    Column("token", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("created_s", Double, nullable=False),
    Column("expires_s", Double, nullable=False),
    Index("logins_by_name", "name"),
    Index("logins_by_end", "expires_s"),
)
"""Where people are logged in; ``token`` is the HMAC of the cookie's."""

login_attempts: Final = Table(
    "login_attempts",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("attempt", Text, nullable=False),
    Column("about", Text, nullable=False),
    Column("at_s", Double, nullable=False),
    Index("login_attempts_by_about", "about", "at_s"),
    Index("login_attempts_by_attempt", "attempt"),
    Index("login_attempts_by_age", "at_s"),
)
"""Attempts to log in that failed or are under way, once for each thing they are counted for."""

overrides: Final = Table(
    "overrides",
    METADATA,
    Column("section", Text, primary_key=True),
    Column("name", Text, primary_key=True),
    Column("document", Text),
    Column("author", Text, nullable=False),
    Column("changed_s", Double, nullable=False),
    Column("revision", BigInteger, nullable=False),
)
"""Changes laid over the configuration; ``document`` is what gateway.yaml would say, NULL: the entry is taken away."""

stored_secrets: Final = Table(
    "stored_secrets",
    METADATA,
    Column("id", Text, primary_key=True),
    Column("store_key", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_s", Double, nullable=False),
)
"""Credentials that overrides refer to, encrypted; ``store_key`` is the id of the key they are encrypted with."""

audit_log: Final = Table(
    "audit_log",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("id", Text, nullable=False),
    Column("at_s", Double, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("resource_type", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("ip", Text, nullable=False),
    Column("details", LargeBinary, nullable=False),
    UniqueConstraint("id", name="audit_log_by_id"),
    Index("audit_log_by_age", "at_s"),
    Index("audit_log_by_tenant", "tenant", "number"),
)
"""Who changed what, and who tried to. ``details`` is JSON, without secrets."""


def _usage(kind: type[Integer]) -> list[Column[int]]:
    """A column for each count, in the order of `runtime.stores.entries.COUNTS`."""
    return [Column(name, kind, nullable=False) for name in USAGE]


settlements: Final = Table(
    "settlements",
    METADATA,
    Column("number", NUMBER, primary_key=True),
    Column("id", Text, nullable=False),
    Column("at_s", Double, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("decision", Text, nullable=False),
    Column("tenant", Text, nullable=False),
    Column("key", Text, nullable=False),
    Column("operation", Text, nullable=False),
    Column("protocol", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("combo", Text, nullable=False),
    Column("target", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("session", Text, nullable=False),
    Column("stream", Boolean, nullable=False),
    Column("replay", Text, nullable=False),
    Column("rescues", Integer, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("error", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    Column("first_token_ms", Integer, nullable=False),
    *_usage(Integer),
    Column("estimated", Boolean, nullable=False),
    Column("unpriced", Boolean, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    UniqueConstraint("id", name="settlements_by_id"),
    Index("settlements_by_tenant", "tenant", "number"),
    Index("settlements_by_key", "key", "number"),
    Index("settlements_by_model", "model", "number"),
    Index("settlements_by_provider", "provider", "number"),
    Index("settlements_by_connection", "connection", "number"),
    Index("settlements_by_request", "request_id"),
    Index("settlements_by_age", "at_s"),
    Index("settlements_by_outcome", "outcome", "number"),  # of failures only; to say so would load all dialects
)
"""One row per request: what it came to. ``id`` is the gateway's own, ``request_id`` what its client knows."""

attempts: Final = Table(
    "attempts",
    METADATA,
    Column("settlement", Text, primary_key=True),
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("at_s", Double, nullable=False),
    Column("target", Text, nullable=False),
    Column("provider", Text, nullable=False),
    Column("connection", Text, nullable=False),
    Column("outcome", Text, nullable=False),
    Column("status", Integer, nullable=False),
    Column("duration_ms", Integer, nullable=False),
    *_usage(Integer),
    Column("estimated", Boolean, nullable=False),
    Column("unpriced", Boolean, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    Column("price_version", Text, nullable=False),
    Column("requests", Integer, nullable=False),
    Column("images", Integer, nullable=False),
    sqlite_with_rowid=False,
)
"""One row per request that was sent to a provider, in the order of ``number``."""

prices: Final = Table(
    "prices",
    METADATA,
    Column("version", Text, primary_key=True),
    Column("document", LargeBinary, nullable=False),
)
"""The numbers behind every price version that an attempt names, as JSON."""

days: Final = Table(
    "days",
    METADATA,
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("tenant", Text, primary_key=True),
    Column("key", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    Column("provider", Text, primary_key=True),
    Column("connection", Text, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("errors", BigInteger, nullable=False),
    Column("replays", BigInteger, nullable=False),
    Column("attempts", BigInteger, nullable=False),
    *_usage(BigInteger),
    Column("estimated", BigInteger, nullable=False),
    Column("unpriced", BigInteger, nullable=False),
    Column("cost_nano_usd", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)
"""Sums of a day (UTC, counted from 1970). A request counts at the last target asked, tokens and money where they were spent."""

journals: Final = Table(
    "journals",
    METADATA,
    Column("file", Text, primary_key=True),
    Column("drained_bytes", BigInteger, nullable=False),
)
"""How far each file of the journal is in the ledger."""

ledger_marks: Final = Table(
    "ledger_marks",
    METADATA,
    Column("name", Text, primary_key=True),
    Column("value", Double, nullable=False),
)
"""`pruned_before_s`: of requests that began earlier, some are there no more. `told/…`: in which window a budget was warned of last."""

spent: Final = Table(
    "spent",
    METADATA,
    Column("subject", Text, primary_key=True),
    Column("span", Text, primary_key=True),
    Column("start_s", BigInteger, primary_key=True),
    Column("requests", BigInteger, nullable=False),
    Column("tokens", BigInteger, nullable=False),
    Column("nano_usd", BigInteger, nullable=False),
    Index("spent_by_age", "span", "start_s"),
)
"""What a key, a tenant, a combo or a policy used in a minute, an hour or a day."""

limit_counters: Final = Table(
    "limit_counters",
    METADATA,
    Column("counter", Text, primary_key=True),
    Column("bucket", BigInteger, primary_key=True),
    Column("used", BigInteger, nullable=False),
    Column("until_ms", BigInteger, nullable=False),
    Index("limit_counters_by_end", "until_ms"),
)
"""What was used of limits, where workers or machines count together here. The bucket -1 says that a counter was begun."""

limit_holds: Final = Table(
    "limit_holds",
    METADATA,
    Column("counter", Text, primary_key=True),
    Column("holder", Text, primary_key=True),
    Column("amount", BigInteger, nullable=False),
    Index("limit_holds_by_holder", "holder"),
)
"""What is kept aside for calls that run, by worker."""

limit_holders: Final = Table(
    "limit_holders",
    METADATA,
    Column("holder", Text, primary_key=True),
    Column("seen_ms", BigInteger, nullable=False),
    Column("number", BigInteger, nullable=False),
)
"""The workers that count; ``number`` is the last of their reports that was counted."""
