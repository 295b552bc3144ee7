"""Words that are not settings any more, not yet, or not here: renamed ones warn, reserved ones are refused with a reason.

A setting that is renamed keeps working until ``remove_in`` and then moves to `RESERVED`, so that its name cannot come
back with another meaning. Paths are written as in `generated.config.SETTINGS`: `providers.*.connections.*.key`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.source import Diagnostics, Entry, MappingNode, Node, SequenceNode

__all__ = ["DEPRECATED", "RESERVED", "Deprecation", "check_vocabulary", "section_hint"]


class Deprecation(msgspec.Struct, frozen=True):
    """``use`` says what to write instead, as a sentence without its full stop."""

    since: str
    use: str
    remove_in: str


DEPRECATED: Final[Mapping[str, Deprecation]] = MappingProxyType({})

RESERVED: Final[Mapping[str, str]] = MappingProxyType(
    {
        "compression": "compression comes with a later release",
        "management": "write `server: {management: read_only}`",
    }
)

_ELSEWHERE: Final[Mapping[str, str]] = MappingProxyType(
    {
        "budgets": "write `limits: [{usd: …, per: month}]` under a key, a tenant, a combo or a policy",
        "rate_limits": "write `limits: [{requests: …, per: 1m}]` under a key, a tenant, a combo or a policy",
        "model_list": "models come with their provider; see `providers` and `aliases`",
        "models": "models belong to their provider: `providers: {name: {models: …}}`",
        "routes": "a public name is an alias or a combo",
        "fallbacks": "write a combo: its targets are tried in order",
        "virtual_keys": "write them under `keys`",
        "api_keys": "clients' keys go under `keys`, providers' under `providers: {name: {connections: …}}`",
        "general_settings": "see `server`, `requests` and `timeouts`",
        "logs": "write `logging`",
    }
)


def check_vocabulary(
    root: MappingNode,
    diagnostics: Diagnostics,
    deprecated: Mapping[str, Deprecation] = DEPRECATED,
    reserved: Mapping[str, str] = RESERVED,
) -> None:
    """Report deprecated and reserved names anywhere in ``root``."""
    depth = max((path.count(".") for path in (*deprecated, *reserved)), default=0)
    for path, entry in _walk(root, (), depth):
        if found := deprecated.get(path):
            message = f"{entry.key!r} is deprecated since {found.since} and goes in {found.remove_in}"
            diagnostics.warn("deprecated-setting", entry.span, message, found.use)
        elif reason := reserved.get(path):
            diagnostics.error("reserved-name", entry.span, f"the name {entry.key!r} is reserved", reason)


def section_hint(name: str) -> str | None:
    """What to write instead of a section that other gateways have, or None."""
    return _ELSEWHERE.get(name)


def _walk(node: Node, above: tuple[str, ...], depth: int) -> Iterator[tuple[str, Entry]]:
    """Paths below ``node``, with the operator's own names as `*`; both spellings where a name could be either."""
    if isinstance(node, MappingNode):
        for entry in node.entries:
            for step in (entry.key, "*") if above else (entry.key,):
                path = (*above, step)
                yield ".".join(path), entry
                if len(path) <= depth:
                    yield from _walk(entry.node, path, depth)
    elif isinstance(node, SequenceNode) and above:
        for item in node.items:
            yield from _walk(item, (*above, "*"), depth)
