"""What Alembic runs: the steps that are missing, on the connection and in the transaction it was given."""

from __future__ import annotations

from alembic import context

__all__: list[str] = []

context.configure(connection=context.config.attributes["connection"], version_table="schema_version")
context.run_migrations()
