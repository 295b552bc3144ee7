"""Headers the operator adds: names and values that HTTP can carry, and no credentials among them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from generated.config import AuthSettings
from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.source import Span

__all__ = ["check_headers"]

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_BAD_VALUE: Final = re.compile(r"[^\x20-\x7e\t]")
_CREDENTIALS: Final = frozenset(
    {"authorization", "proxy-authorization", "x-api-key", "api-key", "x-goog-api-key", "cookie"}
)
_OURS: Final = frozenset(
    {"host", "content-length", "content-type", "transfer-encoding", "connection", "te", "upgrade", "accept-encoding"}
)


def check_headers(scope: Scope, draft: Draft) -> None:
    """Check the headers of providers and connections, and the name of the header a credential travels in."""
    for id_, settings in scope.config.providers.items():
        provider = draft.providers.get(id_)
        secret = _CREDENTIALS if provider is None else _CREDENTIALS | {provider.auth.header.lower()}
        _check(scope, settings.headers, ("providers", id_, "headers"), secret)
        for index, connection in enumerate(settings.connections):
            _check(scope, connection.headers, ("providers", id_, "connections", index, "headers"), secret)
        if settings.auth is not None:
            _check_auth(scope, settings.auth, ("providers", id_, "auth"))
        for protocol, surface in settings.surfaces.items():
            if surface.version is not None and (_BAD_VALUE.search(surface.version) or not surface.version.strip()):
                span = scope.at.value("providers", id_, "surfaces", protocol, "version")
                _bad(scope, span, "version: no header can carry it", "use printable ASCII, such as `2023-06-01`")


def _check_auth(scope: Scope, auth: AuthSettings, path: tuple[str, ...]) -> None:
    header, prefix = auth.header, auth.prefix
    if header is not None and not _NAME.fullmatch(header):
        _bad(scope, scope.at.value(*path, "header"), f"{header!r} is no header name")
    elif header is not None and header.lower() in _OURS:
        message = f"the header {header!r} is set by the gateway itself"
        scope.diagnostics.error("bad-header", scope.at.value(*path, "header"), message, "name the one for the key")
    if prefix is not None and _BAD_VALUE.search(prefix):
        message = "prefix: it holds a character that no header can carry"
        _bad(scope, scope.at.value(*path, "prefix"), message, "use printable ASCII, such as `Bearer `")


def _check(scope: Scope, headers: Mapping[str, str], path: tuple[str | int, ...], secret: frozenset[str]) -> None:
    for name, value in headers.items():
        span = scope.at.key(*path, name)
        if not _NAME.fullmatch(name):
            _bad(scope, span, f"{name!r} is no header name")
        elif name.lower() in secret:
            message = f"the header {name!r} carries a credential in clear"
            scope.diagnostics.error("secret-in-clear", span, message, "write a connection with `key: ${…}` instead")
        elif name.lower() in _OURS:
            message = f"the header {name!r} is set by the gateway itself"
            scope.diagnostics.error("bad-header", span, message, "remove it")
        elif _BAD_VALUE.search(value):
            _bad(
                scope, scope.at.value(*path, name), f"the value of {name!r} holds a character that no header can carry"
            )


def _bad(scope: Scope, span: Span, message: str, hint: str = "use printable ASCII, such as `x-team: search`") -> None:
    scope.diagnostics.error("bad-header", span, message, hint)
