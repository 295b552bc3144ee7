"""Base URLs: complete, without credentials or query, and encrypted on every network that is not the operator's own."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import SplitResult, urlsplit

from generated.config import OwnProxy, ProxySettings
from runtime.catalog import Provider
from runtime.catalog.path import path_complaint
from runtime.config.checks.server import is_loopback
from runtime.config.draft import Draft
from runtime.config.lower.proxy import DIRECT
from runtime.config.scope import Scope
from runtime.source import Span

__all__ = ["check_urls"]

_VARIABLE: Final = re.compile(r"\{[A-Za-z_][A-Za-z0-9_]*\}")
_FILLED_IN: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._:-]*[A-Za-z0-9])?")
_VERSION: Final = re.compile(r"v[0-9]+[a-z0-9]*")


def check_urls(scope: Scope, draft: Draft) -> None:
    """Check every base URL that the operator wrote, and every proxy's."""
    _check_proxy(scope, scope.config.proxy, "proxy")
    for id_, settings in scope.config.providers.items():
        provider = draft.providers.get(id_)
        local = bool(settings.local if settings.local is not None else provider is not None and provider.local)
        if settings.base_url is not None:
            _check(scope, settings.base_url, scope.at.value("providers", id_, "base_url"), local=local)
        for protocol, surface in settings.surfaces.items():
            for name, written in (("path", surface.path), ("count_tokens", surface.count_tokens)):
                if written is not None:
                    _check_path(scope, written, ("providers", id_, "surfaces", protocol, name))
        if provider is not None and (settings.base_url is not None or settings.surfaces):
            _check_version(scope, provider)
        _check_proxy(scope, settings.proxy, "providers", id_, "proxy")
        for index, connection in enumerate(settings.connections):
            _check_variables(scope, connection.variables, ("providers", id_, "connections", index, "variables"))
            _check_proxy(scope, connection.proxy, "providers", id_, "connections", index, "proxy")
            if connection.base_url is not None:
                span = scope.at.value("providers", id_, "connections", index, "base_url")
                _check(scope, connection.base_url, span, local=local)


def _check_variables(scope: Scope, variables: Mapping[str, str], path: tuple[str | int, ...]) -> None:
    """What is filled in must leave the address what it is."""
    for name, value in variables.items():
        if "${" not in value and not _FILLED_IN.fullmatch(
            value
        ):  # the check of secrets says that references are not read
            message = f"{name}: {value!r} cannot stand in an address"
            hint = "use letters, digits, `.`, `_`, `-` and `:`"
            scope.diagnostics.error("bad-url", scope.at.value(*path, name), message, hint)


def _check_path(scope: Scope, written: str, path: tuple[str, ...]) -> None:
    if (complaint := path_complaint(written)) is not None:
        message, hint = complaint
        scope.diagnostics.error("bad-url", scope.at.value(*path), f"{path[-1]}: {message}", hint)


def _check_credentials(scope: Scope, proxy: OwnProxy | ProxySettings, path: tuple[str | int, ...]) -> None:
    """What would never be shown to a proxy."""
    if proxy.url is None or proxy.url == DIRECT:
        idle, hint = "there is no proxy to show it to", "write `url`, or remove it"
    elif proxy.username is None:
        idle, hint = "it is shown only with a `username`", "write `username`, or remove it"
    else:
        return
    for name in ("username", "password"):
        if getattr(proxy, name) is not None:
            scope.diagnostics.warn("ignored-setting", scope.at.key(*path, name), f"{name}: {idle}", hint)


def _check_proxy(scope: Scope, proxy: OwnProxy | ProxySettings | None, *path: str | int) -> None:
    if proxy is not None:
        _check_credentials(scope, proxy, path)
    if proxy is None or proxy.url is None or (proxy.url == DIRECT and path != ("proxy",)):
        return
    span = scope.at.value(*path, "url")
    parts = urlsplit(proxy.url) if "://" in proxy.url else None
    if parts is not None and (parts.username is not None or parts.password is not None):
        hint = "write them as `username` and `password` beside it"
        scope.diagnostics.error("bad-url", span, "url: it holds a user name or password", hint)
    elif parts is not None and parts.hostname and parts.path.strip("/"):
        scope.diagnostics.error("bad-url", span, "url: a proxy has no path", "remove everything behind the port")
    elif (complaint := _complaint(proxy.url)) is not None:
        scope.diagnostics.error("bad-url", span, f"url: {complaint[0]}", complaint[1])


def _check(scope: Scope, url: str, span: Span, *, local: bool) -> None:
    if "${" in url:
        return  # the check of secrets says that references are not read here
    complaint = _complaint(_VARIABLE.sub("x", url))
    if complaint is not None:
        scope.diagnostics.error("bad-url", span, f"base_url: {complaint[0]}", complaint[1])
        return
    parts = urlsplit(_VARIABLE.sub("x", url))
    host = parts.hostname or ""
    if parts.scheme == "http" and not local and not is_loopback(host):
        message = f"base_url: keys and prompts would travel to {host} in clear"
        hint = "write https://, or `local: true` if that network is your own"
        scope.diagnostics.error("plain-http", span, message, hint)
    elif parts.scheme == "http" and _is_public(host):
        message = f"base_url: keys and prompts travel to {host} in clear, which is an address of the internet"
        hint = "write https://; `local: true` is for a network that is your own"
        scope.diagnostics.warn("plain-http", span, message, hint)


def _is_public(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_global
    except ValueError:
        return False


def _check_version(scope: Scope, provider: Provider) -> None:
    """A version that ends the base URL and begins a path would be asked for twice."""
    version = provider.base_url.rstrip("/").rpartition("/")[2]
    for protocol, surface in provider.surfaces.items():
        if _VERSION.fullmatch(version) and surface.path.startswith(f"/{version}/"):
            path = surface.path.removeprefix(f"/{version}")
            written = scope.at.node("providers", provider.id, "surfaces", protocol) is not None
            span = scope.at.key("providers", provider.id, *(("surfaces", protocol) if written else ("base_url",)))
            message = f"{protocol} would be asked for below /{version}/{version}/"
            hint = f"write `surfaces: {{{protocol}: {{path: {path}}}}}`, or a base URL without /{version}"
            scope.diagnostics.error("bad-url", span, message, hint)


def _complaint(url: str) -> tuple[str, str] | None:
    """What is wrong with ``url`` and what to write, or None. Never shows more than its scheme and host."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is no URL", "write it as https://host/path"
    if parts.username is not None or parts.password is not None:
        return "it holds a user name or password", "put the credential in a connection's `key`"
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return _incomplete(url, parts)
    if parts.query or "?" in url:
        return "it holds a query", "remove everything from `?` on"
    if parts.fragment or "#" in url:
        return "it holds a fragment", "remove everything from `#` on"
    if re.search(r"\s", url):
        return "it holds a space", "remove it"
    for tail in ("/chat/completions", "/messages"):
        if parts.path.rstrip("/").endswith(tail):
            return f"it ends in {tail}, which the surface adds", f"remove `{tail}`"
    return None


def _incomplete(url: str, parts: SplitResult) -> tuple[str, str]:
    if "://" not in url:
        return (
            "it has no scheme",
            f"write https://{url.split('/', maxsplit=1)[0]}/…" if url and "@" not in url else "begin with https://",
        )
    if parts.scheme not in {"http", "https"}:
        return f"the scheme {parts.scheme!r} is not spoken", "begin with https://"
    return "it has no host", "write it as https://host/path"
