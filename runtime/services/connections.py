"""Connections over HTTP: listed, added, changed, deleted, and tried. A credential that came in never goes out."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import UNSET

from generated.types.connections import (
    BatchTest,
    BatchTested,
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionList,
    ConnectionModels,
    ConnectionTest,
    ConnectionTested,
    Validation,
)
from generated.types.values import Document
from runtime.errors import Conflict, InvalidRequest
from runtime.management.body import items_of, settings_of
from runtime.management.connection import (
    api_id,
    connection_document,
    connection_name,
    placed,
    provider_of,
    read_connection,
    without,
)
from runtime.services.accounts import Accounts
from runtime.services.connection_trials import ConnectionTrials
from runtime.services.overrides import Overrides
from runtime.services.trial import Trial
from runtime.services.written import Entries
from runtime.web.key import KeyRecord

__all__ = ["Connections"]


class Connections:
    """Implements `generated.api.connections.ConnectionsService`. ``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, trial: Trial, now: Callable[[], float]) -> None:
        self._accounts = Accounts(overrides)
        self._written = self._accounts.written
        self._trials = ConnectionTrials(overrides, self._accounts, trial, now)

    async def list_connections(self, caller: KeyRecord) -> ConnectionList:
        await self._written.manages(caller)
        connections = [self._accounts.shown(id_) for id_ in self._accounts.ids()]
        return ConnectionList(connections=connections, total=len(connections))

    async def get_connection(self, caller: KeyRecord, connection_id: str) -> ConnectionAnswer:
        await self._written.manages(caller)
        return ConnectionAnswer(connection=self._accounts.shown(self._accounts.known(connection_id)))

    async def create_connection(self, caller: KeyRecord, data: Document) -> ConnectionAnswer:
        await self._written.manages(caller)
        fields = read_connection(data)
        provider, called = fields.provider, fields.name
        if provider is UNSET or called is UNSET:
            missing = "provider" if provider is UNSET else "name"
            raise InvalidRequest(f"a new connection needs `{missing}`", param=missing)
        name = connection_name(called)
        document = {"id": name, **connection_document(fields)}
        await self._accounts.check_address(provider, document)

        def created() -> Entries:
            entry = settings_of(self._written.all().get(provider))
            if any(settings_of(each).get("id") == name for each in items_of(entry.get("connections"))):
                raise Conflict(f"{provider[:100]} has a connection {name!r}; change it with PUT, or give another name")
            priority = fields.priority if isinstance(fields.priority, int) else None
            return {provider: {**entry, "connections": placed(entry.get("connections"), document, priority)}}

        await self._written.edit(caller, "connection_created", created)
        return ConnectionAnswer(connection=self._accounts.shown(f"{provider}/{name}"))

    async def change_connection(self, caller: KeyRecord, data: Document, connection_id: str) -> ConnectionAnswer:
        await self._written.manages(caller)
        fields = read_connection(data)
        id_ = self._accounts.known(connection_id)
        provider, name = provider_of(id_)
        if fields.provider not in {UNSET, provider}:
            raise InvalidRequest("provider: a connection stays with its provider; make another one", param="provider")
        renamed = name if fields.name is UNSET else connection_name(fields.name)

        def changed() -> Entries:
            entry, before = self._accounts.entry(provider, name)
            document = {**connection_document(fields, before), "id": renamed}
            connections = [
                document if settings_of(each).get("id") == name else dict(settings_of(each))
                for each in items_of(entry.get("connections"))
            ]
            priority = fields.priority if isinstance(fields.priority, int) else None
            return {provider: {**entry, "connections": placed(connections, document, priority)}}

        await self._accounts.check_address(
            provider, connection_document(fields, self._accounts.entry(provider, name)[1])
        )
        await self._written.edit(caller, "connection_changed", changed)
        return ConnectionAnswer(connection=self._accounts.shown(f"{provider}/{renamed}"))

    async def patch_connection(self, caller: KeyRecord, data: Document, connection_id: str) -> ConnectionAnswer:
        return await self.change_connection(caller, data, connection_id)

    async def delete_connection(self, caller: KeyRecord, connection_id: str) -> ConnectionDeleted:
        await self._written.manages(caller)
        id_ = self._accounts.known(connection_id)
        provider, name = provider_of(id_)

        def deleted() -> Entries:
            entry, _ = self._accounts.entry(provider, name)
            rest = {key: value for key, value in entry.items() if key != "connections"}
            left = without(entry.get("connections"), name)
            if left:
                return {provider: {**rest, "connections": left}}
            return {provider: rest or None} if self._written.origin(provider) == "override" else {provider: rest}

        await self._written.edit(caller, "connection_deleted", deleted)
        return ConnectionDeleted(id=api_id(id_), deleted=True)

    # -- trying

    async def validate_connection(self, caller: KeyRecord, data: Document) -> Validation:
        await self._written.manages(caller)
        return await self._trials.validate(data)

    async def test_connection(
        self, caller: KeyRecord, data: ConnectionTest | None, connection_id: str
    ) -> ConnectionTested:
        await self._written.manages(caller)
        id_ = self._accounts.known(connection_id)
        model = UNSET if data is None else data.model
        return await (self._trials.one(id_) if model is UNSET else self._trials.live(caller, id_, model))

    async def test_connections(self, caller: KeyRecord, data: BatchTest) -> BatchTested:
        await self._written.manages(caller)
        return await self._trials.many(data)

    async def list_connection_models(
        self, caller: KeyRecord, connection_id: str, refresh: bool = False
    ) -> ConnectionModels:
        await self._written.manages(caller)
        return await self._trials.models(self._accounts.known(connection_id), refresh=refresh)
