"""A plan in the making: the entities that were lowered, which the checks look at before a plan is made of them."""

from __future__ import annotations

import msgspec

from runtime.catalog import Provider
from runtime.config.lower.name import Names
from runtime.config.lower.reach import Reach
from runtime.config.plan import Combo, Connection, Key, PlannedModel, Route

__all__ = ["Draft"]


class Draft(msgspec.Struct, frozen=True, kw_only=True):
    """``providers`` are all that are configured or discoverable; ``models`` and ``routes`` only those that can be called."""

    providers: dict[str, Provider]
    connections: dict[str, Connection]
    by_provider: dict[str, tuple[str, ...]]
    models: dict[str, PlannedModel]
    names: Names
    reach: Reach
    routes: dict[str, Route]
    combos: dict[str, Combo]
    keys: tuple[Key, ...]
