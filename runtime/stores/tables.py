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

__all__ = ["METADATA", "items", "keys", "links", "responses", "revisions", "revoked_keys"]

METADATA: Final = MetaData()

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
"""Configured keys that are good no more, whatever the configuration says."""

revisions: Final = Table(
    "revisions",
    METADATA,
    Column("topic", Text, primary_key=True),
    Column("revision", BigInteger, nullable=False),
)
"""How often a topic was changed."""
