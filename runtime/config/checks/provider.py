"""Providers that cannot be called, or that nobody can call."""

from __future__ import annotations

from generated.config import ProviderSettings
from runtime.catalog import Provider
from runtime.config.draft import Draft
from runtime.config.protocol import USUAL
from runtime.config.scope import Scope
from runtime.source import Note, closest

__all__ = ["check_providers"]


def check_providers(scope: Scope, draft: Draft) -> None:
    """Check the configured providers' protocols and connections."""
    for id_, settings in scope.config.providers.items():
        provider = draft.providers.get(id_)
        if provider is None:
            continue
        _check_protocols(scope, id_, settings, provider)
        _check_twins(scope, id_, settings)
        if not scope.sound("providers", id_):
            continue
        span = scope.at.key("providers", id_)
        if id_ not in draft.by_provider:
            if "${" in provider.base_url:
                continue  # the check of secrets says that references are not read there
            wants = "fills in its variables" if provider.variables else "holds its key"
            hint = f"write `connections:` with one that {wants}"
            scope.diagnostics.warn("no-connection", span, f"{id_} has no connection, so nothing can call it", hint)
        elif not USUAL.keys() & provider.surfaces.keys():
            if settings.surfaces:
                continue  # the operator's own slip was reported as such
            hint = f"this release speaks {', '.join(USUAL)}"
            scope.diagnostics.warn("unspoken-protocol", span, f"{id_} speaks only {', '.join(provider.surfaces)}", hint)
        elif not provider.models and not provider.open_models and not _reached(draft, id_):
            hint = "list its `models`, or write `open_models: true`"
            scope.diagnostics.warn("unused-provider", span, f"{id_} has no models, so nothing can call it", hint)


def _check_protocols(scope: Scope, id_: str, settings: ProviderSettings, provider: Provider) -> None:
    for protocol in settings.surfaces:
        if protocol not in USUAL:
            _unknown(scope, scope_path=("providers", id_, "surfaces", protocol), protocol=protocol, key=True)
    for name, model in settings.models.items():
        path = ("providers", id_, "models", name, "protocol")
        if model.protocol is None:
            continue
        if model.protocol not in USUAL and model.protocol not in provider.surfaces:
            _unknown(scope, scope_path=path, protocol=model.protocol, key=False)
        elif model.protocol not in provider.surfaces:
            message = f"{id_} does not speak {model.protocol}"
            hint = f"it speaks {', '.join(provider.surfaces)}"
            scope.diagnostics.error("unspoken-protocol", scope.at.value(*path), message, hint)


def _unknown(scope: Scope, scope_path: tuple[str, ...], protocol: str, *, key: bool) -> None:
    near = closest(protocol, USUAL)
    hint = f"did you mean {near!r}?" if near else f"this release speaks {', '.join(USUAL)}"
    span = scope.at.key(*scope_path) if key else scope.at.value(*scope_path)
    scope.diagnostics.error("unknown-protocol", span, f"no protocol {protocol!r}", hint)


def _check_twins(scope: Scope, id_: str, settings: ProviderSettings) -> None:
    seen: dict[tuple[str, str | None, str], int] = {}
    for index, connection in enumerate(settings.connections):
        if connection.key is None:
            continue
        same = (connection.key, connection.base_url, str(sorted(connection.variables.items())))
        first = seen.setdefault(same, index)
        if first != index:
            at = scope.at.value("providers", id_, "connections", index, "key")
            note = Note(scope.at.value("providers", id_, "connections", first, "key"), "also here")
            message = f"connection {connection.id!r} is the same account as {settings.connections[first].id!r}"
            scope.diagnostics.warn("unused-connection", at, message, "remove one of the two", [note])


def _reached(draft: Draft, provider: str) -> bool:
    return any(model.provider == provider for model in draft.models.values())
