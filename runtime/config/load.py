"""Source files to one `GatewayConfig`, with every fault of their shape reported. What the words mean is checked later.

Files are joined section by section: a map (`providers`, `combos`) may be spread over files, a name or a setting stands in
one of them. Entries of maps are read one by one, so that a faulty one leaves its neighbours readable; it is remembered as
broken, and what refers to it is not blamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from types import MappingProxyType
from typing import Final, get_args, get_origin, get_type_hints

import msgspec

from generated.config import GatewayConfig
from runtime.config.files import Source
from runtime.config.override import Override, overlaid
from runtime.config.position import Positions
from runtime.config.vocabulary import RESERVED, check_vocabulary, section_hint
from runtime.source import Diagnostics, Entry, MappingNode, Node, Note, ScalarNode, closest, decode, parse

__all__ = ["VERSION", "Loaded", "load"]

VERSION: Final = 1
"""The version of gateway.yaml that this compiler reads."""

_SINGULAR: Final = MappingProxyType({"aliases": "alias", "policies": "policy"})


class Loaded(msgspec.Struct, frozen=True):
    """A configuration that could be read. ``broken`` are entries, as (section, name), that were left out as faulty.

    ``root`` is what was written, the parts of all sources joined.
    """

    config: GatewayConfig
    at: Positions
    broken: frozenset[tuple[str, str]]
    root: MappingNode


def load(sources: Sequence[Source], diagnostics: Diagnostics, overrides: Sequence[Override] = ()) -> Loaded | None:
    """Read ``sources``, the first of which is gateway.yaml, and ``overrides``. None when there is nothing to go on with."""
    roots = [root for source in sources if (root := _read(source, diagnostics)) is not None]
    whole = len(roots) == len(sources)
    if not roots:
        return None
    root = _joined(roots, diagnostics)
    if overrides and whole:  # else they would be blamed for what stands in the file that cannot be read
        root = overlaid(root, overrides, diagnostics)
    check_vocabulary(root, diagnostics)
    values: dict[str, object] = {}
    broken: set[tuple[str, str]] = set()
    types = _types()
    for entry in root.entries:
        node = _with_defaults(entry.node)
        if entry.key == "version":
            continue
        if entry.key not in types:
            _unknown_section(entry, types, diagnostics)
        elif get_origin(types[entry.key]) is dict and isinstance(node, MappingNode):
            values[entry.key] = _read_map(entry.key, node, get_args(types[entry.key])[1], broken, diagnostics)
        else:
            section = decode(node, types[entry.key], diagnostics, entry.key)
            if section is not None:
                values[entry.key] = section
    if not whole:
        return None  # every name may stand in the file that cannot be read
    config = msgspec.structs.replace(GatewayConfig(version=VERSION), **values)
    return Loaded(config, Positions(root), frozenset(broken), root)


@cache
def _types() -> Mapping[str, type[object]]:
    """Of what type each section is."""
    return MappingProxyType(get_type_hints(GatewayConfig, include_extras=True))


def _read(source: Source, diagnostics: Diagnostics) -> MappingNode | None:
    """One file's root, if its version is one we read: nothing else is said about a file of another version."""
    root = parse(source.data, source.path, diagnostics)
    if root is None:
        return None
    if not isinstance(root, MappingNode):
        diagnostics.error("wrong-type", root.span, "expected a mapping of sections", "write `version: 1` first")
        return None
    version = root.get("version")
    if version is None:
        diagnostics.error("missing-version", root.span, "the file has no version", f"write `version: {VERSION}` first")
        return root
    if not isinstance(version, ScalarNode) or version.value != VERSION or isinstance(version.value, bool):
        shown = "a collection"
        if isinstance(version, ScalarNode):
            shown = repr(version.value) if isinstance(version.value, str) else version.raw
        message = f"version {shown} is not one this compiler reads"
        diagnostics.error("unsupported-version", version.span, message, f"write `version: {VERSION}`")
        return None
    if root.entries[0].key != "version":
        diagnostics.error("missing-version", root.entries[0].span, "`version` is not the first key", "move it up")
    return root


def _joined(roots: Sequence[MappingNode], diagnostics: Diagnostics) -> MappingNode:
    if len(roots) == 1:
        return roots[0]
    sections: dict[str, Entry] = {}
    for entry in (entry for root in roots for entry in root.entries):
        first = sections.setdefault(entry.key, entry)
        if first is entry or entry.key == "version":
            continue
        before, node = _with_defaults(first.node), _with_defaults(entry.node)
        if isinstance(before, MappingNode) and isinstance(node, MappingNode):
            joined = _unique((*before.entries, *node.entries), diagnostics)
            sections[entry.key] = Entry(entry.key, first.span, MappingNode(joined, before.span))
        else:
            _twice(first, entry, diagnostics)
    return MappingNode(tuple(sections.values()), roots[0].span)


def _unique(entries: Iterable[Entry], diagnostics: Diagnostics) -> tuple[Entry, ...]:
    kept: dict[str, Entry] = {}
    for entry in entries:
        first = kept.setdefault(entry.key, entry)
        if first is not entry:
            _twice(first, entry, diagnostics)
    return tuple(kept.values())


def _twice(first: Entry, second: Entry, diagnostics: Diagnostics) -> None:
    note = Note(first.span, "first written here")
    diagnostics.error("duplicate-key", second.span, f"the key {second.key!r} stands in two files", "keep one", [note])


def _read_map(
    section: str, root: MappingNode, type_: type[object], broken: set[tuple[str, str]], diagnostics: Diagnostics
) -> dict[str, object]:
    kind = _SINGULAR.get(section) or section.removesuffix("s")
    values: dict[str, object] = {}
    for item in root.entries:
        local = Diagnostics()
        node = item.node if type_ is str else _with_defaults(item.node)
        value = decode(node, type_, local, f"{kind} {item.key!r}")
        if local.failed or value is None:
            broken.add((section, item.key))
        if value is not None:
            values[item.key] = value
        diagnostics.extend(local)
    return values


def _with_defaults(node: Node) -> Node:
    """`name:` without a value is an entry with all its defaults, and a section whose lines are all comments is empty."""
    if isinstance(node, ScalarNode) and node.value is None:
        return MappingNode((), node.span)
    return node


def _unknown_section(entry: Entry, types: Iterable[str], diagnostics: Diagnostics) -> None:
    known = [name for name in types if name != "version"]
    if entry.key in RESERVED:
        return  # `check_vocabulary` has said so
    near = closest(entry.key, known)
    hint = section_hint(entry.key) or (f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}")
    diagnostics.error("unknown-field", entry.span, f"no section {entry.key!r} in gateway.yaml", hint)
