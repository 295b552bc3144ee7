"""Files to linked specs, second half: every `$ref` and every name that points across files is found or reported.

Works on nodes, so that one walk serves every kind of file. What lowering asks for afterwards is there.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping

import msgspec

from codegen.load import Inputs
from codegen.naming import module_name
from runtime.source import Diagnostics, MappingNode, Node, Note, ScalarNode, SequenceNode, Span, closest

__all__ = ["Links", "Target", "link"]

_LITERAL_KEYS = frozenset({"const", "default", "enum", "example", "examples", "value"})
"""Below these stand values, in which `$ref` is an ordinary key."""


class Target(msgspec.Struct, frozen=True):
    """Where a `$ref` points: a file and the steps below its root."""

    file: str
    steps: tuple[str, ...]

    @property
    def name(self) -> str:
        return self.steps[-1] if self.steps else ""


class Links(msgspec.Struct, frozen=True, kw_only=True):
    """What linking knows. ``modules`` maps a file with types to the Python module its types become."""

    nodes: Mapping[str, Node]
    modules: Mapping[str, str]

    def resolve(self, ref: str, file: str) -> Target:
        """Read ``ref`` as it stands in ``file``. Whether the target exists was `link`'s question."""
        path, _, pointer = ref.partition("#")
        target = posixpath.normpath(posixpath.join(posixpath.dirname(file), path)) if path else file
        steps = tuple(step.replace("~1", "/").replace("~0", "~") for step in pointer.strip("/").split("/") if step)
        return Target(target, steps)


def link(inputs: Inputs, diagnostics: Diagnostics) -> Links:
    """Resolve what points across files."""
    links = Links(nodes=inputs.nodes, modules=_modules(inputs, diagnostics))
    for file, root in inputs.nodes.items():
        for node in _refs(root):
            _check(node, file, links, diagnostics)
    _link_protocols(inputs, diagnostics)
    _link_providers(inputs, diagnostics)
    return links


def _modules(inputs: Inputs, diagnostics: Diagnostics) -> dict[str, str]:
    modules: dict[str, str] = {}
    owners: dict[str, str] = {}
    for file, root in inputs.nodes.items():
        if not file.startswith(("schemas/protocols/", "schemas/openapi/")):
            continue
        name = module_name(posixpath.splitext(posixpath.basename(file))[0])
        if name in owners:
            note = Note(Span(owners[name], 1, 1), "this file becomes the same module")
            diagnostics.error("duplicate-name", root.span, f"two files become the module {name}", "rename one", [note])
        owners.setdefault(name, file)
        modules[file] = name
    return modules


def _refs(node: Node) -> Iterator[ScalarNode]:
    if isinstance(node, SequenceNode):
        for item in node.items:
            yield from _refs(item)
    elif isinstance(node, MappingNode):
        for entry in node.entries:
            if entry.key == "$ref" and isinstance(entry.node, ScalarNode):
                yield entry.node
            elif entry.key not in _LITERAL_KEYS or _is_name_table(node):
                yield from _refs(entry.node)


def _is_name_table(node: MappingNode) -> bool:
    """Whether the keys are names of ours (properties called `default`), not keywords: then every value is a mapping."""
    return all(isinstance(entry.node, MappingNode) for entry in node.entries)


def _check(node: ScalarNode, file: str, links: Links, diagnostics: Diagnostics) -> None:
    if not isinstance(node.value, str) or "#" not in node.value:
        diagnostics.error("unknown-name", node.span, f"{node.raw!r} points nowhere", "write it as `#/types/Name`")
        return
    target = links.resolve(node.value, file)
    found = links.nodes.get(target.file)
    if found is None:
        near = closest(target.file, links.nodes)
        hint = f"did you mean {posixpath.relpath(near, posixpath.dirname(file))}?" if near else None
        notes = [Note(links.nodes[near].span, "this file")] if near else []
        diagnostics.error("unknown-name", node.span, f"no schema file {target.file}", hint, notes)
        return
    for step in target.steps:
        table, found = found, found.get(step) if isinstance(found, MappingNode) else None
        if found is None:
            _unknown(step, table, node.span, f"{target.file} has no {step!r} there", diagnostics)
            return


def _unknown(word: str, table: Node, span: Span, message: str, diagnostics: Diagnostics) -> None:
    """Report a name that ``table`` does not have, with the key it is probably a slip of."""
    spans = {entry.key: entry.span for entry in table.entries} if isinstance(table, MappingNode) else {}
    near = closest(word, spans)
    notes = [Note(spans[near], f"{near!r} is here")] if near else []
    hint = f"did you mean {near!r}?" if near else None
    if not near and 0 < len(spans) <= 12:
        hint = f"known here: {', '.join(spans)}"
    diagnostics.error("unknown-name", span, message, hint, notes)


def _link_protocols(inputs: Inputs, diagnostics: Diagnostics) -> None:
    """A stream event names the type of its payload."""
    for source in inputs.protocols:
        types = source.node.get("types") or MappingNode((), source.node.span)
        stream = source.node.get("stream")
        events = stream.get("events") if isinstance(stream, MappingNode) else None
        for entry in events.entries if isinstance(events, MappingNode) else ():
            wanted = source.spec.stream.events.get(entry.key)
            if wanted is not None and wanted not in source.spec.types:
                _unknown(wanted, types, entry.node.span, f"no type {wanted!r} in this protocol", diagnostics)


def _link_providers(inputs: Inputs, diagnostics: Diagnostics) -> None:
    """A provider's surfaces name protocols; a model's protocol is one of its provider's."""
    protocols = {
        posixpath.splitext(posixpath.basename(file))[0]: file for file in inputs.nodes if "/protocols/" in file
    }
    for source in inputs.providers:
        surfaces = source.node.get("surfaces")
        for entry in surfaces.entries if isinstance(surfaces, MappingNode) else ():
            if entry.key not in protocols:
                near = closest(entry.key, protocols)
                hint = f"did you mean {near!r}?" if near else f"protocols: {', '.join(protocols)}"
                notes = [Note(Span(protocols[near], 1, 1), "this protocol")] if near else []
                diagnostics.error(
                    "unknown-name", entry.span, f"no protocol {entry.key!r} in schemas/protocols", hint, notes
                )
        models = source.node.get("models")
        for node in models.items if isinstance(models, SequenceNode) else ():
            used = node.get("protocol") if isinstance(node, MappingNode) else None
            if isinstance(used, ScalarNode) and used.raw not in source.spec.surfaces and surfaces is not None:
                _unknown(used.raw, surfaces, used.span, f"the provider has no surface {used.raw!r}", diagnostics)
