"""Generated types carry every value their schema allows, and say of themselves what the schema said.

The schemas of the golden cases and of the real project alike: values are built from the middle, encoded, decoded; and
what msgspec reports of a Struct is held against the schema the Struct came from.
"""

import math
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.ir import (
    Alias,
    Boolean,
    Choice,
    Declaration,
    Field,
    Integer,
    ListOf,
    MapOf,
    Module,
    Null,
    Number,
    OneOf,
    Raw,
    Record,
    Reference,
    Text,
    Type,
)  # fmt: skip
from codegen.pipeline import Compilation, compile_schemas
from runtime.source import Diagnostics, decode, parse
from tests.codegen.golden import CASES
from tests.codegen.project import ROOT, imported, real

SOURCES = [
    *((CASES / name, module) for name, module in (
        ("presence", "basic"), ("inline_objects", "inline"), ("tagged_unions", "tagged"), ("awkward_names", "names"),
        ("limits_and_choices", "limits"), ("recursion_and_order", "tree"), ("hostile_text", "evil"),
    )),
    (ROOT, "openai_chat"), (ROOT, "anthropic_messages"),
]  # fmt: skip
DEEP = 3


@cache
def compilation(root: Path) -> Compilation:
    return real() if root == ROOT else compile_schemas(root)


