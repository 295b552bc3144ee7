"""Settings over HTTP: the sections that are no maps, and those of them that have operations of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from generated.config import SETTINGS
from generated.types.settings import (
    Proxies,
    ProxyServer,
    ProxyTested,
    Settings,
    SystemPromptSettings,
    ThinkingBudgetSettings,
)
from generated.types.values import Document
from runtime.config.override import section_shape, sections
from runtime.config.secrets import mask, read_reference
from runtime.errors import InvalidRequest
from runtime.management.body import MASK, settings_of, shown
from runtime.management.connection import api_id
from runtime.management.proxy import shown_proxy
from runtime.management.setting import (
    read_settings,
    read_system_prompt,
    read_thinking_budget,
    shown_system_prompt,
    shown_thinking_budget,
)
from runtime.services.overrides import REMOVED, Change, Overrides
from runtime.services.proxying import Proxying
from runtime.services.written import Written, edit
from runtime.source import Diagnostics, parse, plain
from runtime.web.key import KeyRecord

__all__ = ["GatewaySettings"]

PROMPT: Final = "system_prompt"
BUDGET: Final = "thinking_budget"


class GatewaySettings:
    """Implements `generated.api.settings.SettingsService`."""

    def __init__(self, overrides: Overrides, proxying: Proxying) -> None:
        self._overrides = overrides
        self._written = Written(overrides, "requests", "setting")
        self._proxying = proxying

    # -- all of them

    async def get_settings(self, caller: KeyRecord) -> Settings:
        await self._written.manages(caller)
        return self._settings()

    async def change_settings(self, caller: KeyRecord, data: Document) -> Settings:
        await self._written.manages(caller)
        said = self._read(data)
        await self._edit(
            caller,
            lambda: [
                Change(section=section, name=name, document=value)
                for section, settings in said.items()
                for name, value in settings.items()
                if not _is_mask(value)
            ],
        )
        return self._settings()

    async def set_settings(self, caller: KeyRecord, data: Document) -> Settings:
        await self._written.manages(caller)
        said = self._read(data)

        def changes() -> list[Change]:
            return [
                Change(section=section, name=name, document=settings.get(name))
                for section, settings in said.items()
                for name in {**dict.fromkeys(self._overrides.overridden(section)), **settings}
                if not _is_mask(settings.get(name))
            ]

        await self._edit(caller, changes)
        return self._settings()

    # -- of requests

    async def get_system_prompt(self, caller: KeyRecord) -> SystemPromptSettings:
        await self._written.manages(caller)
        return shown_system_prompt(self._written.all().get(PROMPT))

    async def set_system_prompt(self, caller: KeyRecord, data: Document) -> SystemPromptSettings:
        await self._written.manages(caller)
        await self._set(caller, PROMPT, lambda before: read_system_prompt(data, before))
        return shown_system_prompt(self._written.all().get(PROMPT))

    async def get_thinking_budget(self, caller: KeyRecord) -> ThinkingBudgetSettings:
        await self._written.manages(caller)
        return shown_thinking_budget(self._written.all().get(BUDGET))

    async def set_thinking_budget(self, caller: KeyRecord, data: Document) -> ThinkingBudgetSettings:
        await self._written.manages(caller)
        await self._set(caller, BUDGET, lambda before: read_thinking_budget(data, before))
        return shown_thinking_budget(self._written.all().get(BUDGET))

    # -- proxies

    async def get_proxies(self, caller: KeyRecord) -> Proxies:
        await self._written.manages(caller)
        return self._proxies()

    async def set_proxies(self, caller: KeyRecord, data: Document) -> Proxies:
        await self._written.manages(caller)
        await self._edit(caller, lambda: self._proxying.changes(data))
        return self._proxies()

    async def delete_proxy(
        self,
        caller: KeyRecord,
        level: str = "global",
        id: str | None = None,  # noqa: A002 — as it stands in the query
    ) -> Proxies:
        await self._written.manages(caller)
        body: dict[str, object] = {"level": level, "proxy": None, **({} if id is None else {"id": id})}
        await self._edit(caller, lambda: self._proxying.changes(body))
        return self._proxies()

    async def test_proxy(self, caller: KeyRecord, data: Document) -> ProxyTested:
        await self._written.manages(caller)
        return await self._proxying.test(data)

    # -- parts

    def _read(self, data: Document) -> dict[str, dict[str, object]]:
        said, blocked = read_settings(data, _records()), data.get("blockedProviders")
        written = settings_of(self._overrides.config.get("providers"))
        for provider in blocked if isinstance(blocked, list) else ():
            if isinstance(provider, str) and provider in written:
                raise InvalidRequest(
                    f"blockedProviders: {provider!r} is configured, and this keeps away only what the environment lights up; "
                    f'send {{"isActive": false}} to PUT /api/providers/{{id}} of its connections',
                    param="blockedProviders",
                )
        return said

    async def _edit(self, caller: KeyRecord, changes: Callable[[], list[Change]]) -> None:
        await edit(self._overrides, caller, "settings.changed", changes)

    async def _set(self, caller: KeyRecord, name: str, made: Callable[[object], object | None]) -> None:
        def changes() -> list[Change]:
            document = made(self._written.all().get(name))
            return [Change(section="requests", name=name, document=REMOVED if document is None else document)]

        await self._edit(caller, changes)

    def _settings(self) -> Settings:
        overrides = self._overrides
        changed = [f"{section}.{name}" for section in _records() for name in sorted(overrides.overridden(section))]
        return Settings(
            settings={section: shown(self._section(section)) for section in _records()},
            changed=changed,
            revision=overrides.revision,
            build=overrides.effective.artefact.build,
        )

    def _section(self, section: str) -> dict[str, object]:
        """What holds of a section: what is written, else the default; of a secret, where it is."""
        written = settings_of(self._overrides.config.get(section))
        values: dict[str, object] = {}
        for setting in SETTINGS:
            place, _, name = setting.path.partition(".")
            if place != section or "." in name:
                continue
            if name in written:
                value = written[name]
                values[name] = _masked(value) if setting.secret else value
            elif setting.default is not None:
                values[name] = _default(setting.default)
        return values

    def _proxies(self) -> Proxies:
        providers: dict[str, ProxyServer] = {}
        connections: dict[str, ProxyServer] = {}
        for level, id_, document in self._proxying.written():
            proxy = shown_proxy(document)
            if proxy is not None and level == "provider":
                providers[id_] = proxy
            elif proxy is not None:
                connections[api_id(id_)] = proxy
        return Proxies(
            global_=shown_proxy(self._overrides.config.get("proxy")), providers=providers, connections=connections
        )


def _records() -> dict[str, object]:
    """The sections that are no maps of entries."""
    return {name: None for name in sections() if section_shape(name) == "record"}


def _is_mask(value: object) -> bool:
    """Whether it is what an answer showed in place of a secret, sent back."""
    return isinstance(value, str) and value.startswith(MASK)


def _masked(value: object) -> object:
    reference = read_reference(value) if isinstance(value, str) else None
    return value if reference is not None and reference.stored is None else mask("")


def _default(text: str) -> object:
    """A default as it would be written."""
    node = parse(text.encode(), "default", Diagnostics())
    return text if node is None else plain(node)
