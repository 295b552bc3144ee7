"""The smallest value that a JSON Schema allows: what a simulated model fills structured answers and arguments with.

Not a validator. Knows the keywords that structured output uses; where a schema asks for what it cannot make (most
patterns), it says so instead of giving a value that does not fit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from types import MappingProxyType

import msgspec
from msgspec import UNSET, Raw, UnsetType

__all__ = ["Schema", "Unmakeable", "instance"]

FILLER = "simulated"
MAX_DEPTH = 24
MAX_VALUES = 5_000
MAX_LENGTH = 10_000

FORMATS = MappingProxyType({
    "date-time": "2026-01-01T00:00:00Z",
    "date": "2026-01-01",
    "time": "00:00:00Z",
    "duration": "PT0S",
    "email": "simulated@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
})  # fmt: skip

CANDIDATES = (FILLER, "", "a", "A", "0", "1", "aa", "AA", "00", "aaa", "AAA", "000", "0000", "00000", "a0", "A0", "a-0",
              "2026-01-01", "00:00", "+10000000", "1.0", "a@b.cd", "#000000", "https://a.b")  # fmt: skip
"""Tried in turn against a pattern. Short, so that no pattern can take long over them."""


class Unmakeable(Exception):  # noqa: N818 — it says of the schema what it is
    """No value can be made. The text says why."""


class Schema(msgspec.Struct, kw_only=True):
    """The keywords that are understood; the others are ignored."""

    type: str | list[str] | UnsetType = UNSET
    properties: dict[str, Schema | bool] = {}
    required: list[str] = []
    items: Schema | list[Schema | bool] | bool = True
    prefix_items: list[Schema | bool] = msgspec.field(name="prefixItems", default_factory=list["Schema | bool"])
    enum: list[Raw] | UnsetType = UNSET
    const: Raw | UnsetType = UNSET
    any_of: list[Schema | bool] = msgspec.field(name="anyOf", default_factory=list["Schema | bool"])
    one_of: list[Schema | bool] = msgspec.field(name="oneOf", default_factory=list["Schema | bool"])
    all_of: list[Schema | bool] = msgspec.field(name="allOf", default_factory=list["Schema | bool"])
    ref: str | UnsetType = msgspec.field(name="$ref", default=UNSET)
    defs: dict[str, Schema | bool] = msgspec.field(name="$defs", default_factory=dict[str, "Schema | bool"])
    definitions: dict[str, Schema | bool] = {}
    minimum: float | None = None
    maximum: float | None = None
    exclusive_minimum: float | bool | None = msgspec.field(name="exclusiveMinimum", default=None)
    exclusive_maximum: float | bool | None = msgspec.field(name="exclusiveMaximum", default=None)
    multiple_of: float | None = msgspec.field(name="multipleOf", default=None)
    min_length: int = msgspec.field(name="minLength", default=0)
    max_length: int | None = msgspec.field(name="maxLength", default=None)
    min_items: int = msgspec.field(name="minItems", default=0)
    pattern: str | None = None
    format: str | None = None


def instance(schema: Schema | bool) -> object:
    """A value, ready to be encoded as JSON. Raises Unmakeable."""
    return _Maker(schema if isinstance(schema, Schema) else Schema()).make(schema, 0)


class _Maker:
    """Counts what it makes: a short schema can ask for a value without end."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._left = MAX_VALUES

    def make(self, schema: Schema | bool, depth: int) -> object:
        self._left -= 1
        if self._left < 0 or depth > MAX_DEPTH:
            raise Unmakeable("the schema has no value of a reasonable size")
        if isinstance(schema, bool):
            if not schema:
                raise Unmakeable("the schema `false` has no value")
            return FILLER
        if schema.const is not UNSET:
            return schema.const
        if schema.enum is not UNSET:
            return self._first_of(schema.enum)
        if schema.ref is not UNSET:
            return self.make(self._resolve(schema.ref), depth + 1)
        if choices := schema.any_of or schema.one_of:
            return self._any(choices, depth)
        if schema.all_of:
            return self._all(schema, depth)
        return self._of_type(schema, depth)

    def _first_of(self, values: list[Raw]) -> Raw:
        if not values:
            raise Unmakeable("an empty `enum` has no value")
        return values[0]

    def _resolve(self, ref: str) -> Schema | bool:
        if ref == "#":
            return self._root
        for prefix, named in (("#/$defs/", self._root.defs), ("#/definitions/", self._root.definitions)):
            if ref.startswith(prefix) and (found := named.get(ref.removeprefix(prefix))) is not None:
                return found
        raise Unmakeable(f"`$ref` {ref!r} names nothing in `$defs`")

    def _any(self, choices: list[Schema | bool], depth: int) -> object:
        """The first choice that ends: in a recursive schema that is the way out."""
        reason = Unmakeable("no choice has a value")
        for choice in choices:
            try:
                return self.make(choice, depth + 1)
            except Unmakeable as failure:
                reason = failure
        raise reason

    def _all(self, schema: Schema, depth: int) -> object:
        parts = [self.make(part, depth + 1) for part in schema.all_of]
        if schema.properties:
            parts.append(self._object(schema, depth))
        merged: dict[str, object] = {}
        for part in parts:
            if not isinstance(part, dict):
                return parts[0]
            merged |= part
        return merged

    def _of_type(self, schema: Schema, depth: int) -> object:
        makers: dict[str, Callable[[Schema, int], object]] = {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda _schema, _depth: False,
            "null": lambda _schema, _depth: None,
        }
        reason = Unmakeable("`type` is empty")
        for type_ in self._types(schema):
            if (maker := makers.get(type_)) is None:
                raise Unmakeable(f"`type` {type_!r} is none of JSON Schema's")
            try:
                return maker(schema, depth)
            except Unmakeable as failure:
                reason = failure
        raise reason

    def _types(self, schema: Schema) -> list[str]:
        if schema.type is UNSET:
            return ["object"] if schema.properties or schema.required else ["string"]
        return [schema.type] if isinstance(schema.type, str) else schema.type

    def _object(self, schema: Schema, depth: int) -> object:
        return {name: self.make(schema.properties.get(name, True), depth + 1) for name in schema.required}

    def _array(self, schema: Schema, depth: int) -> object:
        first = schema.items if isinstance(schema.items, list) else schema.prefix_items
        rest = True if isinstance(schema.items, list) else schema.items
        if schema.min_items > MAX_LENGTH:
            raise Unmakeable("the schema has no value of a reasonable size")
        return [self.make(first[index] if index < len(first) else rest, depth + 1) for index in range(schema.min_items)]

    def _integer(self, schema: Schema, depth: int) -> int:
        value = self._number(schema, depth)
        if value != int(value):
            raise Unmakeable("no integer found between the limits")
        return int(value)

    def _number(self, schema: Schema, _depth: int) -> float:
        """Zero, or what is nearest to it above the lower limit; below the upper one where there is no lower."""
        step = schema.multiple_of or 1
        for value in (0, *self._around(schema.minimum, step), *self._around(schema.maximum, step),
                      *self._around(schema.exclusive_minimum, step), *self._around(schema.exclusive_maximum, step)):  # fmt: skip
            if _fits(value, schema):
                return int(value) if value == int(value) else value
        raise Unmakeable("no number found between the limits")

    def _around(self, limit: float | bool | None, step: float) -> list[float]:
        if limit is None or isinstance(limit, bool):
            return []
        below = (limit // step) * step
        return [below, below + step, below - step, limit, limit + step / 2, limit - step / 2]

    def _string(self, schema: Schema, _depth: int) -> str:
        low, high = schema.min_length, schema.max_length
        if low > MAX_LENGTH or (high is not None and high < low):
            raise Unmakeable("no string has the wanted length")
        if schema.pattern is not None:
            return self._matching(schema.pattern, low, high)
        if (example := FORMATS.get(schema.format or "")) is not None:
            if low <= len(example) and (high is None or len(example) <= high):
                return example
            raise Unmakeable(f"no {schema.format} of the wanted length is known")
        return FILLER.ljust(low, ".")[:high]

    def _matching(self, pattern: str, low: int, high: int | None) -> str:
        try:
            wanted = re.compile(pattern)
        except (re.error, OverflowError, RecursionError):
            raise Unmakeable(f"the pattern {pattern!r} is not understood") from None
        for text in CANDIDATES:
            if low <= len(text) and (high is None or len(text) <= high) and wanted.search(text):
                return text
        raise Unmakeable(f"the simulated provider knows no text for the pattern {pattern!r}")


def _fits(value: float, schema: Schema) -> bool:
    low, high = schema.exclusive_minimum, schema.exclusive_maximum
    return (
        (schema.minimum is None or value >= schema.minimum)
        and (schema.maximum is None or value <= schema.maximum)
        and _beyond(low, schema.minimum, value, 1)
        and _beyond(high, schema.maximum, value, -1)
        and (not schema.multiple_of or value % schema.multiple_of == 0)
    )


def _beyond(exclusive: float | bool | None, limit: float | None, value: float, direction: int) -> bool:
    """Whether ``value`` keeps an exclusive limit: a number of its own, or (older drafts) a flag on the other one."""
    if exclusive is None or exclusive is False:
        return True
    if exclusive is True:
        return value != limit
    return (value - exclusive) * direction > 0
