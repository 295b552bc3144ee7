"""Nodes to Structs, reporting every fault at its own place instead of the first at the document's.

Reads the types that msgspec understands: Structs (unknown fields refused), tagged unions, lists, tuples, mappings with
text keys, enums, literals, scalars with `Meta` constraints, and the quantities of `runtime.source.unit`. What is
faulty is left out: an entry of a mapping, an optional field (its default stands); a Struct without a required field, or
a list with a faulty item, is itself faulty.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any, Final, TypeVar, cast

from msgspec import inspect

from runtime.source import unit
from runtime.source.diagnostic import Diagnostics, closest
from runtime.source.document import MappingNode, Node, ScalarNode, SequenceNode
from runtime.source.span import Span

__all__ = ["decode", "locate", "plain"]

T = TypeVar("T")


_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
"""What a plan can hold: its JSON is read into 64 bits."""

_MOST_MS: Final = 100 * 365 * 86_400_000
"""A hundred years: nothing waits so long, and what is reckoned from it is still a date."""

_SHOWN_CHARS: Final = 40


class _Faulty:
    """Stands for a value that was reported and must not be used."""


_FAULTY: Final = _Faulty()


def decode(node: Node, type_: type[T], diagnostics: Diagnostics, subject: str) -> T | None:
    """Build a ``type_`` from ``node``. ``subject`` names the thing in messages ("provider"). None when it is faulty."""
    value = _Decoder(diagnostics).read(node, _info(cast("Any", type_)), subject)
    return None if value is _FAULTY else cast("T", value)


def locate(root: Node, path: Sequence[str | int], *, key: bool = False) -> Span:
    """The position of the value at ``path`` below ``root`` (or of its key); of the nearest one above when it is absent."""
    span, node = root.span, root
    for step in path:
        if isinstance(node, MappingNode):
            entry = next((entry for entry in node.entries if entry.key == step), None)
            if entry is None:
                return span
            span, node = (entry.span if key else entry.node.span), entry.node
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            node = node.items[step]
            span = node.span
        else:
            return span
    return span


@lru_cache(maxsize=512)
def _info(type_: Any) -> inspect.Type:
    return inspect.type_info(type_)


class _Decoder:
    def __init__(self, diagnostics: Diagnostics) -> None:
        self._diagnostics = diagnostics

    def read(self, node: Node, info: inspect.Type, subject: str) -> Any:
        match info:
            case inspect.Metadata():
                return self._quantity_or_inner(node, info, subject)
            case inspect.StructType():
                return self._struct(node, info, subject)
            case inspect.UnionType():
                return self._union(node, info, subject)
            case inspect.DictType():
                return self._dict(node, info, subject)
            case inspect.ListType() | inspect.VarTupleType() | inspect.SetType() | inspect.FrozenSetType():
                return self._list(node, info, subject)
            case inspect.EnumType():
                return self._choice(node, {str(member.value): member for member in info.cls}, subject)
            case inspect.LiteralType():
                return self._choice(node, {str(value): value for value in info.values}, subject)
            case inspect.AnyType():
                return plain(node)
            case _:
                return self._scalar(node, info, subject)

    # -- structures

    def _struct(self, node: Node, info: inspect.StructType, subject: str) -> Any:
        if not isinstance(node, MappingNode):
            return self._mismatch(node, f"a mapping ({subject})")
        fields = {field.encode_name: field for field in info.fields}
        values: dict[str, Any] = {}
        for entry in node.entries:
            if info.tag_field is not None and entry.key == info.tag_field:
                continue
            field = fields.get(entry.key)
            if field is None:
                self._unknown_field(entry.key, entry.span, fields, subject)
                continue
            value = self.read(entry.node, field.type, entry.key)
            if value is not _FAULTY:
                values[field.name] = value
            elif field.required:
                values[field.name] = _FAULTY
        missing = [field for field in info.fields if field.required and field.name not in values]
        for field in missing:
            hint = f"write `{field.encode_name}: …`"
            self._error("missing-field", node.span, f"{subject} lacks the field {field.encode_name!r}", hint)
        if missing or any(value is _FAULTY for value in values.values()):
            return _FAULTY
        return info.cls(**values)

    def _unknown_field(self, key: str, span: Span, fields: Iterable[str], subject: str) -> None:
        known = list(fields)
        near = closest(key, known)
        hint = f"did you mean {near!r}?" if near else f"known here: {', '.join(known)}"
        self._error("unknown-field", span, f"no field {key!r} in {subject}", hint)

    def _dict(self, node: Node, info: inspect.DictType, subject: str) -> Any:
        if not isinstance(node, MappingNode):
            return self._mismatch(node, f"a mapping ({subject})")
        values: dict[Any, Any] = {}
        for entry in node.entries:
            key_node = ScalarNode(entry.key, entry.key, plain=False, span=entry.span)
            key = self.read(key_node, info.key_type, f"name in {subject}")
            value = self.read(entry.node, info.value_type, f"{_singular(subject)} {entry.key!r}")
            if key is not _FAULTY and value is not _FAULTY:
                values[key] = value
        return values

    def _list(self, node: Node, info: Any, subject: str) -> Any:
        if not isinstance(node, SequenceNode):
            return self._mismatch(node, f"a list ({subject})")
        if info.min_length is not None and len(node.items) < info.min_length:
            return self._fault("invalid-value", node.span, f"{subject} needs at least {info.min_length} item(s)")
        if info.max_length is not None and len(node.items) > info.max_length:
            return self._fault("invalid-value", node.span, f"{subject} takes at most {info.max_length} item(s)")
        values = [self.read(item, info.item_type, f"item of {subject}") for item in node.items]
        if any(value is _FAULTY for value in values):
            return _FAULTY
        build: Callable[[Iterable[Any]], Any] = {
            inspect.ListType: list, inspect.VarTupleType: tuple, inspect.SetType: set, inspect.FrozenSetType: frozenset,
        }[type(info)]  # fmt: skip
        return build(values)

    def _union(self, node: Node, info: inspect.UnionType, subject: str) -> Any:
        if isinstance(node, ScalarNode) and node.value is None and info.includes_none:
            return None
        members = [member for member in info.types if not isinstance(member, inspect.NoneType)]
        structs = [member for member in members if isinstance(member, inspect.StructType)]
        if isinstance(node, MappingNode) and len(structs) > 1:
            return self._tagged(node, structs, subject)
        fitting = [member for member in members if _fits(node, member)]
        if fitting:
            return self.read(node, fitting[0], subject)
        return self._mismatch(node, " or ".join(dict.fromkeys(_describe(member) for member in members)))

    def _tagged(self, node: MappingNode, structs: list[inspect.StructType], subject: str) -> Any:
        tag_field = structs[0].tag_field or "type"
        by_tag = {str(member.tag): member for member in structs}
        tag = node.get(tag_field)
        if tag is None:
            hint = f"write `{tag_field}: {' | '.join(by_tag)}`"
            return self._fault("missing-field", node.span, f"{subject} lacks the field {tag_field!r}", hint)
        chosen = self._choice(tag, by_tag, tag_field)
        return _FAULTY if chosen is _FAULTY else self._struct(node, chosen, subject)

    # -- leaves

    def _choice(self, node: Node, choices: dict[str, Any], subject: str) -> Any:
        if not isinstance(node, ScalarNode):
            return self._mismatch(node, f"one of {', '.join(choices)}")
        if node.raw in choices:
            return choices[node.raw]
        near = closest(node.raw, choices)
        hint = f"did you mean {near!r}?" if near else f"one of: {', '.join(choices)}"
        return self._fault("unknown-choice", node.span, f"{subject} cannot be {node.raw!r}", hint)

    def _quantity_or_inner(self, node: Node, info: inspect.Metadata, subject: str) -> Any:
        kind = _quantity(info)
        if kind is None:
            return self.read(node, info.type, subject)
        quantity = unit.QUANTITIES[kind]
        if not isinstance(node, ScalarNode) or node.value is None or isinstance(node.value, bool):
            return self._mismatch(node, f"{quantity.noun} such as {quantity.example}")
        try:
            number = unit.read(kind, node.raw)
        except unit.QuantityError as error:
            return self._fault("wrong-unit", node.span, f"{subject}: {error}", error.hint)
        if kind == "duration" and number > _MOST_MS:
            return self._fault("invalid-value", node.span, f"{subject}: {node.raw} is more than 100 years")
        return self._constrained(number, node, info.type, subject, kind)

    def _scalar(self, node: Node, info: inspect.Type, subject: str) -> Any:
        value = node.value if isinstance(node, ScalarNode) else _FAULTY
        match info:
            case inspect.BoolType() if isinstance(value, bool):
                return value
            case inspect.IntType() if isinstance(value, int) and not isinstance(value, bool):
                return self._constrained(value, node, info, subject)
            case inspect.FloatType() if isinstance(value, int | float) and not isinstance(value, bool):
                return self._constrained(float(value), node, info, subject)
            case inspect.StrType() if isinstance(value, str):
                return self._constrained(value, node, info, subject)
            case inspect.NoneType() if value is None:
                return None
            case _:
                hint = None
                if isinstance(info, inspect.StrType) and isinstance(node, ScalarNode) and node.raw:
                    hint = f'write "{node.raw}"'
                return self._mismatch(node, _describe(info), hint)

    def _constrained(self, value: Any, node: Node, info: Any, subject: str, kind: str | None = None) -> Any:
        complaint = _complaint(value, info, kind)
        if complaint is None:
            return value
        shown = _short(node.raw) if isinstance(node, ScalarNode) else value
        return self._fault("invalid-value", node.span, f"{subject}: {shown} {complaint}")

    # -- reporting

    def _mismatch(self, node: Node, expected: str, hint: str | None = None) -> _Faulty:
        return self._fault("wrong-type", node.span, f"expected {expected}, found {_found(node)}", hint)

    def _fault(self, code: str, span: Span, message: str, hint: str | None = None) -> _Faulty:
        self._error(code, span, message, hint)
        return _FAULTY

    def _error(self, code: str, span: Span, message: str, hint: str | None) -> None:
        self._diagnostics.error(code, span, message, hint)


def _complaint(value: Any, info: Any, kind: str | None) -> str | None:
    """What is wrong with ``value``, whose bounds are said as its ``kind`` of quantity is written."""
    if isinstance(value, str):
        if info.pattern is not None and not _matches(info.pattern, value):
            return f"does not match {info.pattern}"
        if info.min_length is not None and len(value) < info.min_length:
            return "is empty" if not value else f"is shorter than {info.min_length} characters"
        if info.max_length is not None and len(value) > info.max_length:
            return f"is longer than {info.max_length} characters"
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return "is no finite number"
    if info.ge is not None and value < info.ge:
        return f"is less than {_bound(info.ge, kind)}"
    if info.gt is not None and value <= info.gt:
        return f"must be more than {_bound(info.gt, kind)}"
    if info.le is not None and value > info.le:
        return f"is more than {_bound(info.le, kind)}"
    if info.lt is not None and value >= info.lt:
        return f"must be less than {_bound(info.lt, kind)}"
    if not _LEAST <= value <= _MOST and isinstance(value, int):
        return f"is more than {_bound(_MOST, kind)}" if value > 0 else f"is less than {_LEAST}"
    return None


def _matches(pattern: str, value: str) -> bool:
    """Whether ``value`` matches, where `$` is the end and not before a last line break."""
    return re.search(pattern.removesuffix("$") + r"\Z" if pattern.endswith("$") else pattern, value) is not None


def _bound(bound: float, kind: str | None) -> str:
    """A bound as it is written; equal types are one to Python, so that 1.0 may stand where 1 was said."""
    if kind is not None:
        return unit.written(kind, bound)
    return str(int(bound)) if bound == int(bound) else str(bound)


def _quantity(info: inspect.Metadata) -> str | None:
    """Which quantity of `runtime.source.unit` a type is marked as."""
    extra = cast("dict[str, str] | None", info.extra)  # pyright: ignore[reportUnknownMemberType]  # msgspec says `dict`
    return extra.get("quantity") if extra else None


def _fits(node: Node, info: inspect.Type) -> bool:
    while isinstance(info, inspect.Metadata):
        if _quantity(info):
            return isinstance(node, ScalarNode)
        info = info.type
    if isinstance(node, MappingNode):
        return isinstance(info, inspect.StructType | inspect.DictType | inspect.AnyType)
    if isinstance(node, SequenceNode):
        return isinstance(info, inspect.ListType | inspect.VarTupleType | inspect.FrozenSetType | inspect.AnyType)
    wanted: dict[type, tuple[type, ...]] = {
        bool: (inspect.BoolType,),
        int: (inspect.IntType, inspect.FloatType),
        float: (inspect.FloatType,),
        str: (inspect.StrType, inspect.EnumType, inspect.LiteralType),
        type(None): (inspect.NoneType,),
    }
    return isinstance(info, (*wanted[type(node.value)], inspect.AnyType))


def _describe(info: inspect.Type) -> str:
    names: dict[type, str] = {
        inspect.StrType: "text", inspect.IntType: "a whole number", inspect.FloatType: "a number",
        inspect.BoolType: "true or false", inspect.NoneType: "null", inspect.StructType: "a mapping",
        inspect.DictType: "a mapping", inspect.ListType: "a list", inspect.VarTupleType: "a list",
        inspect.FrozenSetType: "a list",
    }  # fmt: skip
    if isinstance(info, inspect.Metadata):
        kind = _quantity(info)
        return unit.QUANTITIES[kind].noun if kind else _describe(info.type)
    if isinstance(info, inspect.LiteralType):
        return "one of " + ", ".join(str(value) for value in info.values)
    if isinstance(info, inspect.EnumType):
        return "one of " + ", ".join(str(member.value) for member in info.cls)
    return names.get(type(info), "another type")


def _found(node: Node) -> str:
    if isinstance(node, MappingNode):
        return "a mapping"
    if isinstance(node, SequenceNode):
        return "a list"
    if node.value is None:
        return "nothing" if not node.raw else node.raw
    kind = {bool: "the boolean", int: "the number", float: "the number", str: "the text"}[type(node.value)]
    return f"{kind} {node.raw!r}" if isinstance(node.value, str) else f"{kind} {_short(node.raw)}"


def _short(raw: str) -> str:
    """``raw`` as it may stand in one line of text."""
    shown = "".join(each if each.isprintable() else repr(each)[1:-1] for each in raw[:_SHOWN_CHARS])
    return shown if len(raw) <= _SHOWN_CHARS else f"{shown}…"


def plain(node: Node) -> Any:
    """The node as plain Python values, for the few places that take any JSON."""
    if isinstance(node, MappingNode):
        return {entry.key: plain(entry.node) for entry in node.entries}
    if isinstance(node, SequenceNode):
        return [plain(item) for item in node.items]
    return node.value


def _singular(noun: str) -> str:
    if noun.endswith("ies"):
        return noun[:-3] + "y"
    return noun.removesuffix("s")
