"""Fields that hold a secret: a reference, in a spelling we read, and nowhere else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from generated.config import OwnProxy, ProxySettings
from runtime.config.checks.clear_text import looks_like_key
from runtime.config.draft import Draft
from runtime.config.position import Positions
from runtime.config.scope import Scope
from runtime.config.secrets import read_reference
from runtime.source import MappingNode, Node, ScalarNode, SequenceNode

__all__ = ["check_secret_fields", "clear_values", "is_bare_secret"]

_NEAR_MISSES: Final = (
    re.compile(r"\$\{\s*([A-Za-z_][A-Za-z0-9_]*)\s*(?::?[-?=].*)?\}"),
    re.compile(r"\$\(?([A-Za-z_][A-Za-z0-9_]*)\)?"),
    re.compile(r"\{\{?\s*(?:env\.|\.Env\.)?([A-Za-z_][A-Za-z0-9_]*)\s*\}\}?"),
    re.compile(r"(?:env|ENV|os\.environ|process\.env)[:/.]([A-Za-z_][A-Za-z0-9_]*)"),
    re.compile(r"%([A-Za-z_][A-Za-z0-9_]*)%"),
    re.compile(r"([A-Z][A-Z0-9]*_[A-Z0-9_]+)"),
)


def check_secret_fields(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check whatever the schema calls a secret, and that no other field waits for a reference in vain."""
    for id_, settings in scope.config.providers.items():
        for index, connection in enumerate(settings.connections):
            path = ("providers", id_, "connections", index)
            _check(scope, connection.key, (*path, "key"), f"{id_}_API_KEY")
            _check_proxy(scope, connection.proxy, (*path, "proxy"))
            _check_unread(scope, connection.base_url, (*path, "base_url"))
            for field, values in (("variables", connection.variables), ("headers", connection.headers)):
                for name, value in values.items():
                    _check_unread(scope, value, (*path, field, name))
        _check_proxy(scope, settings.proxy, ("providers", id_, "proxy"))
        _check_unread(scope, settings.base_url, ("providers", id_, "base_url"))
        for name, value in settings.headers.items():
            _check_unread(scope, value, ("providers", id_, "headers", name))
    for id_, key in scope.config.keys.items():
        _check(scope, key.key, ("keys", id_, "key"), f"GATEWAY_KEY_{id_}")
    _check(scope, scope.config.store.url, ("store", "url"), "DATABASE_URL")
    _check(scope, scope.config.shared.url, ("shared", "url"), "REDIS_URL")
    _check_proxy(scope, scope.config.proxy, ("proxy",))


def clear_values(at: Positions) -> Iterator[str]:
    """The texts that stand where secrets belong and are no references: they must not be repeated in any message."""
    keys, providers = at.node("keys"), at.node("providers")
    for entry in keys.entries if isinstance(keys, MappingNode) else ():
        yield from _clear(entry.node)
        yield from _clear(entry.node.get("key") if isinstance(entry.node, MappingNode) else None)
    for entry in providers.entries if isinstance(providers, MappingNode) else ():
        connections = entry.node.get("connections") if isinstance(entry.node, MappingNode) else None
        yield from _clear(_password(entry.node))
        for item in connections.items if isinstance(connections, SequenceNode) else ():
            yield from _clear(item.get("key") if isinstance(item, MappingNode) else item)
            yield from _clear(_password(item))
    for section in ("store", "shared"):
        settings = at.node(section)
        yield from _clear(settings)
        yield from _clear(settings.get("url") if isinstance(settings, MappingNode) else None)
    proxy = at.node("proxy")
    yield from _clear(proxy.get("password") if isinstance(proxy, MappingNode) else None)


def is_bare_secret(text: str) -> bool:
    """Whether ``text``, where a secret belongs, is the secret itself: neither a reference nor what was meant as one."""
    return bool(text) and read_reference(text) is None and not any(miss.fullmatch(text) for miss in _NEAR_MISSES)


def _clear(node: object) -> Iterator[str]:
    if not isinstance(node, ScalarNode) or len(node.raw) < 4 or read_reference(node.raw) is not None:
        return
    if not any(near_miss.fullmatch(node.raw) for near_miss in _NEAR_MISSES):
        yield node.raw


def _password(node: Node) -> Node | None:
    """The password of the proxy that an entry may have."""
    proxy = node.get("proxy") if isinstance(node, MappingNode) else None
    return proxy.get("password") if isinstance(proxy, MappingNode) else None


def _check_proxy(scope: Scope, proxy: OwnProxy | ProxySettings | None, path: tuple[str | int, ...]) -> None:
    if proxy is not None:
        _check(scope, proxy.password, (*path, "password"), "PROXY_PASSWORD")
        _check_unread(scope, proxy.username, (*path, "username"))


def _check(scope: Scope, text: str | None, path: tuple[str | int, ...], name: str) -> None:
    if text is None or read_reference(text) is not None or looks_like_key(text):
        return
    span = scope.at.value(*path)
    variable = re.sub(r"[^A-Z0-9]+", "_", name.upper())
    for near_miss in _NEAR_MISSES:
        if found := near_miss.fullmatch(text):
            hint = f"write `${{{found[1]}}}`"
            scope.diagnostics.error("bad-reference", span, "this is not how a secret is referred to", hint)
            return
    hint = f"put it in an environment variable and write `${{{variable}}}`, or in a file and write `file:path`"
    scope.diagnostics.error("secret-in-clear", span, "a secret stands here in clear", hint)


def _check_unread(scope: Scope, text: str | None, path: tuple[str | int, ...]) -> None:
    if text is not None and "${" in text:
        message = f"references to variables are not read in {path[-1]!r}"
        hint = "only `key` takes `${NAME}`; write the value itself"
        scope.diagnostics.error("reference-not-read", scope.at.value(*path), message, hint)
