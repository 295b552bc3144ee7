"""JSON Schemas in the form that this vendor takes, so that no tool is refused for its schema.

The vendor takes JSON Schema in `parametersJsonSchema` and `responseJsonSchema`, of which it documents the keywords that it
honours; others make it refuse the request. A keyword that can be said otherwise is: `const` is an `enum` of one, `oneOf`
an `anyOf`, `allOf` is merged, a list of types is an `anyOf`. What cannot moves into the description, where the model reads
it. What has no meaning left is refused, with the path of the keyword. A schema that fits already stays the very text.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from runtime.protocols.gemini.schema_refs import Refs, UnknownReferenceError
from runtime.protocols.json_schema import EMPTY_OBJECT, Schema, is_list, is_object, read_schema, tell, write_schema
from runtime.protocols.schema_merge import ContradictionError, merged

__all__ = ["UnsayableError", "answer_schema", "parameters_schema"]

_KEPT: Final = frozenset({
    "$id", "$anchor", "type", "title", "description", "enum", "minItems", "maxItems", "minimum", "maximum",
    "propertyOrdering", "required",
})  # fmt: skip
_SILENT: Final = frozenset({
    "$schema", "$comment", "$vocabulary", "examples", "example", "deprecated", "readOnly", "writeOnly",
    "enumDescriptions", "enumNames", "markdownDescription", "$defs", "definitions",
})  # fmt: skip
_FORMATS: Final = frozenset({"date-time", "date", "time", "duration", "int32", "int64", "float", "double", "enum"})
_TYPES: Final = frozenset({"object", "array", "string", "integer", "number", "boolean", "null"})
_ABOUT: Final = {
    "object": frozenset({"properties", "required", "additionalProperties", "propertyOrdering"}),
    "array": frozenset({"items", "prefixItems", "minItems", "maxItems"}),
    "string": frozenset({"format"}),
    "number": frozenset({"minimum", "maximum", "format"}),
    "integer": frozenset({"minimum", "maximum", "format"}),
}
_ABOUT_SOME: Final = frozenset(word for words in _ABOUT.values() for word in words)


class UnsayableError(ValueError):
    """``path`` is where the keyword stands that cannot be said, as `properties.a.not`."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(what)
        self.path = path


def parameters_schema(text: str | None) -> str | None:
    """A function's parameters, an object at the top; None where there is nothing to say.

    Raises:
        UnsayableError: it cannot be said to this vendor.
    """
    if text is None:
        return None
    schema = _read(text)
    if schema is None:
        return EMPTY_OBJECT
    cleaned = _cleaned(schema)
    if cleaned.get("type") != "object":
        cleaned = _object(cleaned)
    return text if cleaned == schema else write_schema(cleaned)


def answer_schema(text: str) -> str:
    """The schema of a whole answer. Raises UnsayableError."""
    schema = _read(text)
    if schema is None:
        return "{}"
    cleaned = _cleaned(schema)
    return text if cleaned == schema else write_schema(cleaned)


def _read(text: str) -> Schema | None:
    try:
        return read_schema(text)
    except ValueError as error:
        raise UnsayableError("", str(error)) from None


def _cleaned(schema: Schema) -> Schema:
    try:
        refs = Refs(schema)
        cleaner = _Cleaner(refs)
        done = cleaner.clean(refs.root, "")
        defs: Schema = {}
        while waiting := [name for name in refs.defs if name in refs.used and name not in defs]:
            defs |= {name: cleaner.clean(refs.defs[name], f"$defs.{name}") for name in waiting}
    except UnknownReferenceError as error:
        raise UnsayableError(error.path, str(error)) from None
    except RecursionError:
        raise UnsayableError("", "the schema is nested too deeply") from None
    return {**done, "$defs": defs} if defs else done


