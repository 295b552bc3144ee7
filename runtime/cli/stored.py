"""The store of a project, for commands: which overrides lie over its configuration, and taking them back.

Reads the files, not the build: what is asked about may be what keeps a build from being served.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from sqlalchemy.engine import URL

from runtime.cli.project import project_sources
from runtime.cli.report import as_text, summary
from runtime.cli.terminal import FAULT, Stop, note
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.effective import Base
from runtime.config.export import files_of, narrowed
from runtime.config.files import MAIN
from runtime.config.load import load
from runtime.config.override import Override
from runtime.config.secrets import environment, read_reference
from runtime.in_force import overrides_of, peek
from runtime.source import Diagnostics
from runtime.stores.audit import AuditEntry
from runtime.stores.base import StoreError
from runtime.stores.database import Database, database_url
from runtime.stores.migrate import migrate
from runtime.stores.overrides import OverrideChange, OverrideSet, SqlOverrides, StoredOverride

__all__ = ["base_of", "drop", "lay", "overrides_below", "stored_below"]

AUTHOR: Final = "gatewright"
"""Who it was, where it was nobody's key."""


def base_of(root: Path) -> Base:
    """What overrides are laid over: the files below ``root`` as they are now."""
    return Base(sources=project_sources(root), catalog=Catalog.shipped(), look_up=environment(root))


def stored_below(root: Path) -> OverrideSet:
    """What the store of the project below ``root`` holds. Raises Stop without a readable gateway.yaml, ConfigError."""
    return asyncio.run(peek(_url(root)))


def overrides_below(root: Path) -> tuple[Override, ...]:
    """The overrides of the project below ``root``. Raises as `stored_below` does."""
    return overrides_of(stored_below(root))


def lay(root: Path, overrides: Sequence[Override]) -> None:
    """Lay ``overrides`` over the configuration below ``root``, beside those that are there. Raises Stop, with every fault."""
    asyncio.run(_lay(_url(root), base_of(root), overrides))


async def _lay(url: URL, base: Base, overrides: Sequence[Override]) -> None:
    database = Database(url)
    store = SqlOverrides(database)
    try:
        await migrate(database)
        found = await store.all()
        files = files_of(base.sources)
        changed = {(each.section, each.name): narrowed(files, each) for each in overrides}
        before = {(each.section, each.name): each for each in overrides_of(found)}
        laid = {place: each for place, each in {**before, **changed}.items() if each is not None}
        compiled = compile_plan(base.sources, base.catalog, [laid[place] for place in sorted(laid)])
        if compiled.artefact is None:
            note(as_text(compiled.diagnostics))
            raise Stop(FAULT, f"{summary(compiled.diagnostics)}; nothing was laid over the configuration")
        now_s = round(time.time(), 3)
        put = tuple(
            StoredOverride(section=each.section, name=each.name, document=each.text, author=AUTHOR, changed_s=now_s)
            for each in changed.values()
            if each is not None
        )
        taken = tuple(place for place, each in changed.items() if each is None and place in before)
        entry = _entry("configuration.imported", put)
        change = OverrideChange(put=put, taken=taken)
        made = await store.change(change, found.revision, [entry]) if put or taken else found.revision
    except StoreError as error:
        raise Stop(FAULT, f"the store cannot be used: {error}") from error
    finally:
        await database.aclose()
    if made is None:
        raise Stop(FAULT, "the configuration was changed meanwhile; nothing was laid over it")


def drop(root: Path, names: Sequence[str]) -> tuple[StoredOverride, ...]:
    """Take back the overrides called ``names`` (`combos/smart`); which those are. Raises Stop for one there is not."""
    return asyncio.run(_drop(_url(root), names))


async def _drop(url: URL, names: Sequence[str]) -> tuple[StoredOverride, ...]:
    database = Database(url)
    store = SqlOverrides(database)
    try:
        found = await store.all()
        known = {f"{each.section}/{each.name}": each for each in found.overrides}
        for name in names:
            if name not in known:
                raise Stop(FAULT, f"there is no override {name!r}; `gatewright overrides` lists them")
        taken = tuple(known[name] for name in dict.fromkeys(names))
        entry = _entry("configuration.taken_back", taken)
        change = OverrideChange(taken=tuple((each.section, each.name) for each in taken))
        made = await store.change(change, found.revision, [entry]) if taken else found.revision
    except StoreError as error:
        raise Stop(FAULT, f"the store cannot be used: {error}") from error
    finally:
        await database.aclose()
    if made is None:
        raise Stop(FAULT, "the configuration was changed meanwhile; nothing was taken back")
    return taken


def _entry(action: str, about: Sequence[StoredOverride]) -> AuditEntry:
    return AuditEntry(
        id=uuid.uuid4().hex,
        at_s=round(time.time(), 3),
        action=action,
        actor=AUTHOR,
        target=", ".join(f"{each.section}.{each.name}" for each in about),
        resource_type=about[0].section if about else "",
    )


def _url(root: Path) -> URL:
    """Where the store is. Raises Stop, or ConfigError for a URL that names no database."""
    loaded = load(project_sources(root), Diagnostics())
    if loaded is None:
        raise Stop(FAULT, f"{MAIN} cannot be read; see `gatewright check`")
    written = loaded.config.store.url
    reference = read_reference(written) if written is not None else None
    found = environment(root)(reference) if reference is not None else None
    if written is not None and found is None:
        raise Stop(FAULT, f"`store.url` refers to {reference or 'nothing'}, which is not set here")
    return database_url(found, root / loaded.config.server.data_dir)
