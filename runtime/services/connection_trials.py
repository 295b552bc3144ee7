"""Trying connections: credentials that are not kept, connections one by one and all at once, and what models they have.

Nothing is spent unless a model is named.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.connections import (
    BatchTest,
    BatchTested,
    ConnectionModel,
    ConnectionModels,
    ConnectionTested,
    Validation,
)
from generated.types.values import Document
from runtime.errors import InvalidRequest, RouteUnavailable
from runtime.management.body import read_body, settings_of
from runtime.management.connection import api_id, placed, provider_of
from runtime.services.accounts import Accounts
from runtime.services.overrides import Change, Overrides
from runtime.services.reach import server_of
from runtime.services.trial import Listed, Trial
from runtime.web.key import KeyRecord

__all__ = ["ConnectionTrials", "told_listing"]

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


class ConnectionTrials:
    """``now`` gives Unix seconds."""

    def __init__(self, overrides: Overrides, accounts: Accounts, trial: Trial, now: Callable[[], float]) -> None:
        self._overrides = overrides
        self._accounts = accounts
        self._trial = trial
        self._now = now

    async def validate(self, data: Document) -> Validation:
        """Try a credential without keeping it. Raises InvalidRequest or Refused."""
        fields = read_body(data, _Validation)
        written: dict[str, object] = {
            "id": TRIED,
            "key": fields.apiKey or None,
            "base_url": fields.baseUrl or None,
            "variables": fields.variables or None,
            "headers": {"user-agent": fields.customUserAgent} if fields.customUserAgent else None,
        }
        document: dict[str, object] = {name: value for name, value in written.items() if value is not None}
        public = await self._accounts.check_address(fields.provider, document)
        entry = settings_of(self._accounts.written.all().get(fields.provider))
        tried = {**entry, "connections": placed(entry.get("connections"), document, None)}
        found, _ = await self._overrides.check([Change(section="providers", name=fields.provider, document=tried)])
        server = server_of(found, f"{fields.provider}/{TRIED}")
        if server is None:
            raise InvalidRequest(f"{fields.provider[:100]} cannot be called without a credential", param="apiKey")
        return told_listing(await self._trial.listing(msgspec.structs.replace(server, public=public)))

    async def live(self, caller: KeyRecord, id_: str, wanted: str) -> ConnectionTested:
        """Ask the model ``wanted`` for a few tokens."""
        provider, _ = provider_of(id_)
        model = wanted if wanted.startswith(f"{provider}/") else f"{provider}/{wanted}"
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

    async def many(self, data: BatchTest) -> BatchTested:
        """Ask for the lists of models of all that can be called. Raises InvalidRequest."""
        wanted = data.providerId if data.mode == "provider" else UNSET
        if data.mode == "provider" and not isinstance(wanted, str):
            raise InvalidRequest("mode `provider` needs `providerId`", param="providerId")
        places = asyncio.Semaphore(AT_ONCE)

        async def tested(id_: str) -> ConnectionTested:
            async with places:
                return await self.one(id_)

        ids = [
            id_
            for id_ in self._accounts.ids()
            if wanted in {UNSET, provider_of(id_)[0]} and self._accounts.status(id_) == "active"
        ]
        results = await asyncio.gather(*map(tested, ids))
        return BatchTested(results=results, total=len(results), valid=sum(each.valid is True for each in results))

    async def models(self, id_: str, *, refresh: bool) -> ConnectionModels:
        """The models of a connection. Raises RouteUnavailable."""
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

    async def one(self, id_: str) -> ConnectionTested:
        """Ask for the list of models."""
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