def _object(schema: Schema) -> Schema:
    """``schema`` with an object at its top."""
    if "type" not in schema and ("properties" in schema or not {"anyOf", "oneOf", "$ref", "enum"} & schema.keys()):
        return {"type": "object", **schema}
    if "type" not in schema and "enum" not in schema:  # alternatives, each an object as it must be
        defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
        inner = {key: value for key, value in schema.items() if key != "$defs"}
        return {"type": "object", **({"anyOf": [inner]} if "$ref" in inner else inner), **defs}
    defs = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    inner = {key: value for key, value in schema.items() if key != "$defs"}
    return {"type": "object", "properties": {"value": inner}, "required": ["value"], **defs}


class _Cleaner:
    def __init__(self, refs: Refs) -> None:
        self._refs = refs

    def clean(self, schema: object, path: str) -> Schema:
        if not is_object(schema):
            if schema is False:
                raise UnsayableError(path, "`false` allows no value, which this model cannot be told")
            return {}
        if "allOf" in schema:
            try:
                schema = merged(schema, self._refs.resolve)
            except ContradictionError as error:
                raise UnsayableError(_under(path, "allOf"), str(error)) from None
        types = schema.get("type")
        if is_list(types):
            return self._alternatives(schema, [word for word in types if isinstance(word, str)], path)
        return self._plain(schema, path)

    def _plain(self, schema: Schema, path: str) -> Schema:
        done: Schema = {}
        untold: list[tuple[str, object]] = []
        for key, value in schema.items():
            self._keyword(schema, key, value, done, untold, path)
        self._required(done, untold)
        tell(done, untold)
        if "$ref" in done and any(not key.startswith("$") for key in done):
            return {"anyOf": [{"$ref": done.pop("$ref")}], **done}
        return done

    def _keyword(
        self, schema: Schema, key: str, value: object, done: Schema, untold: list[tuple[str, object]], path: str
    ) -> None:
        place = _under(path, key)
        match key:
            case "$ref":
                done[key] = self._refs.named(value, place)
            case "$dynamicRef" | "$recursiveRef":
                raise UnsayableError(place, "dynamic references cannot be told to this model")
            case "type":
                self._type(value, done, place)
            case "anyOf" | "oneOf" if is_list(value):
                self._choices(value, done, place)
            case "enum" | "const":
                _values(schema, value if key == "enum" and is_list(value) else [value], done, untold)
            case "exclusiveMinimum" | "exclusiveMaximum":
                _exclusive(schema, key, value, done, untold)
            case "minimum" | "maximum" if schema.get(_exclusive_of(key)) is True:
                untold.append((_exclusive_of(key), value))
            case _ if key not in _SILENT and not self._inner(key, value, done, place):
                _plain_keyword(key, value, done, untold)
            case _:
                return

    def _inner(self, key: str, value: object, done: Schema, place: str) -> bool:
        """Schemas within the schema. False where ``key`` holds none, or none that can be said."""
        match key:
            case "properties" if is_object(value):
                members = {name: member for name, member in value.items() if member is not False}
                done[key] = {name: self.clean(member, f"{place}.{name}") for name, member in members.items()}
            case "items" | "prefixItems" if is_list(value):
                done["prefixItems"] = [self.clean(member, f"{place}.{at}") for at, member in enumerate(value)]
            case "items" if value is not False:
                done[key] = self.clean(value, place)
            case "additionalProperties":
                done[key] = value if isinstance(value, bool) else self.clean(value, place)
            case _:
                return False
        return True

    def _type(self, value: object, done: Schema, place: str) -> None:
        word = value.lower() if isinstance(value, str) else value
        if not isinstance(word, str) or word not in _TYPES:
            raise UnsayableError(place, f"{msgspec.json.encode(value).decode()} is no type of JSON Schema")
        done["type"] = word

    def _choices(self, members: list[object], done: Schema, place: str) -> None:
        possible = [self.clean(member, f"{place}.{at}") for at, member in enumerate(members) if member is not False]
        if not possible:
            raise UnsayableError(place, "none of the alternatives allows a value")
        done["anyOf" if "anyOf" not in done else "oneOf"] = possible

    def _required(self, done: Schema, untold: list[tuple[str, object]]) -> None:
        """Only what is described can be required, and a schema that comes back to itself only where it may be left out."""
        names = done.get("required")
        if not is_list(names):
            done.pop("required", None)
            return
        properties = done.get("properties")
        known = properties if is_object(properties) else {}
        sound = [
            name for name in names if isinstance(name, str) and name in known and not self._refs.cyclic(known[name])
        ]
        lost = [name for name in names if name not in sound]
        if lost:
            untold.append(("required", lost))
            done["required"] = sound
        if not sound:
            del done["required"]

    def _alternatives(self, schema: Schema, types: list[str], path: str) -> Schema:
        """A list of types: alternatives, each with the keywords that are about it."""
        if len(types) == 1:
            return self._plain({**schema, "type": types[0]}, path)
        shared = {key: value for key, value in schema.items() if key != "type" and key not in _ABOUT_SOME}
        values = shared.pop("enum", None)
        members: list[object] = []
        for word in types:
            about = {key: value for key, value in schema.items() if key in _ABOUT.get(word.lower(), ())}
            own = [value for value in values if _is_of(value, word.lower())] if is_list(values) else None
            if own == [] and word.lower() != "null":
                continue
            members.append({"type": word, **about, **({"enum": own} if own and word.lower() != "null" else {})})
        if not members:
            raise UnsayableError(_under(path, "enum"), "none of its values is of the type")
        nested = {"anyOf": members} if "anyOf" not in shared else {"oneOf": members}
        return self._plain({**shared, **nested}, path)


