"""Connections over HTTP: listed, added, changed, deleted, and tried. A credential that came in never goes out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.connections import (
    BatchTest,
    BatchTested,
    ConnectionAnswer,
    ConnectionDeleted,
    ConnectionList,
    ConnectionModel,
    ConnectionModels,
    ConnectionTest,
    ConnectionTested,
    ProviderConnection,
    Validation,
)
from generated.types.values import Document
from runtime.config.plan import Connection
from runtime.config.secrets import mask, read_reference
from runtime.errors import Conflict, InvalidRequest, NotFound, RouteUnavailable
from runtime.management.body import items_of, read_body, settings_of, shown
from runtime.management.connection import (
    api_id,
    connection_document,
    connection_name,
    placed,
    plan_id,
    provider_of,
    read_connection,
    specific_data,
    without,
)
from runtime.services.overrides import Change, Overrides
from runtime.services.reach import refuse_unreachable, server_of
from runtime.services.trial import Listed, Trial
from runtime.services.written import Entries, Written
from runtime.source import closest
from runtime.web.key import KeyRecord

__all__ = ["Connections", "told_listing"]

AT_ONCE: Final = 4
TRIED: Final = "gatewright-trial"
MAX_SHOWN: Final = 100


class _Validation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A credential to try."""

    provider: Annotated[str, Meta(min_length=1, max_length=200)]
    apiKey: Annotated[str, Meta(max_length=10_000)] | UnsetType | None = UNSET  # noqa: N815 — as clients write it
    baseUrl: Annotated[str, Meta(min_length=1, max_length=2000)] | UnsetType | None = UNSET  # noqa: N815
    customUserAgent: Annotated[str, Meta(max_length=500)] | UnsetType | None = UNSET  # noqa: N815
    variables: dict[str, str] | UnsetType | None = UNSET


