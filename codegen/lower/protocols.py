"""Protocol files to the middle: the tables as `WireProtocol` facts, checked; the types as a module."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from codegen.ir import Module, ProtocolDef
from codegen.link import Links
from codegen.load import Source
from codegen.lower.types import lower_types
from codegen.spec import ProtocolFile
from runtime.catalog import WireProtocol
from runtime.errors import GatewayError
from runtime.source import Diagnostics, MappingNode, closest, locate

__all__ = ["lower_modules", "lower_protocols"]


def lower_protocols(
    sources: Iterable[Source[ProtocolFile]], links: Links, diagnostics: Diagnostics
) -> tuple[ProtocolDef, ...]:
    """The facts of every protocol."""
    return tuple(_protocol(source, links, diagnostics) for source in sources)


def lower_modules(
    sources: Iterable[Source[ProtocolFile]], links: Links, diagnostics: Diagnostics
) -> tuple[Module, ...]:
    """The types of every protocol."""
    modules: list[Module] = []
    for source in sources:
        table = source.node.get("types") or MappingNode((), source.node.span)
        types = lower_types(source.spec.types, table, source.path, links, diagnostics)
        title = f"Wire types of {source.spec.title}, version {source.spec.vendor_version}."
        modules.append(Module(name=links.modules[source.path], source=source.path, title=title, declarations=types))
    return tuple(modules)


def _protocol(source: Source[ProtocolFile], links: Links, diagnostics: Diagnostics) -> ProtocolDef:
    spec = source.spec
    if spec.name != source.stem:
        span = locate(source.node, ("name",))
        diagnostics.error(
            "name-mismatch", span, f"{source.path} describes {spec.name!r}", f"write `name: {source.stem}`"
        )
    _check_order(source, diagnostics)
    _check_kinds(source, diagnostics)
    facts = WireProtocol(
        name=spec.name, title=spec.title, vendor=spec.vendor, version=spec.vendor_version, source=spec.source,
        accepts=spec.accepts, framing=spec.framing, terminator=spec.terminator, events=spec.stream.events,
        order=spec.stream.order, finish_in=spec.finish.in_, finish_out=spec.finish.out, budgets=spec.budgets,
        ranges=spec.ranges, usage=spec.usage, errors=spec.errors, rules=spec.rules,
    )  # fmt: skip
    return ProtocolDef(module=links.modules[source.path], facts=facts, source=source.path, span=source.node.span)


def _check_order(source: Source[ProtocolFile], diagnostics: Diagnostics) -> None:
    """The stream's grammar is a regular expression, and each word in it is an event."""
    order, events = source.spec.stream.order, source.spec.stream.events
    span = locate(source.node, ("stream", "order"))
    try:
        re.compile(order)
    except re.error as error:
        diagnostics.error("bad-pattern", span, f"no regular expression: {error}")
        return
    for word in dict.fromkeys(re.findall(r"[A-Za-z][A-Za-z0-9_.]*", order)):
        plain = word.rstrip(".")
        if plain not in events:
            near = closest(plain, events)
            hint = f"did you mean {near!r}?" if near else f"events: {', '.join(events)}"
            diagnostics.error("unknown-name", span, f"the order names no event {plain!r}", hint)


def _check_kinds(source: Source[ProtocolFile], diagnostics: Diagnostics) -> None:
    """Error tables speak of kinds that exist."""
    kinds = sorted({error.kind for error in _errors(GatewayError)})
    tables = (
        ("errors", [shape.kind for shape in source.spec.errors]),
        ("rules", [rule.kind for rule in source.spec.rules]),
    )
    for table, used in tables:
        for number, kind in enumerate(used):
            if kind not in kinds:
                near = closest(kind, kinds)
                hint = f"did you mean {near!r}?" if near else f"kinds: {', '.join(kinds)}"
                diagnostics.error(
                    "unknown-name", locate(source.node, (table, number, "kind")), f"no error kind {kind!r}", hint
                )


def _errors(root: type[GatewayError]) -> Iterator[type[GatewayError]]:
    yield root
    for child in root.__subclasses__():
        yield from _errors(child)