def _plain_keyword(key: str, value: object, done: Schema, untold: list[tuple[str, object]]) -> None:
    if key in _KEPT or (key == "format" and value in _FORMATS):
        done.setdefault(key, value)
    else:
        untold.append((key, value))


def _values(schema: Schema, values: list[object], done: Schema, untold: list[tuple[str, object]]) -> None:
    """The vendor takes texts and numbers as values; others are told in words, beside their type."""
    if values == [None]:
        done.setdefault("type", "null")
        return
    if all(isinstance(value, bool) for value in values):
        done.setdefault("type", "boolean")
        if len(values) == 1:
            untold.append(("const", values[0]))
        return
    plain = [value for value in values if isinstance(value, str | int | float) and not isinstance(value, bool)]
    if len(plain) == len(values):
        done["enum"] = values
        if "type" not in schema and all(isinstance(value, str) for value in values):
            done.setdefault("type", "string")
    elif len(plain) == len(values) - 1 and None in values and "type" not in schema and "anyOf" not in schema:
        done["anyOf"] = [{"type": "string", "enum": plain} if _texts(plain) else {"enum": plain}, {"type": "null"}]
    else:
        untold.append(("enum", values))


def _exclusive(schema: Schema, key: str, value: object, done: Schema, untold: list[tuple[str, object]]) -> None:
    """A bound that is not reached: of whole numbers it is the next one's, of others it is told in words."""
    if isinstance(value, bool):
        return  # an older form; the bound beside it says it
    inclusive = "minimum" if key == "exclusiveMinimum" else "maximum"
    if schema.get("type") == "integer" and isinstance(value, int) and inclusive not in schema:
        done[inclusive] = value + 1 if inclusive == "minimum" else value - 1
    else:
        untold.append((key, value))


def _exclusive_of(key: str) -> str:
    return "exclusiveMinimum" if key == "minimum" else "exclusiveMaximum"


def _is_of(value: object, word: str) -> bool:
    match word:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "null":
            return value is None
        case "array":
            return isinstance(value, list)
        case _:
            return isinstance(value, dict)


def _texts(values: Iterable[object]) -> bool:
    return all(isinstance(value, str) for value in values)


def _under(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
