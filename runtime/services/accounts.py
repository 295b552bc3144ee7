"""The connections that there are: those that are written, and those that the environment lights up; and how they are shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from generated.types.connections import ProviderConnection
from runtime.config.plan import Connection
from runtime.config.secrets import mask, read_reference
from runtime.errors import Conflict, NotFound
from runtime.management.body import items_of, masked, settings_of, shown
from runtime.management.connection import api_id, plan_id, provider_of, specific_data
from runtime.services.overrides import Overrides
from runtime.services.reach import refuse_unreachable
from runtime.services.written import Written
from runtime.source import closest

__all__ = ["Accounts"]


class Accounts:
    """Over the configuration as it is written and in force."""

    def __init__(self, overrides: Overrides) -> None:
        self._overrides = overrides
        self.written = Written(overrides, "providers", "provider")

    def ids(self) -> list[str]:
        """The plan's connections, and those that are written for providers that the plan has no use for."""
        written = [
            f"{provider}/{settings_of(each).get('id')}"
            for provider, entry in self.written.all().items()
            for each in items_of(settings_of(entry).get("connections"))
        ]
        return list(dict.fromkeys([*written, *self._overrides.effective.artefact.plan.connections]))

    def known(self, id_: str) -> str:
        """The plan's id of the connection that a path names. Raises NotFound."""
        found, ids = plan_id(id_), self.ids()
        if found not in ids:
            near = closest(found, ids)
            hint = f"; did you mean {api_id(near)!r}?" if near else ""
            raise NotFound(f"there is no connection {id_[:100]!r}{hint}")
        return found

    def entry(self, provider: str, name: str) -> tuple[Mapping[str, object], Mapping[str, object]]:
        """What is written of the provider, and of its connection. Raises Conflict where nothing is."""
        entry = settings_of(self.written.all().get(provider))
        for each in items_of(entry.get("connections")):
            if settings_of(each).get("id") == name:
                return entry, settings_of(each)
        raise Conflict(
            f"the connection {name[:100]!r} of {provider[:100]} is there without being written: the environment has its "
            "credential, or it needs none; add one of its own, or exclude the provider in `discovery`"
        )

    def status(self, id_: str) -> Literal["active", "dark", "disabled"]:
        """Whether the connection can be called, has no credential, or is switched off."""
        effective = self._overrides.effective
        known = effective.artefact.plan.connections.get(id_)
        if known is not None and not known.enabled:
            return "disabled"
        return "active" if id_ in effective.secrets.connections else "dark"

    def shown(self, id_: str) -> ProviderConnection:
        """The connection as answers have it."""
        provider, name = provider_of(id_)
        plan = self._overrides.effective.artefact.plan
        entries = items_of(settings_of(self.written.all().get(provider)).get("connections"))
        names = [settings_of(each).get("id") for each in entries]
        document = settings_of(entries[names.index(name)]) if name in names else _unwritten(plan.connections.get(id_))
        status, limits, proxy = self.status(id_), items_of(document.get("limits")), document.get("proxy")
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
            source=self.written.origin(provider) if name in names else "discovered",
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
            answer.proxy = shown(masked(proxy))
        return answer

    def _masked(self, id_: str, written: str) -> str:
        """A reference to the environment or a file as it is; of what the store holds, its end."""
        reference = read_reference(written)
        if reference is not None and reference.stored is None:
            return written
        return mask(self._overrides.effective.secrets.connections.get(id_) or "")

    async def check_address(self, provider: str, document: Mapping[str, object]) -> bool:
        """Whether the connection goes where the request says, to a server that is not the operator's own.

        Raises InvalidRequest for an address of a private network, unless the provider is on one's own.
        """
        known = self._overrides.effective.artefact.plan.providers.get(provider)
        written = settings_of(self.written.all().get(provider))
        url, variables = document.get("base_url"), settings_of(document.get("variables"))
        if not isinstance(url, str) and variables:
            url = written.get("base_url") or (known.base_url if known is not None else None)
        if not isinstance(url, str):
            return False
        for name, value in variables.items():
            url = url.replace(f"{{{name}}}", str(value))
        local = written.get("local") is True or (known is not None and known.local)
        await refuse_unreachable(url, local=local)
        return not local


def _unwritten(connection: Connection | None) -> Mapping[str, object]:
    """What would be written of a connection that is there by itself."""
    if connection is None or connection.secret is None:
        return {}
    return {"key": str(connection.secret)}
