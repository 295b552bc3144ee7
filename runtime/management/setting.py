"""Settings as the management API has them: by section, in gateway.yaml's words, with some words of other gateways."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Final, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType

from generated.types.settings import SystemPromptSettings, ThinkingBudgetSettings
from runtime.errors import InvalidRequest
from runtime.management.body import Document, read_body, settings_of
from runtime.source import closest

__all__ = [
    "read_settings", "read_system_prompt", "read_thinking_budget", "shown_system_prompt", "shown_thinking_budget",
]  # fmt: skip

Said: TypeAlias = dict[str, dict[str, object]]
"""Settings by section."""


def _listed(value: object) -> object:
    """A list that is written as one text, too."""
    if isinstance(value, str):
        return [origin.strip() for origin in value.split(",") if origin.strip()]
    return value


_FOREIGN: Final[Mapping[str, tuple[str, str, Callable[[object], object]]]] = MappingProxyType(
    {
        "requestRetry": ("retries", "per_target", lambda value: value),
        "maxRetryIntervalSec": ("retries", "max_backoff", lambda value: f"{value}s"),
        "blockedProviders": ("discovery", "exclude", lambda value: value),
        "corsOrigins": ("server", "cors_origins", _listed),
        "requireLogin": ("login", "required", lambda value: value),
    }
)
"""OmniRoute's words, and the section, the setting and the value that they stand for."""


class _Prompt(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    prompt: Annotated[str, Meta(max_length=50_000)] | UnsetType = UNSET
    enabled: bool | UnsetType = UNSET
    place: Literal["first", "last"] | UnsetType = UNSET


class _Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    mode: Literal["passthrough", "auto", "custom", "adaptive"] | UnsetType = UNSET
    customBudget: Annotated[int, Meta(ge=0, le=131_072)] | UnsetType = UNSET  # noqa: N815 — as clients write it
    effortLevel: Literal["none", "low", "medium", "high"] | UnsetType = UNSET  # noqa: N815
    baseBudget: Annotated[int, Meta(ge=0, le=131_072)] | UnsetType | None = UNSET  # noqa: N815
    complexityMultiplier: Annotated[float, Meta(ge=0, le=10)] | UnsetType = UNSET  # noqa: N815


_BUDGET: Final = MappingProxyType(
    {
        "mode": "mode",
        "customBudget": "tokens",
        "effortLevel": "effort",
        "baseBudget": "base_tokens",
        "complexityMultiplier": "complexity_multiplier",
    }
)


def read_settings(data: Mapping[str, object], sections: Mapping[str, object]) -> Said:
    """What ``data`` says of each section, of those in ``sections``; None takes a change back. Raises InvalidRequest."""
    said: Said = {}
    for name, value in data.items():
        if name in _FOREIGN:
            section, setting, meant = _FOREIGN[name]
            said.setdefault(section, {})[setting] = meant(value)
        elif name not in sections:
            near = closest(name, [*sections, *_FOREIGN])
            hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(sections)}"
            raise InvalidRequest(f"{name[:100]}: there is no such section of settings; {hint}", param=name[:100])
        elif value is None or isinstance(value, str | int | float | list):
            raise InvalidRequest(f"{name}: expected an object with settings", param=name)
        else:
            said.setdefault(name, {}).update(settings_of(value))
    return said


def read_system_prompt(data: Mapping[str, object], before: object) -> Document | None:
    """The setting `requests.system_prompt` after a change of what it was ``before``; None for none. Raises InvalidRequest."""
    fields, document = read_body(data, _Prompt), dict(settings_of(before))
    if fields.prompt is not UNSET:
        document["text"] = fields.prompt
    if fields.enabled is not UNSET and not fields.enabled:
        document["place"] = "off"
    elif fields.place is not UNSET:
        document["place"] = fields.place
    elif fields.enabled is not UNSET and document.get("place") == "off":
        document["place"] = "first"
    return document if str(document.get("text", "")).strip() else None


def shown_system_prompt(document: object) -> SystemPromptSettings:
    said = settings_of(document)
    return SystemPromptSettings(
        prompt=str(said.get("text", "")),
        enabled=bool(said) and said.get("place") != "off",
        place="last" if said.get("place") == "last" else "first",
    )


def read_thinking_budget(data: Mapping[str, object], before: object) -> Document:
    """The setting `requests.thinking_budget` after a change of what it was ``before``. Raises InvalidRequest."""
    fields, document = read_body(data, _Budget), dict(settings_of(before))
    for name, own in _BUDGET.items():
        value = getattr(fields, name)
        if value is None:
            document.pop(own, None)
        elif value is not UNSET:
            document[own] = value
    return document


def shown_thinking_budget(document: object) -> ThinkingBudgetSettings:
    said = settings_of(document)
    known = {name: said[own] for name, own in _BUDGET.items() if own in said}
    defaults = {"mode": "passthrough", "customBudget": 10_240, "effortLevel": "medium", "complexityMultiplier": 1.0}
    return msgspec.convert({**defaults, **known}, ThinkingBudgetSettings)
