"""Proxies: where they are written, how a request to change them changes that, and whether one works."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.settings import ProxyTested
from runtime.errors import InvalidRequest, NotFound
from runtime.management.body import items_of, read_body, settings_of
from runtime.management.connection import api_id, plan_id, provider_of
from runtime.management.proxy import proxy_document, proxy_url
from runtime.services.overrides import REMOVED, Change, Overrides
from runtime.services.reach import refuse_unreachable, server_of
from runtime.services.trial import Trial

__all__ = ["Proxying"]

Level = Literal["global", "provider", "connection"]


class _Body(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either proxies by their places, or one with its level."""

    global_: dict[str, object] | UnsetType | None = msgspec.field(name="global", default=UNSET)
    providers: dict[str, dict[str, object] | None] = {}
    connections: dict[str, dict[str, object] | None] = {}
    level: Level | UnsetType = UNSET
    id: str | UnsetType = UNSET
    proxy: dict[str, object] | UnsetType | None = UNSET
    combos: Annotated[dict[str, object], Meta(max_length=0)] = {}
    keys: Annotated[dict[str, object], Meta(max_length=0)] = {}


class _Test(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    proxy: dict[str, object]
    connectionId: str | UnsetType = UNSET  # noqa: N815 — as clients write it


class Proxying:
    """Over the configuration as it is written."""

    def __init__(self, overrides: Overrides, trial: Trial) -> None:
        self._overrides = overrides
        self._trial = trial

    def written(self) -> Iterator[tuple[Literal["provider", "connection"], str, object]]:
        """Proxies of their own: of whom, and what is written."""
        for provider, entry in self._providers().items():
            if (proxy := settings_of(entry).get("proxy")) is not None:
                yield "provider", provider, proxy
            for connection in items_of(settings_of(entry).get("connections")):
                said = settings_of(connection)
                if said.get("proxy") is not None:
                    yield "connection", f"{provider}/{said.get('id')}", said["proxy"]

    def changes(self, data: Mapping[str, object]) -> list[Change]:
        """What a request changes of what is written now. Raises InvalidRequest or NotFound."""
        body = read_body(data, _Body)
        wanted: dict[tuple[Level, str], tuple[object, str]] = {}
        if body.proxy is not UNSET:
            level: Level = "global" if body.level is UNSET else body.level
            if level != "global" and body.id is UNSET:
                raise InvalidRequest(f"the level {level!r} needs the `id` of one", param="id")
            wanted[level, "" if body.id is UNSET else body.id] = body.proxy, "proxy"
        if body.global_ is not UNSET:
            wanted["global", ""] = body.global_, "global"
        wanted |= {("provider", id_): (proxy, f"providers.{id_}") for id_, proxy in body.providers.items()}
        wanted |= {("connection", id_): (proxy, f"connections.{id_}") for id_, proxy in body.connections.items()}
        if not wanted:
            raise InvalidRequest("nothing is said: give `proxy`, `global`, `providers` or `connections`", param="proxy")
        entries = {name: dict(settings_of(entry)) for name, entry in self._providers().items()}
        touched: dict[str, None] = {}
        made: list[Change] = []
        for (level, id_), (proxy, path) in wanted.items():
            if level == "global":
                made += self._everybodys(proxy, path)
            else:
                touched[self._place(entries, level, id_, proxy, path)] = None
        return [*made, *(Change(section="providers", name=name, document=entries[name]) for name in touched)]

    async def test(self, data: Mapping[str, object]) -> ProxyTested:
        """Reach a provider through a proxy that is not kept. Raises InvalidRequest or NotFound."""
        body = read_body(data, _Test)
        document = proxy_document(body.proxy, None, "proxy")
        if document["url"] != "direct":
            await refuse_unreachable(str(document["url"]), local=True, param="proxy.host")
        effective = self._overrides.effective
        plan = effective.artefact.plan
        reachable = [id_ for id_ in effective.secrets.connections if plan.connections[id_].base_url.startswith("http")]
        wanted = next(iter(reachable), None) if body.connectionId is UNSET else plan_id(body.connectionId)
        server = server_of(effective, wanted) if wanted in reachable else None
        if wanted is None or server is None:
            raise NotFound(
                "there is no such connection that can be called over HTTP, so nothing to reach through the proxy"
            )
        url = "" if document["url"] == "direct" else proxy_url(document)
        listed = await self._trial.listing(msgspec.structs.replace(server, proxy=url))
        reached = listed.status is not None
        return ProxyTested(
            success=reached,
            error=UNSET if reached else listed.message,
            statusCode=UNSET if listed.status is None else listed.status,
            latencyMs=listed.took_ms,
            connectionId=api_id(wanted),
        )

    def _providers(self) -> Mapping[str, object]:
        return settings_of(self._overrides.config.get("providers"))

    def _everybodys(self, proxy: object, path: str) -> list[Change]:
        before = self._overrides.config.get("proxy")
        document = {} if proxy is None else proxy_document(settings_of(proxy), before, path)
        if document.get("url") == "direct":
            document = {}
        return [
            Change(section="proxy", name=name, document=document.get(name, REMOVED))
            for name in ("url", "username", "password")
        ]

    def _place(self, entries: dict[str, dict[str, object]], level: Level, id_: str, proxy: object, path: str) -> str:
        """Write ``proxy`` into ``entries``; the provider whose entry it is in."""
        provider, name = (id_, "") if level == "provider" else provider_of(plan_id(id_))
        if (
            provider not in entries
            and level == "provider"
            and provider in self._overrides.effective.artefact.plan.providers
        ):
            entries[provider] = {}
        if provider not in entries:
            raise NotFound(f"there is no {level} {id_[:100]!r} in the configuration")
        entry = entries[provider]
        if level == "provider":
            _with(entry, proxy, path)
            return provider
        connections = [dict(settings_of(each)) for each in items_of(entry.get("connections"))]
        found = next((each for each in connections if each.get("id") == name), None)
        if found is None:
            raise NotFound(f"there is no connection {id_[:100]!r} in the configuration")
        _with(found, proxy, path)
        entry["connections"] = connections
        return provider


def _with(owner: dict[str, object], proxy: object, path: str) -> None:
    before = owner.pop("proxy", None)
    if proxy is not None:
        owner["proxy"] = proxy_document(settings_of(proxy), before, path)