@pytest.fixture(params=SOURCES, ids=lambda source: source[1])
def generated(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[Module, ModuleType]:
    """A module of the middle and the Python that came of it."""
    root, name = request.param
    module = next(module for module in compilation(root).ir.modules if module.name == name)
    return module, imported(compilation(root), f"generated/types/{name}.py", tmp_path)


# -- values from the middle


def json_values(type_: Type, names: Mapping[str, Declaration], depth: int = 0) -> st.SearchStrategy[Any]:
    match type_:
        case Text(pattern=None):
            return st.text(min_size=type_.min_length or 0, max_size=type_.max_length or 20)
        case Text():
            shape = st.from_regex(type_.pattern or "").filter(lambda text: (type_.min_length or 0) <= len(text))
            return shape.filter(lambda text: len(text) <= (type_.max_length or 99))
        case Integer():
            return st.integers(-(2**53) if type_.minimum is None else type_.minimum, type_.maximum or 2**53)
        case Number():
            return st.floats(type_.minimum, type_.maximum, allow_nan=False, allow_infinity=False)
        case Boolean():
            return st.booleans()
        case Null():
            return st.none()
        case Raw():
            return st.sampled_from([1, "a", None, [], {"b": [True]}])
        case Choice():
            return st.sampled_from(type_.values)
        case ListOf():
            most = type_.max_items if type_.max_items is not None else 3
            least = type_.min_items or 0
            return st.lists(
                json_values(type_.item, names, depth + 1), min_size=least, max_size=least if depth > DEEP else most
            )
        case MapOf():
            return st.dictionaries(
                st.text(max_size=5), json_values(type_.value, names, depth + 1), max_size=0 if depth > DEEP else 3
            )
        case OneOf():
            return st.one_of([json_values(member, names, depth) for member in type_.members])
        case Reference():
            return json_objects(names[type_.name], names, depth + 1)
        case _:
            raise AssertionError(type_)


def json_objects(declaration: Declaration, names: Mapping[str, Declaration], depth: int = 0) -> st.SearchStrategy[Any]:
    if isinstance(declaration, Alias):
        return st.deferred(lambda: json_values(declaration.type, names, depth))
    required = {field.wire: _field(field, names, depth) for field in declaration.fields if field.required}
    optional = {
        field.wire: _field(field, names, depth) for field in declaration.fields if not field.required and depth <= DEEP
    }
    if declaration.tag is not None:
        required[declaration.tag.field] = st.just(declaration.tag.value)
    return st.fixed_dictionaries(required, optional=optional)


def _field(field: Field, names: Mapping[str, Declaration], depth: int) -> st.SearchStrategy[Any]:
    return st.deferred(lambda: json_values(field.type, names, depth))


def contains(whole: Any, part: Any) -> bool:
    """Whether ``whole`` says all that ``part`` says; it may add defaults."""
    if isinstance(part, dict):
        return isinstance(whole, dict) and all(key in whole and contains(whole[key], part[key]) for key in part)
    if isinstance(part, list):
        return len(whole) == len(part) and all(contains(*pair) for pair in zip(whole, part, strict=True))
    if isinstance(part, float) and isinstance(whole, float):
        return math.isclose(whole, part)
    return bool(whole == part)


def test_what_is_decoded_is_encoded_again(generated: tuple[Module, ModuleType]):
    module, python = generated
    names = {item.name: item for item in module.declarations}
    values = {name: json_objects(item, names) for name, item in names.items()}  # to make them takes longer than to draw

    @given(st.data())
    def round_trip(data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(list(values)))
        value = data.draw(values[name])
        type_ = getattr(python, name)

        decoded = msgspec.json.decode(msgspec.json.encode(value), type=type_)
        encoded = msgspec.json.encode(decoded)

        assert contains(msgspec.json.decode(encoded), value)
        assert msgspec.json.encode(msgspec.json.decode(encoded, type=type_)) == encoded

    round_trip()


# -- what msgspec says of the Structs, against the schema


def source_types(root: Path, module: Module) -> dict[str, Any]:
    """The `types` of the YAML file, as plain values."""
    diagnostics = Diagnostics()
    node = parse((root / module.source).read_bytes(), module.source, diagnostics)
    assert node is not None
    document: Any = decode(node, Any, diagnostics, "protocol")
    types: dict[str, Any] = document["types"]
    return types


class Shape:
    """Both kinds of schema, brought to one form: references by name, unions as sets, inline objects opened."""

    def __init__(self, named: Mapping[str, Any], components: Mapping[str, Any]) -> None:
        self._named = named
        self._components = components

    def of(self, schema: Mapping[str, Any]) -> Any:
        if schema.get("x-raw") or not set(schema) - {"description", "default"}:
            return "anything"
        if "$ref" in schema:
            return self._reference(schema["$ref"].rpartition("/")[2])
        if "oneOf" in schema or "anyOf" in schema:
            return frozenset(self._members(schema))
        words = schema.get("type")
        if isinstance(words, list):
            return frozenset("null" if word == "null" else self.of({**schema, "type": word}) for word in words)
        if "enum" in schema or "const" in schema:
            values = schema["enum"] if "enum" in schema else [schema["const"]]
            shapes = {("choice", frozenset(value for value in values if value is not None))}
            return frozenset(shapes | {"null"}) if None in values else next(iter(shapes))
        return self._plain(schema, words)

    def _plain(self, schema: Mapping[str, Any], word: Any) -> Any:
        limits = tuple(
            (name, float(schema[name]) if isinstance(schema[name], int) else schema[name])
            for name in ("minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern")
            if name in schema
        )
        if word == "array":
            return ("array", self.of(schema["items"]), limits)
        if word == "object" and schema.get("additionalProperties", False) is not False:  # false: it is closed
            return ("map", self.of(schema["additionalProperties"]))
        return self.object(schema) if word == "object" else "null" if word == "null" else (word, limits)

    def object(self, schema: Mapping[str, Any]) -> Any:
        properties = {name: self.of(child) for name, child in schema.get("properties", {}).items()}
        constant = {name for name, child in schema.get("properties", {}).items() if "const" in child or _single(child)}
        return ("object", frozenset(properties.items()), frozenset(schema.get("required", ())) - constant)

    def _members(self, schema: Mapping[str, Any]) -> Iterator[Any]:
        for member in schema.get("oneOf", ()) or schema.get("anyOf", ()):
            shape = self.of(member)
            yield from shape if isinstance(shape, frozenset) else (shape,)

    def _reference(self, name: str) -> Any:
        schema = self._named.get(name)
        if schema is None:  # an object written inline, under the name that the compiler gave it
            return self.object(self._components[name])
        return ("reference", name) if "properties" in schema else self.of(schema)


def _single(schema: Mapping[str, Any]) -> bool:
    return len(schema.get("enum", ())) == 1


def test_structs_describe_themselves_as_their_schema_does(generated: tuple[Module, ModuleType], request: Any):
    module, python = generated
    root = next(root for root, name in SOURCES if name == module.name)
    named = source_types(root, module)
    records = [item for item in module.declarations if isinstance(item, Record)]
    components = msgspec.json.schema_components([getattr(python, item.name) for item in records])[1]
    theirs, ours = Shape(named, components), Shape(named, {})

    for item in records:
        if item.name in named:
            assert theirs.object(components[item.name]) == ours.object(named[item.name]), item.name
