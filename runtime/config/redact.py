"""A plan as data that may be shown: secrets as references, hashes and added headers masked. Changes no plan."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from runtime.catalog import Provider
from runtime.config.data import plan_data
from runtime.config.plan import Connection, Key, Plan
from runtime.config.secrets import mask

__all__ = ["printable"]

E = TypeVar("E", Connection, Provider)


def printable(plan: Plan) -> dict[str, object]:
    """``plan`` as plain data, in the order of its fields. Nothing in it can be used to call anyone."""
    providers = {id_: _with_masked_headers(provider) for id_, provider in plan.providers.items()}
    shown = plan_data(msgspec.structs.replace(plan, providers=providers))
    shown["connections"] = {id_: _connection(connection) for id_, connection in plan.connections.items()}
    shown["keys"] = [_key(key) for key in plan.keys]
    return shown


def _connection(connection: Connection) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(_with_masked_headers(connection))
    if connection.secret is not None:
        shown["secret"] = str(connection.secret)
    return shown


def _key(key: Key) -> dict[str, object]:
    shown: dict[str, object] = msgspec.to_builtins(key)
    if key.hash is not None:
        shown["hash"] = mask(key.hash)
    if key.secret is not None:
        shown["secret"] = str(key.secret)
    return shown


def _with_masked_headers(entity: E) -> E:
    """Names only: a header may be a credential that nobody recognised as one."""
    return msgspec.structs.replace(entity, headers=dict.fromkeys(entity.headers, "…"))
