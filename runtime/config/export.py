"""A configuration written back as YAML: what stands in the files with the overrides laid over it, or the overrides alone.

Scalars are written as they were, so that nothing is read otherwise than before; comments and layout are not kept.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from io import StringIO
from typing import Final

import yaml

from runtime.config.effective import Base
from runtime.config.files import Source
from runtime.config.load import VERSION, load
from runtime.config.merge import difference, merged
from runtime.config.override import Override, section_shape
from runtime.source import Diagnostics, Entry, MappingNode, Node, ScalarNode, SequenceNode, Span, parse

__all__ = ["files_of", "hidden_lists", "narrowed", "overrides_yaml", "read_overrides", "whole_yaml"]

WIDTH: Final = 120
_IMPLICIT: Final = (True, True)


def whole_yaml(base: Base, overrides: Sequence[Override]) -> str:
    """One gateway.yaml that says what ``base`` says with ``overrides``; empty where that cannot be read."""
    loaded = load(base.sources, Diagnostics(), overrides)
    return "" if loaded is None else _dumped(loaded.root)


def files_of(sources: Sequence[Source]) -> MappingNode:
    """What ``sources`` say; nothing where they cannot be read."""
    loaded = load(sources, Diagnostics())
    return MappingNode((), Span("", 1, 1)) if loaded is None else loaded.root


def narrowed(files: MappingNode, override: Override) -> Override | None:
    """``override``, which has a whole entry, as what is other in it than in ``files``; None where nothing is."""
    below = _below(files, override)
    diagnostics = Diagnostics()
    wanted = None if override.text is None else parse(override.text, override.path, diagnostics)
    if below is None or not isinstance(wanted, MappingNode) or diagnostics.failed:
        return override  # with its faults, for the compiler to tell
    change = difference(below, wanted)
    return None if change is None else Override(override.section, override.name, _dumped(change))


def hidden_lists(files: MappingNode, override: Override) -> list[str]:
    """The lists of ``files`` that are not seen because ``override`` has its own in their place: `combos.best.targets`."""
    below = _below(files, override)
    above = None if override.text is None else parse(override.text, override.path, Diagnostics())
    return [] if below is None or above is None else [*_lists(below, above, f"{override.section}.{override.name}")]


def _lists(below: Node, above: Node, path: str) -> Iterator[str]:
    if isinstance(below, SequenceNode) and isinstance(above, SequenceNode):
        yield path
    elif isinstance(below, MappingNode) and isinstance(above, MappingNode):
        for entry in above.entries:
            before = below.get(entry.key)
            if before is not None:
                yield from _lists(before, entry.node, f"{path}.{entry.key}")


def _below(files: MappingNode, override: Override) -> Node | None:
    """What ``override`` merges with."""
    section = files.get(override.section)
    if section_shape(override.section) != "map" or not isinstance(section, MappingNode):
        return None
    return section.get(override.name)


def overrides_yaml(overrides: Sequence[Override], files: MappingNode) -> str:
    """The entries and settings of ``overrides`` by section, whole, to be put in the place of those in ``files``."""
    nowhere = Span("", 1, 1)
    sections: dict[str, list[Entry]] = {}
    for override in overrides:
        node = None if override.text is None else parse(override.text, override.path, Diagnostics())
        if node is not None and section_shape(override.section) == "map":
            node = merged(_below(files, override), node)
        if node is not None:
            sections.setdefault(override.section, []).append(Entry(override.name, nowhere, node))
    entries = [Entry("version", nowhere, ScalarNode(VERSION, str(VERSION), plain=True, span=nowhere))]
    entries += [Entry(section, nowhere, MappingNode(tuple(below), nowhere)) for section, below in sections.items()]
    away = "".join(f"# {each.section}.{each.name} is taken away\n" for each in overrides if each.text is None)
    return away + _dumped(MappingNode(tuple(entries), nowhere))


def read_overrides(text: bytes, path: str, diagnostics: Diagnostics) -> tuple[Override, ...]:
    """What `overrides_yaml` wrote, or a person in its manner: each entry and setting of each section."""
    root = parse(text, path, diagnostics)
    if root is not None and not isinstance(root, MappingNode):
        diagnostics.error("wrong-type", root.span, "expected a mapping of sections", "write what `export` prints")
    found: list[Override] = []
    for section in root.entries if isinstance(root, MappingNode) else ():
        if section.key == "version":
            _check_version(section, diagnostics)
            continue
        if isinstance(section.node, ScalarNode) and section.node.value is None:
            continue
        if not isinstance(section.node, MappingNode):
            diagnostics.error(
                "wrong-type", section.node.span, "expected a mapping", "write `name: value` lines below it"
            )
            continue
        found += [Override(section.key, entry.key, _dumped(entry.node)) for entry in section.node.entries]
    return tuple(found)


def _check_version(entry: Entry, diagnostics: Diagnostics) -> None:
    version = entry.node.value if isinstance(entry.node, ScalarNode) else None
    if version != VERSION or isinstance(version, bool):
        hint = f"write `version: {VERSION}`"
        diagnostics.error("unsupported-version", entry.node.span, "this compiler does not read that version", hint)


def _dumped(root: Node) -> str:
    stream = StringIO()
    dumper = yaml.Dumper(stream, allow_unicode=True, width=WIDTH)
    try:
        for event in (yaml.StreamStartEvent(), yaml.DocumentStartEvent(explicit=False), *_events(root)):
            dumper.emit(event)
        dumper.emit(yaml.DocumentEndEvent(explicit=False))
        dumper.emit(yaml.StreamEndEvent())
    finally:
        dumper.dispose()
    return stream.getvalue().removesuffix("...\n")


def _events(node: Node) -> Iterator[yaml.Event]:
    if isinstance(node, MappingNode):
        yield yaml.MappingStartEvent(anchor=None, tag=None, implicit=True, flow_style=not node.entries)
        for entry in node.entries:
            yield from _text(entry.key)
            yield from _events(entry.node)
        yield yaml.MappingEndEvent()
    elif isinstance(node, SequenceNode):
        flow = all(isinstance(item, ScalarNode) for item in node.items)
        yield yaml.SequenceStartEvent(anchor=None, tag=None, implicit=True, flow_style=flow)
        for item in node.items:
            yield from _events(item)
        yield yaml.SequenceEndEvent()
    elif node.plain:
        yield yaml.ScalarEvent(anchor=None, tag=None, implicit=_IMPLICIT, value=node.raw or "null")
    else:
        yield from _text(node.raw)


def _text(text: str) -> Iterator[yaml.Event]:
    """Without quotes where it is read as the same text so."""
    found = Diagnostics()
    node = parse(text, "", found)
    plain = not found and isinstance(node, ScalarNode) and node.plain and node.value == text
    yield yaml.ScalarEvent(anchor=None, tag=None, implicit=_IMPLICIT, value=text, style=None if plain else '"')
