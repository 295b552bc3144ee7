"""Connections: those the operator wrote, those a customary variable would light up, and the one that needs no key.

A discovered connection stands in every plan, whatever the environment holds, because the plan must not depend on it; at
run time it is dark until its variable is set.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from generated.config import ConnectionSettings
from runtime.catalog import Provider
from runtime.config.lower.proxy import proxy_of
from runtime.config.plan import Connection, SecretRef
from runtime.config.scope import Scope
from runtime.config.secrets import read_reference
from runtime.source import Note, closest

__all__ = ["lower_connections"]

_VARIABLE: Final = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")


def lower_connections(scope: Scope, providers: Mapping[str, Provider]) -> dict[str, Connection]:
    """Connections by id (`provider/name`), each provider's in order of preference."""
    found: dict[str, Connection] = {}
    for id_, provider in providers.items():
        settings = scope.config.providers.get(id_)
        if settings is not None and settings.connections:
            connections = _written(scope, provider, settings.connections)
        else:
            connections = _unwritten(scope, provider)
        found.update((connection.id, connection) for connection in connections)
    return found


def _written(scope: Scope, provider: Provider, written: tuple[ConnectionSettings, ...]) -> Iterator[Connection]:
    seen: dict[str, int] = {}
    for index, settings in enumerate(written):
        path = ("providers", provider.id, "connections", index)
        if settings.id in seen:
            note = Note(scope.at.value(*path[:3], seen[settings.id], "id"), "first written here")
            message = f"{provider.id} has two connections {settings.id!r}"
            scope.diagnostics.error("duplicate-name", scope.at.value(*path, "id"), message, "rename one", [note])
            continue
        seen[settings.id] = index
        _check_limits(scope, settings, path)
        yield Connection(
            id=f"{provider.id}/{settings.id}",
            provider=provider.id,
            base_url=_address(scope, provider, settings, path),
            secret=_secret(scope, provider, settings, path),
            headers=dict(sorted(settings.headers.items())),
            max_in_flight=settings.max_in_flight,
            limits=settings.limits,
            proxy=proxy_of(scope, provider, scope.config.providers[provider.id], settings),
            enabled=settings.enabled,
        )


def _check_limits(scope: Scope, settings: ConnectionSettings, path: tuple[str | int, ...]) -> None:
    for index, limit in enumerate(settings.limits):
        if limit.requests is None and limit.tokens is None:
            message = f"a limit of connection {settings.id!r} limits nothing"
            span = scope.at.value(*path, "limits", index)
            scope.diagnostics.error("missing-field", span, message, "write `requests: …` or `tokens: …` in it")


def _secret(
    scope: Scope, provider: Provider, settings: ConnectionSettings, path: tuple[str | int, ...]
) -> SecretRef | None:
    if provider.auth.scheme == "none":
        if settings.key is not None:
            message = f"{provider.id} takes no key, so this one is never sent"
            scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "key"), message, "remove it")
        return None
    if settings.key is not None:
        return read_reference(settings.key)  # anything else was reported by the check of secrets
    if provider.auth.scheme == "key" and scope.sound("providers", provider.id):
        example = provider.auth.env[0] if provider.auth.env else "MY_KEY"
        message = f"connection {settings.id!r} of {provider.id} lacks the field 'key'"
        scope.diagnostics.error("missing-field", scope.at.value(*path), message, f"write `key: ${{{example}}}`")
    return None


def _address(scope: Scope, provider: Provider, settings: ConnectionSettings, path: tuple[str | int, ...]) -> str:
    """The base URL with the provider's variables filled in. What is odd about the result, the check of URLs says."""
    template = settings.base_url or provider.base_url
    wanted = _VARIABLE.findall(template)
    for name in settings.variables:
        if name not in wanted:
            near = closest(name, wanted)
            hint = f"did you mean {near!r}?" if near else f"it holds: {', '.join(wanted) or 'no variable'}"
            message = f"the base URL of {provider.id} holds no variable {name!r}"
            scope.diagnostics.error("unknown-variable", scope.at.key(*path, "variables", name), message, hint)
    for name in wanted:
        if name not in settings.variables:
            message = f"connection {settings.id!r} does not fill in {{{name}}} of the base URL"
            hint = f"write `variables: {{{name}: …}}`"
            scope.diagnostics.error("missing-variable", scope.at.value(*path), message, hint)
    return _VARIABLE.sub(lambda found: settings.variables.get(found[1], found[0]), template)


def _unwritten(scope: Scope, provider: Provider) -> Iterator[Connection]:
    configured = provider.id in scope.config.providers
    filled = not _VARIABLE.search(provider.base_url)
    proxy = proxy_of(scope, provider, scope.config.providers.get(provider.id), None)
    if filled and provider.auth.scheme != "none" and scope.discovers(provider.id):
        for variable in provider.auth.env:
            yield Connection(
                id=f"{provider.id}/{variable}",
                provider=provider.id,
                base_url=provider.base_url,
                secret=SecretRef(env=variable),
                discovered=True,
                proxy=proxy,
            )
    if filled and configured and provider.auth.scheme != "key":
        yield Connection(id=f"{provider.id}/default", provider=provider.id, base_url=provider.base_url, proxy=proxy)
