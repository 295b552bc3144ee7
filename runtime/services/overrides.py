"""Changing the configuration while the gateway runs: compiled as the files are, kept in the store, in force in every worker.

A change that does not compile changes nothing and is told why. One that does is written with its author and its entry in
the audit log in one transaction, is in force here when `Overrides.change` returns, and is news for the other workers,
who ask the store for its revision twice a second besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Final, TypeVar

import msgspec

from runtime.config.effective import Base, Effective, effective, faults
from runtime.config.export import files_of
from runtime.config.override import Held, Override
from runtime.errors import ConfigError, Conflict, PermissionDenied, Refused, RouteUnavailable
from runtime.services.audit import Audit
from runtime.services.documents import (
    REMOVED,
    Removed,
    Row,
    Sealed,
    narrowed_rows,
    referenced,
    rows_of,
    sealed_rows,
    written_names,
)
from runtime.services.turns import Turns
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues
from runtime.source import MappingNode
from runtime.stores.base import StoreError
from runtime.stores.overrides import OverrideChange, OverrideSet, SealedSecret, SqlOverrides, StoredOverride
from runtime.stores.vault import Vault
from runtime.web.key import KeyRecord

__all__ = ["OVERRIDES", "REMOVED", "Change", "Overrides", "Removed"]

OVERRIDES: Final = "overrides"
"""The kind of news: overrides were changed."""

CHANGED: Final = "configuration.changed"
"""What the audit log calls a change where nobody says what it is."""

POLL_S: Final = 0.5

PATIENCE_S: Final = 60.0
"""For how long a change is made anew where machines that share no turns are faster."""

_T = TypeVar("_T")


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """One entry, one setting, or the settings of one section.

    ``section`` is a section of gateway.yaml. ``name`` is an entry of a map section or a setting of another; without it
    ``document`` holds settings by name, each of which is changed. ``document`` is what gateway.yaml would say, as data or,
    for an entry of a map, as YAML text; None takes the override back, so that the files hold again. A secret that stands
    in the clear where a reference belongs is kept encrypted, and a reference to it takes its place.
    """

    section: str
    name: str | None = None
    document: object = None


class Overrides:
    """``prepare`` builds what serves a configuration, and gives what puts it in force in this worker; ``now`` gives Unix seconds."""

    def __init__(
        self,
        base: Base,
        started: Effective,
        revision: int,
        store: SqlOverrides,
        vault: Vault,
        audit: Audit,
        colleagues: Colleagues,
        turns: Turns,
        prepare: Callable[[Effective], Awaitable[Callable[[], None]]],
        now: Callable[[], float],
        on_fault: Callable[[Exception, str], None],
        *,
        read_only: bool,
    ) -> None:
        self._base = base
        self._effective = started
        self._revision = revision
        self._store = store
        self._vault = vault
        self._audit = audit
        self._colleagues = colleagues
        self._turns = turns
        self._prepare = prepare
        self._now = now
        self._on_fault = on_fault
        self._read_only = read_only
        self._turn = asyncio.Lock()
        self._wake = asyncio.Event()
        self._refused = -1
        self._failing = False

    # -- what is in force

    @property
    def config(self) -> Mapping[str, object]:
        """The sections of the configuration as they are written, overrides included; secrets are references."""
        return self._effective.config

    @property
    def effective(self) -> Effective:
        return self._effective

    @property
    def revision(self) -> int:
        """Which change was the last."""
        return self._revision

    def overridden(self, section: str) -> frozenset[str]:
        """The entries or settings of ``section`` that are not the files' own, those taken away included."""
        return frozenset(each.name for each in self._effective.overrides if each.section == section)

    @property
    def behind(self) -> str | None:
        """Why a change that others made is not in force here; None where all are."""
        if self._refused <= self._revision:
            return None
        return f"revision {self._refused} of the configuration cannot be served here; {self._revision} is"

    async def stored(self) -> OverrideSet:
        """All overrides with their authors and times. Raises RouteUnavailable."""
        return await self._ask(self._store.all())

    # -- changing it

    async def change(
        self,
        changes: Sequence[Change],
        author: KeyRecord | str,
        *,
        expected: int | None = None,
        action: str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> int:
        """Make ``changes``, all of them or none; the revision afterwards.

        ``expected`` is the revision that the author knows. ``action`` is what the audit log calls it
        (`combo.created`), ``details`` what it says beside the names of what was changed.

        Raises Refused with what the compiler says, Conflict where ``expected`` is not the revision any more,
        PermissionDenied where management is read only, InvalidRequest for a change that names nothing, RouteUnavailable
        while the store cannot be reached.
        """
        self._demand_writable()
        rows = [row for each in changes for row in rows_of(each.section, each.name, each.document)]
        revision: int | None = None
        async with self._turns.mine():
            until_s = self._until_s()
            while revision is None:
                revision = await self._once(rows, author, expected, action, details, until_s)
        await self._tell()
        return revision

    async def edit(self, made: Callable[[], Sequence[Change]], author: KeyRecord | str, action: str) -> None:
        """Make the changes that ``made`` makes of what is in force then; anew where somebody else was faster.

        Raises what ``made`` raises, and as `change`.
        """
        self._demand_writable()
        async with self._turns.mine():
            until_s = self._until_s()
            while True:
                await self.catch_up()
                if self.behind is not None:
                    raise RouteUnavailable(f"nothing was changed: {self.behind}")
                revision, changes = self._revision, made()
                if not changes:
                    return
                rows = [row for each in changes for row in rows_of(each.section, each.name, each.document)]
                try:
                    done = await self._once(rows, author, revision, action, None, until_s)
                except Conflict:
                    self._demand_patience(until_s)
                    continue
                if done is not None:
                    break
        await self._tell()

    def _demand_writable(self) -> None:
        if self._read_only:
            raise PermissionDenied(
                "the configuration cannot be changed here: `server.management` is `read_only`; change gateway.yaml and build"
            )

    def _until_s(self) -> float:
        return asyncio.get_running_loop().time() + PATIENCE_S

    def _demand_patience(self, until_s: float) -> None:
        if asyncio.get_running_loop().time() > until_s:
            raise RouteUnavailable("others change the configuration all the time; nothing was changed", retry_after_s=1)

    async def _once(
        self,
        rows: Sequence[Row],
        author: KeyRecord | str,
        expected: int | None,
        action: str | None,
        details: Mapping[str, object] | None,
        until_s: float,
    ) -> int | None:
        """The revision afterwards; None where somebody else was faster."""
        try:
            async with self._turn:
                revision = await self._try(rows, author, expected, action, details)
        except Refused as refused:
            await self._note_refused(rows, author, action, refused)
            raise
        except ConfigError as error:  # a store key that is not the others', a part of the program that is not there
            raise RouteUnavailable(f"nothing was changed: {error.message}") from error
        if revision is None:
            self._demand_patience(until_s)
        return revision

    async def check(self, changes: Sequence[Change]) -> tuple[Effective, Sequence[str]]:
        """What ``changes`` would put in force, and what the compiler doubts. Changes nothing. Raises as `change` does."""
        rows = [row for each in changes for row in rows_of(each.section, each.name, each.document)]
        found = await self._ask(self._store.all())
        sealed = self._sealed(found, rows)
        secrets = self._vault.open((*found.secrets, *sealed.secrets))
        return await self._compiled(_overrides(self._laid(found, sealed.rows)), secrets, _held(found, sealed))

    async def demand_fit(self, found: OverrideSet, *, ours: bool) -> None:
        """Raises Refused, or ConfigError for secrets that do not open, where ``found`` could not be in force here.

        Where it may have been changed, and is not ``ours``, secrets go where those of the store go now, and nowhere else.
        """
        overrides = _overrides({(each.section, each.name): each.document for each in found.overrides})
        held = None if ours else _held(await self._ask(self._store.all()), Sealed((), (), frozenset()))
        await self._compiled(overrides, self._vault.open(found.secrets), held)

    async def _try(
        self,
        rows: Sequence[Row],
        author: KeyRecord | str,
        expected: int | None,
        action: str | None,
        details: Mapping[str, object] | None,
    ) -> int | None:
        """One try; None where somebody else was faster."""
        found = await self._ask(self._store.all())
        if expected is not None and expected != found.revision:
            raise Conflict(f"the configuration is at revision {found.revision} meanwhile, not at {expected}")
        sealed = self._sealed(found, rows)
        laid = self._laid(found, sealed.rows)
        if laid == {(each.section, each.name): each.document for each in found.overrides}:
            return found.revision
        secrets = self._vault.open((*found.secrets, *sealed.secrets))
        overrides = _overrides(laid)
        new, _ = await self._compiled(overrides, secrets, _held(found, sealed))
        used = referenced(self._base.sources, overrides)
        who = author.id if isinstance(author, KeyRecord) else author
        changed = {(row.section, row.name): row for row in sealed.rows}
        change = OverrideChange(
            put=tuple(_stored(row, who, self._now()) for place, row in changed.items() if place in laid),
            taken=tuple(place for place in changed if place not in laid),
            secrets=sealed.secrets,
            forgotten=tuple(each.id for each in found.secrets if each.id not in used),
        )
        entry = self._audit.entry(
            action or CHANGED,
            actor=author,
            target=_targets(rows),
            resource_type=rows[0].section if rows else "",
            details={"revision": found.revision + 1, "build": new.artefact.build, **(details or {})},
        )
        switch = await self._prepare(new)
        revision = await self._ask(self._store.change(change, found.revision, [entry]))
        if revision is not None:
            self._put_in_force(new, revision, switch)
        return revision

    async def _note_refused(
        self, rows: Sequence[Row], author: KeyRecord | str, action: str | None, refused: Refused
    ) -> None:
        """Who tried is in the audit log, too; that it cannot be written there changes nothing."""
        codes = sorted({fault.code for fault in refused.faults if fault.severity == "error"})
        with suppress(StoreError):
            await self._audit.write(
                action or CHANGED,
                actor=author,
                target=_targets(rows),
                resource_type=rows[0].section if rows else "",
                status="refused",
                details={"codes": codes},
            )

    async def _compiled(
        self, overrides: Sequence[Override], secrets: Mapping[str, str], held: Held | None = None
    ) -> tuple[Effective, Sequence[str]]:
        outcome = await asyncio.to_thread(effective, self._base, overrides, secrets, held)
        if outcome.effective is None:
            raise Refused(faults(outcome.diagnostics, overrides))
        return outcome.effective, [str(item) for item in outcome.diagnostics]

    def _put_in_force(self, found: Effective, revision: int, switch: Callable[[], None]) -> None:
        switch()
        self._effective, self._revision = found, revision

    def _sealed(self, found: OverrideSet, rows: Sequence[Row]) -> Sealed:
        """``rows`` without secrets, and the secrets that are new. One that is kept already is referred to where it is."""
        kept = {secret: id_ for id_, secret in self._vault.open(found.secrets).items()}
        new: list[SealedSecret] = []
        given: set[str] = set()

        def put_away(secret: str) -> str:
            if secret not in kept:
                new.append(self._vault.seal(secret, self._now()))
                kept[secret] = new[-1].id
            given.add(kept[secret])
            return kept[secret]

        laid = narrowed_rows(sealed_rows(rows, put_away), self._files)
        return Sealed(laid, tuple(new), frozenset(given))

    def _laid(self, found: OverrideSet, rows: Sequence[Row]) -> dict[tuple[str, str], str | None]:
        """What is laid over the files after a change by ``rows``."""
        laid = {(each.section, each.name): each.document for each in found.overrides}
        for row in rows:
            place = (row.section, row.name)
            if row.document is None or (row.document is REMOVED and place not in self._written):
                laid.pop(place, None)
            else:
                laid[place] = None if isinstance(row.document, Removed) else row.document
        return laid

    @cached_property
    def _files(self) -> MappingNode:
        return files_of(self._base.sources)

    @cached_property
    def _written(self) -> frozenset[tuple[str, str]]:
        return written_names(self._base.sources)

    # -- hearing of changes

    def told(self, _: bytes) -> None:
        """What is done at OVERRIDES."""
        self._wake.set()

    async def refresh(self) -> None:
        """Put in force what the store holds, if it was changed. Raises StoreError, or Refused where it does not compile here."""
        if await self._store.revision() == self._revision:
            return
        async with self._turn:
            found = await self._store.all()
            if found.revision in {self._revision, self._refused}:
                return
            overrides = _overrides({(each.section, each.name): each.document for each in found.overrides})
            try:
                new, _ = await self._compiled(overrides, self._vault.open(found.secrets))
                switch = await self._prepare(new)
            except (Refused, ConfigError):
                self._refused = found.revision
                raise
            self._put_in_force(new, found.revision, switch)

    async def run(self) -> None:
        """Until it is cancelled: follow what other workers and machines change."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await self._wake.wait()
            self._wake.clear()
            await self.catch_up()

    async def catch_up(self) -> None:
        """`refresh`; where that fails, what is in force stays, and it is said: each change that is refused, all else once."""
        try:
            await self.refresh()
            self._failing = False
        except (Refused, ConfigError) as error:
            self._on_fault(error, "")
            self._failing = False
        except Exception as error:  # noqa: BLE001 — whatever it is: who stopped looking would never hear of a change again
            if not self._failing:
                self._on_fault(error, "")
            self._failing = True

    async def _tell(self) -> None:
        with suppress(SharedError):  # they ask the store themselves
            await self._colleagues.tell(OVERRIDES, b"")

    async def _ask(self, answer: Awaitable[_T]) -> _T:
        try:
            return await answer
        except StoreError as error:
            raise RouteUnavailable("the store of the configuration cannot be reached now", retry_after_s=1) from error


def _held(found: OverrideSet, sealed: Sealed) -> Held:
    """What a change meets."""
    before = _overrides({(each.section, each.name): each.document for each in found.overrides})
    return Held(before=before, given=sealed.given)


def _targets(rows: Sequence[Row]) -> str:
    return ", ".join(f"{row.section}.{row.name}" for row in rows)


def _overrides(laid: Mapping[tuple[str, str], str | None]) -> tuple[Override, ...]:
    return tuple(Override(section, name, document) for (section, name), document in sorted(laid.items()))


def _stored(row: Row, author: str, now_s: float) -> StoredOverride:
    document = None if isinstance(row.document, Removed) else row.document
    return StoredOverride(section=row.section, name=row.name, document=document, author=author, changed_s=now_s)
