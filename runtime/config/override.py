"""Overrides: changes made while the gateway runs, laid over what the files say. Later ones win, entry by entry.

An override is what was changed of one entry of a section that is a map (`combos.smart`), and is merged with the files'
entry; or one setting of a section that is none (`requests.unknown_fields`), and takes the place of the whole setting. It is
compiled as a file is, by the same function with the same diagnostics, whose positions are in its own text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Literal, get_args, get_origin, get_type_hints

import msgspec

from generated.config import SETTINGS, GatewayConfig
from runtime.config.files import Source
from runtime.config.merge import merged
from runtime.source import Diagnostics, Entry, MappingNode, Node, ScalarNode, SequenceNode, Span, closest, parse

__all__ = ["Held", "Override", "Shape", "json_path", "overlaid", "section_shape", "sections", "static_settings"]

Shape = Literal["map", "texts", "record"]
"""What a section is: a map of records, a map of plain texts, or one record."""


class Override(msgspec.Struct, frozen=True):
    """``name`` is an entry of a map, or a setting. ``text`` is what is changed of it, as YAML; None: it is not there."""

    section: str
    name: str
    text: str | None

    @property
    def path(self) -> str:
        """What stands for a file's name in positions."""
        return f"overrides/{self.section}/{self.name}"

    @property
    def source(self) -> Source:
        return Source(self.path, (self.text or "").encode("utf-8", "surrogatepass"))


class Held(msgspec.Struct, frozen=True, kw_only=True):
    """What a change meets: the overrides ``before`` it, and the ids of the stored secrets that are ``given`` with it."""

    before: tuple[Override, ...]
    given: frozenset[str] = frozenset()


def section_shape(section: str) -> Shape | None:
    """None for what is no section of gateway.yaml."""
    type_ = _types().get(section)
    if type_ is None:
        return None
    if get_origin(type_) is dict:
        return "texts" if get_args(type_)[1] is str else "map"
    return "record"


def sections() -> tuple[str, ...]:
    """All sections, in gateway.yaml's order."""
    return tuple(_types())


@cache
def _types() -> dict[str, object]:
    hints = get_type_hints(GatewayConfig, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "version"}


@cache
def static_settings() -> frozenset[str]:
    """Paths such as `server.port`, of settings that hold from the start of the process to its end."""
    return frozenset(
        setting.path
        for setting in SETTINGS
        if setting.reload == "static" and section_shape(setting.path.partition(".")[0]) == "record"
    )


def overlaid(root: MappingNode, overrides: Sequence[Override], diagnostics: Diagnostics) -> MappingNode:
    """``root``, what the files say, with ``overrides`` laid over it."""
    laid = {entry.key: entry for entry in root.entries}
    for override in overrides:
        node = _read(override, diagnostics)
        if node is None and override.text is not None:
            continue
        before = laid.get(override.section)
        entry = Entry(override.name, Span(override.path, 1, 1), node) if node is not None else None
        laid[override.section] = _with(override, before, entry)
    return MappingNode(tuple(laid.values()), root.span)


def json_path(override: Override, span: Span) -> str:
    """Where ``span`` points to in ``override``, as a path from its section on: `combos.smart.targets[1]`."""
    node = parse(override.text or "", override.path, Diagnostics())
    steps = "" if node is None else max(_steps(node, "", span), key=len, default="")
    return f"{override.section}.{override.name}{steps}"


def _steps(node: Node, path: str, span: Span) -> Iterator[str]:
    if node.span == span:
        yield path
    if isinstance(node, MappingNode):
        for entry in node.entries:
            below = f"{path}.{entry.key}"
            if entry.span == span:
                yield below
            yield from _steps(entry.node, below, span)
    elif isinstance(node, SequenceNode):
        for index, item in enumerate(node.items):
            yield from _steps(item, f"{path}[{index}]", span)


def _read(override: Override, diagnostics: Diagnostics) -> Node | None:
    """What is laid over; None, with the reasons, when it must not be, and for an entry that is taken away."""
    here = Span(override.path, 1, 1)
    shape = section_shape(override.section)
    if shape is None:
        near = closest(override.section, sections())
        hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(sections())}"
        diagnostics.error("unknown-field", here, f"no section {override.section!r} in gateway.yaml", hint)
        return None
    if override.section == "keys":
        hint = "make and change keys with the operations below /api/keys"
        diagnostics.error("fixed-setting", here, "keys are no part of what is changed here", hint)
    elif f"{override.section}.{override.name}" in static_settings():
        message = f"`{override.section}.{override.name}` holds from the start of the gateway to its end"
        diagnostics.error("fixed-setting", here, message, "change it in gateway.yaml, build, and start again")
    if override.text is None:
        return None
    return parse(override.text, override.path, diagnostics)


def _with(override: Override, section: Entry | None, entry: Entry | None) -> Entry:
    if section is None:
        below = () if entry is None else (_merged(override, None, entry),)
        return Entry(override.section, Span(override.path, 1, 1), MappingNode(below, Span(override.path, 1, 1)))
    node = section.node
    if isinstance(node, ScalarNode) and node.value is None:
        node = MappingNode((), node.span)
    if not isinstance(node, MappingNode):
        return section  # a fault of the file, which is reported there
    entries = {each.key: each for each in node.entries}
    if entry is None:
        entries.pop(override.name, None)
    else:
        entries[override.name] = _merged(override, entries.get(override.name), entry)
    return Entry(section.key, section.span, MappingNode(tuple(entries.values()), node.span))


def _merged(override: Override, below: Entry | None, entry: Entry) -> Entry:
    if section_shape(override.section) != "map":
        return entry
    return Entry(entry.key, entry.span, merged(None if below is None else below.node, entry.node))
