"""The servers that the ledger runs on."""

from __future__ import annotations

from tests.stores.conftest import database, postgres_url, prepared_postgres_url

__all__ = ["database", "postgres_url", "prepared_postgres_url"]
