"""Secrets of overrides: what gateway.yaml refers to goes where gateway.yaml sends it, and nowhere else.

Whoever may change an address could otherwise have a secret sent to it, and whoever may write a reference could read the
environment and the files of this machine. A secret that was given with the management API before is bound to the address
that it was given for; one that a change gives itself goes where the change says.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final, TypeAlias
from urllib.parse import urlsplit

from generated.config import GatewayConfig, OwnProxy, ProxySettings
from runtime.config.draft import Draft
from runtime.config.lower.connection import lower_connections
from runtime.config.lower.provider import lower_providers
from runtime.config.plan import Connection, SecretRef
from runtime.config.scope import Scope
from runtime.config.secrets import read_reference
from runtime.network import standing_of
from runtime.source import Span

__all__ = ["check_bound"]

Address: TypeAlias = tuple[str, str]
"""A base URL, and the proxy that can read what is sent there in clear."""

ASTRAY: Final = "this is a link-local address or a cloud's metadata, which no request is sent to"
HINT: Final = "give the secret itself, which is kept encrypted, or refer to it in gateway.yaml"


def check_bound(scope: Scope, draft: Draft, files: Scope, held: Scope | None, given: Collection[str]) -> None:
    """Check what ``draft`` sends where, against ``files``: the configuration without overrides.

    ``held`` is the configuration before a change, ``given`` the ids of stored secrets that the change itself holds; without
    ``held`` what the store holds is taken as it is.
    """
    theirs = tuple(lower_connections(files, lower_providers(files)).values())
    _check_keys(scope, draft, theirs)
    if held is not None:
        _check_stored(scope, draft, held, given)
    proxies = [proxy for _, proxy in _proxies(files.config)]
    _check_addresses(scope, draft, {each.base_url for each in theirs} | {proxy.url or "" for proxy in proxies})
    known = {(proxy.url, proxy.password) for proxy in proxies}
    passwords = {password for _, password in known}
    for path, proxy in _proxies(scope.config):
        reference = read_reference(proxy.password or "")
        if reference is None or (proxy.url, proxy.password) in known or _given(reference, proxy.password in passwords):
            continue
        message = f"gateway.yaml does not refer to {reference} for the proxy {proxy.url}, so nothing laid over it may"
        scope.diagnostics.error("bad-reference", scope.at.value(*path, "password"), message, HINT)


def _check_addresses(scope: Scope, draft: Draft, known: set[str]) -> None:
    """What a network tells its machines about themselves is nothing that the management API may ask for."""
    for connection in draft.connections.values():
        if _leads_astray(connection.base_url, known):
            place = _place(scope, connection, "base_url")
            scope.diagnostics.error("bad-url", place, f"base_url: {ASTRAY}", "write the address of a provider")
    for path, proxy in _proxies(scope.config):
        if _leads_astray(proxy.url or "", known):
            scope.diagnostics.error("bad-url", scope.at.value(*path, "url"), f"url: {ASTRAY}", "write another address")


def _leads_astray(url: str, known: set[str]) -> bool:
    try:
        return url not in known and standing_of(urlsplit(url).hostname or "") == "never"
    except ValueError:
        return False  # no URL, as the check of URLs says


def _check_keys(scope: Scope, draft: Draft, files: Iterable[Connection]) -> None:
    sent: dict[tuple[str, SecretRef], set[Address]] = {}
    for connection in files:
        if connection.secret is not None:
            sent.setdefault((connection.provider, connection.secret), set()).add(_address(connection))
    written = {reference for _, reference in sent}
    for connection in draft.connections.values():
        provider, reference = connection.provider, connection.secret
        if reference is None or _given(reference, reference in written):
            continue
        own = scope.catalog.get(provider)
        known = sent.get((provider, reference), set())
        customary = own is not None and reference.env is not None and reference.env in own.auth.env
        if own is not None and (known or customary) and "{" not in own.base_url:
            known = {*known, (own.base_url, "")}
        if not known and not customary:
            message = f"gateway.yaml does not refer to {reference} for {provider}, so nothing that is laid over it may"
            scope.diagnostics.error("bad-reference", _place(scope, connection, "key"), message, HINT)
        elif _address(connection) not in known:
            url, through = _address(connection)
            way = f"{url}, where the proxy {through} would read it" if through and (url, "") in known else url
            message = f"what {reference} refers to is not sent to {way}: gateway.yaml does not say so"
            hint = "give the key itself with the new address; it is kept encrypted. Or change gateway.yaml"
            scope.diagnostics.error("bad-reference", _place(scope, connection, "base_url"), message, hint)


def _check_stored(scope: Scope, draft: Draft, held: Scope, given: Collection[str]) -> None:
    """What the store held before stays with its provider's address, or its proxy."""
    before = lower_connections(held, lower_providers(held)).values()
    sent = {(each.provider, each.base_url, each.secret) for each in before}
    for connection in draft.connections.values():
        secret = connection.secret
        if secret is None or secret.stored is None or secret.stored in given:
            continue
        if (connection.provider, connection.base_url, secret) not in sent:
            message = f"the key of {connection.id} was not given for {connection.base_url}"
            hint = "give it anew with the new address; where a provider's own address changes, take the connection away first"
            scope.diagnostics.error("bad-reference", _place(scope, connection, "base_url"), message, hint)
    known = {(proxy.url, proxy.password) for _, proxy in _proxies(held.config)}
    for path, proxy in _proxies(scope.config):
        reference = read_reference(proxy.password or "")
        stored = None if reference is None else reference.stored
        if stored is not None and stored not in given and (proxy.url, proxy.password) not in known:
            message = f"the password was not given for the proxy {proxy.url}"
            scope.diagnostics.error("bad-reference", scope.at.value(*path, "password"), message, "give it anew")


def _given(reference: SecretRef, written: bool) -> bool:
    """Whether the secret came with the management API; what gateway.yaml has taken up is its own."""
    return reference.stored is not None and not written


def _address(connection: Connection) -> Address:
    """Over TLS a proxy carries what it cannot read."""
    in_clear = connection.proxy is not None and not connection.base_url.startswith("https://")
    return connection.base_url, connection.proxy.url if connection.proxy is not None and in_clear else ""


def _proxies(config: GatewayConfig) -> Iterator[tuple[tuple[str | int, ...], OwnProxy | ProxySettings]]:
    """Those that are written, and where they stand."""
    found: list[tuple[tuple[str | int, ...], OwnProxy | ProxySettings | None]] = [(("proxy",), config.proxy)]
    for id_, provider in config.providers.items():
        found.append((("providers", id_, "proxy"), provider.proxy))
        found += [
            (("providers", id_, "connections", index, "proxy"), connection.proxy)
            for index, connection in enumerate(provider.connections)
        ]
    return ((path, proxy) for path, proxy in found if proxy is not None)


def _place(scope: Scope, connection: Connection, field: str) -> Span:
    """Where ``field`` is written that holds for ``connection``: with it, else with its provider."""
    path: tuple[str | int, ...] = ("providers", connection.provider)
    settings = scope.config.providers.get(connection.provider)
    if settings is not None:
        names = [f"{connection.provider}/{each.id}" for each in settings.connections]
        own = (*path, "connections", names.index(connection.id)) if connection.id in names else path
        for place in (own, path):
            if scope.at.node(*place, field) is not None:
                return scope.at.value(*place, field)
        return scope.at.value(*own)
    return scope.at.value(*path)
