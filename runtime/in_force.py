"""What is in force when nothing runs yet: the build, or the build with the overrides that the store holds.

For the start of a server and for the commands that look at what one would serve. Brings the database into shape first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec
from sqlalchemy.engine import URL

from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.effective import Base, Effective, Outcome, built, effective
from runtime.config.files import read_sources
from runtime.config.keyfile import store_keys
from runtime.config.override import Override
from runtime.config.plan import Artefact
from runtime.config.secrets import Lookup, demand
from runtime.errors import ConfigError
from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.migrate import migrate, schema_version
from runtime.stores.overrides import OverrideSet, SqlOverrides
from runtime.stores.vault import StoreKey, Vault

__all__ = ["Stored", "hidden", "in_force", "open_vault", "outcome_of", "overrides_of", "peek", "read_stored"]


SINCE: Final = "0004"
"""The shape of the database that first had overrides."""


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the store says of the configuration. ``secrets`` are the opened ones, by id; ``resealed`` how many got a new seal."""

    found: OverrideSet
    secrets: Mapping[str, str]
    resealed: int = 0

    @property
    def overrides(self) -> tuple[Override, ...]:
        return overrides_of(self.found)


def overrides_of(found: OverrideSet) -> tuple[Override, ...]:
    """What is laid over the files."""
    return tuple(Override(each.section, each.name, each.document) for each in found.overrides)


def open_vault(data_dir: Path, look_up: Lookup) -> Vault:
    """What seals secrets here: with the key of the environment, or with that of the data directory."""
    current, before = store_keys(data_dir, look_up)
    return Vault(lambda: StoreKey(current()), [StoreKey(each) for each in before], os.urandom)


async def read_stored(url: URL, vault: Vault) -> Stored:
    """Bring the database into the shape this release knows, and read it. Secrets that an earlier key sealed are sealed anew.

    Raises ConfigError, also for secrets that were sealed with a key which nobody gave.
    """
    database = Database(url)
    try:
        await migrate(database)
        store = SqlOverrides(database)
        found = await store.all()
        if not found.secrets:
            return Stored(found=found, secrets={})
        anew = vault.resealed(found.secrets)
        if anew:
            await store.reseal(anew)
        return Stored(found=found, secrets=vault.open(found.secrets), resealed=len(anew))
    except StoreError as error:
        raise ConfigError(f"the store cannot be used: {error}") from error
    finally:
        await database.aclose()


async def peek(url: URL) -> OverrideSet:
    """The overrides as they are, whatever shape the database has; none where there is no database. Makes nothing.

    Raises ConfigError.
    """
    database = Database(url)
    try:
        if not database.there():
            return OverrideSet()
        version = await schema_version(database)
        return await SqlOverrides(database).all() if version is not None and version >= SINCE else OverrideSet()
    except StoreError as error:
        raise ConfigError(f"the store cannot be used: {error}") from error
    finally:
        await database.aclose()


def in_force(root: Path, artefact: Artefact, look_up: Lookup, stored: Stored) -> tuple[Base, Effective]:
    """What overrides are laid over, and what is served. Raises ConfigError where there is something that does not compile.

    Without overrides that is ``artefact`` itself, and nothing is compiled.
    """
    base = Base(sources=read_sources(root), catalog=Catalog.shipped(), look_up=look_up)
    if not stored.overrides:
        served = built(base, artefact, stored.secrets)
        demand(served.secrets)
        return base, served
    outcome = outcome_of(base, artefact, stored)
    if outcome.effective is not None:
        return base, outcome.effective
    said = "\n".join(f"  {item}" for item in outcome.diagnostics)
    raise ConfigError(
        f"what was changed through the management API does not compile with this build:\n{said}\n"
        "nothing is served without it, for it may be what keeps somebody out; `gatewright overrides` lists the changes and "
        "takes them back"
    )


def hidden(artefact: Artefact, served: Effective) -> tuple[str, ...]:
    """The connections of ``artefact``, the build, that are not served.

    A change took them away, or is older than they: it replaces a provider's list whole (`runtime.config.merge`).
    """
    return tuple(sorted(artefact.plan.connections.keys() - served.artefact.plan.connections.keys()))


def outcome_of(base: Base, artefact: Artefact, stored: Stored) -> Outcome:
    """What comes of laying the overrides over ``base``. Raises ConfigError where the catalogue is not the build's."""
    plain = compile_plan(base.sources, base.catalog)
    if plain.build != artefact.build:
        raise ConfigError(
            "the build was made of other schemas than those that came with this program, so that no override can be compiled "
            "with it; run `gatewright build` with this program"
        )
    return effective(base, stored.overrides, stored.secrets)
