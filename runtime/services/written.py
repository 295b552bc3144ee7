"""A section of the configuration as it is written, for operations that show and change its entries one by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Literal, TypeAlias

import msgspec

from runtime.errors import ConfigError, NotFound, Refused
from runtime.management.body import Document, settings_of
from runtime.services.overrides import REMOVED, Change, Overrides
from runtime.source import closest
from runtime.stores.base import StoreError
from runtime.web.key import KeyRecord

__all__ = ["Entries", "Origin", "Written", "edit"]

Entries: TypeAlias = Mapping[str, object]
"""Entries by their names as they are to be written, None for one that goes."""

Origin: TypeAlias = Literal["config", "override"]


class Written:
    """``section`` is a map of gateway.yaml, ``what`` what one of its entries is called."""

    def __init__(self, overrides: Overrides, section: str, what: str) -> None:
        self._overrides = overrides
        self._section = section
        self._what = what

    async def manages(self, caller: KeyRecord) -> None:
        """Before a change: the key may make it, and what others changed is known. Raises PermissionDenied."""
        caller.require_manages()
        await self._fresh()

    async def reads(self, caller: KeyRecord) -> None:
        """Before an answer: the key may have it, and what others changed is in it. Raises PermissionDenied."""
        caller.require_operator()
        await self._fresh()

    def all(self) -> Mapping[str, object]:
        """The entries in the order in which they are written."""
        return settings_of(self._overrides.config.get(self._section))

    def document(self, name: str) -> Document:
        """The entry ``name``, of a map of records. Raises NotFound."""
        found = self.all()
        if name not in found:
            near = closest(name, found)
            hint = f"; did you mean {near!r}?" if near else ""
            raise NotFound(f"there is no {self._what} {name[:100]!r}{hint}")
        return dict(settings_of(found[name]))

    def origin(self, name: str) -> Origin:
        """Where the entry ``name`` stands."""
        return "override" if name in self._overrides.overridden(self._section) else "config"

    def in_files(self, name: str) -> bool:
        """Whether the files have an entry ``name``, also one that an override hides."""
        files = msgspec.structs.replace(self._overrides.effective, overrides=())
        return name in settings_of(files.config.get(self._section))

    async def edit(self, caller: KeyRecord, happened: str, edited: Callable[[], Entries]) -> None:
        """Write what ``edited`` makes of what is written now, all of it or nothing; it is made anew where others were faster.

        Raises what ``edited`` raises, and as `Overrides.change`.
        """

        def changes() -> list[Change]:
            return [
                Change(section=self._section, name=name, document=REMOVED if document is None else document)
                for name, document in edited().items()
            ]

        await edit(self._overrides, caller, f"{self._what.replace(' ', '_')}.{happened}", changes)

    async def _fresh(self) -> None:
        """Know what others changed, where that can be known now."""
        with suppress(StoreError, Refused, ConfigError):
            await self._overrides.refresh()


async def edit(overrides: Overrides, caller: KeyRecord, action: str, changes: Callable[[], list[Change]]) -> None:
    """Make the changes that ``changes`` makes of what is written now. Raises as `Written.edit`."""
    await overrides.edit(changes, caller, action)