class Connections:
    """Implements `generated.api.connections.ConnectionsService`. ``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, trial: Trial, now: Callable[[], float]) -> None:
        self._overrides = overrides
        self._written = Written(overrides, "providers", "provider")
        self._trial = trial
        self._now = now

    async def list_connections(self, caller: KeyRecord) -> ConnectionList:
        await self._written.manages(caller)
        connections = [self._shown(id_) for id_ in self._ids()]
        return ConnectionList(connections=connections, total=len(connections))

    async def get_connection(self, caller: KeyRecord, connection_id: str) -> ConnectionAnswer:
        await self._written.manages(caller)
        return ConnectionAnswer(connection=self._shown(self._known(connection_id)))

    async def create_connection(self, caller: KeyRecord, data: Document) -> ConnectionAnswer:
        await self._written.manages(caller)
        fields = read_connection(data)
        provider, called = fields.provider, fields.name
        if provider is UNSET or called is UNSET:
            missing = "provider" if provider is UNSET else "name"
            raise InvalidRequest(f"a new connection needs `{missing}`", param=missing)
        name = connection_name(called)
        document = {"id": name, **connection_document(fields)}
        await self._check_address(provider, document)

        def created() -> Entries:
            entry = settings_of(self._written.all().get(provider))
            if any(settings_of(each).get("id") == name for each in items_of(entry.get("connections"))):
                raise Conflict(f"{provider[:100]} has a connection {name!r}; change it with PUT, or give another name")
            priority = fields.priority if isinstance(fields.priority, int) else None
            return {provider: {**entry, "connections": placed(entry.get("connections"), document, priority)}}

        await self._written.edit(caller, "connection_created", created)
        return ConnectionAnswer(connection=self._shown(f"{provider}/{name}"))

    async def change_connection(self, caller: KeyRecord, data: Document, connection_id: str) -> ConnectionAnswer:
        await self._written.manages(caller)
        fields = read_connection(data)
        id_ = self._known(connection_id)
        provider, name = provider_of(id_)
        if fields.provider not in {UNSET, provider}:
            raise InvalidRequest("provider: a connection stays with its provider; make another one", param="provider")
        renamed = name if fields.name is UNSET else connection_name(fields.name)

        def changed() -> Entries:
            entry, before = self._entry(provider, name)
            document = {**connection_document(fields, before), "id": renamed}
            connections = [
                document if settings_of(each).get("id") == name else dict(settings_of(each))
                for each in items_of(entry.get("connections"))
            ]
            priority = fields.priority if isinstance(fields.priority, int) else None
            return {provider: {**entry, "connections": placed(connections, document, priority)}}

        await self._check_address(provider, connection_document(fields, self._entry(provider, name)[1]))
        await self._written.edit(caller, "connection_changed", changed)
        return ConnectionAnswer(connection=self._shown(f"{provider}/{renamed}"))

    async def patch_connection(self, caller: KeyRecord, data: Document, connection_id: str) -> ConnectionAnswer:
        return await self.change_connection(caller, data, connection_id)

    async def delete_connection(self, caller: KeyRecord, connection_id: str) -> ConnectionDeleted:
        await self._written.manages(caller)
        id_ = self._known(connection_id)
        provider, name = provider_of(id_)

        def deleted() -> Entries:
            entry, _ = self._entry(provider, name)
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
        fields = read_body(data, _Validation)
        written: dict[str, object] = {
            "id": TRIED,
            "key": fields.apiKey or None,
            "base_url": fields.baseUrl or None,
            "variables": fields.variables or None,
            "headers": {"user-agent": fields.customUserAgent} if fields.customUserAgent else None,
        }
        document: dict[str, object] = {name: value for name, value in written.items() if value is not None}
        await self._check_address(fields.provider, document)
        entry = settings_of(self._written.all().get(fields.provider))
        tried = {**entry, "connections": placed(entry.get("connections"), document, None)}
        found, _ = await self._overrides.check([Change(section="providers", name=fields.provider, document=tried)])
        server = server_of(found, f"{fields.provider}/{TRIED}")
        if server is None:
            raise InvalidRequest(f"{fields.provider[:100]} cannot be called without a credential", param="apiKey")
        return told_listing(await self._trial.listing(server))

    async def test_connection(self, caller: KeyRecord, data: ConnectionTest, connection_id: str) -> ConnectionTested:
        await self._written.manages(caller)
        id_ = self._known(connection_id)
        if data.model is UNSET:
            return await self._tested(id_)
        provider, _ = provider_of(id_)
        model = data.model if data.model.startswith(f"{provider}/") else f"{provider}/{data.model}"
        tried = await self._trial.live(caller, model, id_)
        return ConnectionTested(
            id=api_id(id_),
            connectionId=id_,
            valid=tried.status == "ok",
            error=tried.reason or UNSET,
            statusCode=UNSET if tried.http_status is None else tried.http_status,
            latencyMs=tried.took_ms or 0.0,
            testedAt=round(self._now(), 3),
            paid=True,
        )

    async def test_connections(self, caller: KeyRecord, data: BatchTest) -> BatchTested:
        await self._written.manages(caller)
        wanted = data.providerId if data.mode == "provider" else UNSET
        if data.mode == "provider" and not isinstance(wanted, str):
            raise InvalidRequest("mode `provider` needs `providerId`", param="providerId")
        places = asyncio.Semaphore(AT_ONCE)

        async def tested(id_: str) -> ConnectionTested:
            async with places:
                return await self._tested(id_)

        ids = [id_ for id_ in self._ids() if wanted in {UNSET, provider_of(id_)[0]} and self._status(id_) == "active"]
        results = await asyncio.gather(*map(tested, ids))
        return BatchTested(results=results, total=len(results), valid=sum(each.valid is True for each in results))

    async def list_connection_models(
        self, caller: KeyRecord, connection_id: str, refresh: bool = False
    ) -> ConnectionModels:
        await self._written.manages(caller)
        id_ = self._known(connection_id)
        provider, _ = provider_of(id_)
        plan = self._overrides.effective.artefact.plan
        configured = {each.facts.id: each for each in plan.models.values() if each.provider == provider}
        if not refresh:
            models = [
                ConnectionModel(id=name, name=each.facts.name or name, configured=True)
                for name, each in configured.items()
            ]
            return ConnectionModels(provider=provider, connectionId=api_id(id_), models=models, source="local")
        server = server_of(self._overrides.effective, id_)
        listed = (
            Listed(valid=False, message="its credential is absent")
            if server is None
            else await self._trial.listing(server)
        )
        if not listed.valid:
            raise RouteUnavailable(f"{provider} does not list its models now: {listed.message}")
        models = [ConnectionModel(id=name, name=name, configured=name in configured) for name in listed.models]
        return ConnectionModels(provider=provider, connectionId=api_id(id_), models=models, source="api")

    async def _tested(self, id_: str) -> ConnectionTested:
        server = server_of(self._overrides.effective, id_)
        if server is None:
            listed = Listed(valid=False, message="it cannot be called: its credential is absent, or it is disabled")
        else:
            listed = await self._trial.listing(server)
        said = told_listing(listed)
        return ConnectionTested(
            id=api_id(id_),
            connectionId=id_,
            valid=said.valid,
            error=said.error,
            warning=said.warning,
            statusCode=said.statusCode,
            latencyMs=said.latencyMs,
            testedAt=round(self._now(), 3),
            paid=False,
        )

    async def _check_address(self, provider: str, document: Mapping[str, object]) -> None:
        """Raises InvalidRequest for an address of a private network, unless the provider is on one's own."""
        url = document.get("base_url")
        if isinstance(url, str):
            known = self._overrides.effective.artefact.plan.providers.get(provider)
            written = settings_of(self._written.all().get(provider))
            local = written.get("local") is True or (known is not None and known.local)
            await refuse_unreachable(url, local=local)

    # -- what there is

    def _ids(self) -> list[str]:
        """The plan's connections, and those that are written for providers that the plan has no use for."""
        written = [
            f"{provider}/{settings_of(each).get('id')}"
            for provider, entry in self._written.all().items()
            for each in items_of(settings_of(entry).get("connections"))
        ]
        return list(dict.fromkeys([*written, *self._overrides.effective.artefact.plan.connections]))

    def _known(self, id_: str) -> str:
        """The plan's id of the connection that a path names. Raises NotFound."""
        found, ids = plan_id(id_), self._ids()
        if found not in ids:
            near = closest(found, ids)
            hint = f"; did you mean {api_id(near)!r}?" if near else ""
            raise NotFound(f"there is no connection {id_[:100]!r}{hint}")
        return found

    def _entry(self, provider: str, name: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """What is written of the provider, and of its connection. Raises Conflict where nothing is."""
        entry = settings_of(self._written.all().get(provider))
        for each in items_of(entry.get("connections")):
            if settings_of(each).get("id") == name:
                return entry, settings_of(each)
        raise Conflict(
            f"the connection {name[:100]!r} of {provider[:100]} is there without being written: the environment has its "
            "credential, or it needs none; add one of its own, or exclude the provider in `discovery`"
        )

    def _status(self, id_: str) -> Literal["active", "dark", "disabled"]:
        effective = self._overrides.effective
        known = effective.artefact.plan.connections.get(id_)
        if known is not None and not known.enabled:
            return "disabled"
        return "active" if id_ in effective.secrets.connections else "dark"

    def _shown(self, id_: str) -> ProviderConnection:
        provider, name = provider_of(id_)
        plan = self._overrides.effective.artefact.plan
        entries = items_of(settings_of(self._written.all().get(provider)).get("connections"))
        names = [settings_of(each).get("id") for each in entries]
        document = settings_of(entries[names.index(name)]) if name in names else _unwritten(plan.connections.get(id_))
        status, limits, proxy = self._status(id_), items_of(document.get("limits")), document.get("proxy")
        most = document.get("max_in_flight")
        answer = ProviderConnection(
            id=api_id(id_),
            connectionId=id_,
            provider=provider,
            authType="apikey" if document.get("key") is not None else "none",
            name=name,
            isActive=status != "disabled",
            testStatus=status,
            providerSpecificData=shown(specific_data(document)),
            source=self._written.origin(provider) if name in names else "discovered",
        )
        if document.get("key") is not None:
            answer.apiKey = self._masked(id_, str(document["key"]))
        if name in names:
            answer.priority = names.index(name) + 1
        if isinstance(most, int):
            answer.maxConcurrent = most
        if limits:
            answer.limits = [shown(each) for each in limits]
        if proxy is not None:
            answer.proxy = shown(self._shown_proxy(settings_of(proxy)))
        return answer

    def _masked(self, id_: str, written: str) -> str:
        """A reference to the environment or a file as it is; of what the store holds, its end."""
        reference = read_reference(written)
        if reference is not None and reference.stored is None:
            return written
        return mask(self._overrides.effective.secrets.connections.get(id_) or "")

    def _shown_proxy(self, proxy: Mapping[str, object]) -> Mapping[str, object]:
        password = proxy.get("password")
        reference = read_reference(password) if isinstance(password, str) else None
        hidden = reference is not None and reference.stored is not None
        return {**proxy, "password": mask("")} if hidden else proxy


def _unwritten(connection: Connection | None) -> Mapping[str, object]:
    """What would be written of a connection that is there by itself."""
    if connection is None or connection.secret is None:
        return {}
    return {"key": str(connection.secret)}


def told_listing(listed: Listed) -> Validation:
    """What was learned of a server that was asked for its models."""
    return Validation(
        valid=listed.valid,
        error=listed.message if listed.valid is False else UNSET,
        warning=listed.message if listed.valid is None else UNSET,
        statusCode=UNSET if listed.status is None else listed.status,
        method="models",
        latencyMs=listed.took_ms,
        models=list(listed.models[:MAX_SHOWN]) if listed.models else UNSET,
    )
