"""Tools' names: groups are flattened for the canonical model, and each tool finds its way back to its group.

This protocol groups tools in namespaces; a call names both. Canonically the tool is called `<namespace>__<name>`. Which
tool belongs where travels in the request's ``extensions`` as `tools.namespace`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runtime.canonical import Extensions, Request
from runtime.protocols.openai_responses.wire import PROTOCOL, encode

__all__ = ["NAMESPACES", "Member", "Naming", "joined", "key_of", "members_of"]

NAMESPACES: Final = "tools.namespace"


class Member(msgspec.Struct, frozen=True, omit_defaults=True):
    """Where a tool stands. ``namespace`` is "" for one that stands alone and gave its name to a grouped one."""

    namespace: str
    name: str
    description: str = ""


_MEMBERS: Final = msgspec.json.Decoder(dict[str, Member])


def joined(namespace: str, name: str) -> str:
    return f"{namespace}__{name}"


def key_of(namespace: str, name: str) -> str:
    """What a call is looked up by: a slash stands in no name."""
    return f"{namespace}/{name}" if namespace else name


def members_of(request: Request | None) -> dict[str, Member]:
    """The grouped tools of a request, by canonical name."""
    raw = request.extensions.get(PROTOCOL, {}).get(NAMESPACES) if request is not None else None
    return {} if raw is None else _MEMBERS.decode(raw)


class Naming:
    """The names of one request as it is read. No two tools share a canonical one."""

    def __init__(self) -> None:
        self._taken: dict[str, tuple[str, str]] = {}
        self._members: dict[str, Member] = {}
        self._descriptions: dict[str, str] = {}

    def describe(self, namespace: str, description: str) -> None:
        self._descriptions[namespace] = description

    def canonical(self, namespace: str, name: str) -> str:
        """The canonical name; ``namespace`` is "" for a tool that stands alone."""
        word = joined(namespace, name) if namespace else name
        while self._taken.setdefault(word, (namespace, name)) != (namespace, name):
            word += "_"
        if (namespace or word != name) and word not in self._members:
            self._members[word] = Member(namespace, name, self._descriptions.get(namespace, ""))
        return word

    def chosen(self, name: str) -> str:
        """The tool that a choice names, which does not say in what group it is."""
        alone = next((word for word, tool in self._taken.items() if tool == ("", name)), None)
        return alone or next((word for word, member in self._members.items() if member.name == name), name)

    def keep(self, extensions: Extensions) -> None:
        if self._members:
            extensions[NAMESPACES] = msgspec.Raw(encode(self._members))
