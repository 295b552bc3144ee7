"""Rewrite a JSON Schema into the dialect that the vendor forces its output into: of an answer, and of a strict tool's input.

The dialect: every object closed, and few keywords. An object that names its keys and says nothing of others is closed; a
keyword that only narrows and cannot be forced is told to the model in the description. What would admit less than it did,
like an object with free keys, is refused: a caller then asks for the schema in words. A schema that fits already stays the
very text.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.protocols.json_schema import Schema, is_list, is_object, read_schema, resolved, tell, write_schema
from runtime.protocols.schema_merge import ContradictionError, both, merged

__all__ = ["UnforcedError", "forced_schema"]

_FORMATS: Final = frozenset(
    {"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"},
)
_EVERYWHERE: Final = ("description", "title", "enum", "const", "type")
_BY_TYPE: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "object": ("properties", "required"),
        "array": ("items", "minItems"),
        "string": ("format",),
    }
)
_SILENT: Final = frozenset({"$schema", "$id", "$comment", "default", "examples", "deprecated"})
"""Keywords that constrain no value: dropped without a word where they are not understood, but for `default`."""

_UNTOLD: Final = (_SILENT - {"default"}) | {"$defs", "definitions"}
_LABELS: Final = _SILENT | {"description", "title", "$defs", "definitions"}
_ABOUT_ONE: Final = frozenset(
    {*(key for keys in _BY_TYPE.values() for key in keys), "additionalProperties", "minimum", "maximum", "pattern",
     "minLength", "maxLength"}
)  # fmt: skip
"""Keywords about values of one type."""

_MORE_KEYS: Final = frozenset(
    {"patternProperties", "unevaluatedProperties", "dependentSchemas", "dependencies", "then", "else"}
)
"""Keywords that speak of keys beside the named ones."""

_MOST_FOLLOWED: Final = 1_000
"""References within `allOf`: each puts a copy in its place, and copies may hold copies."""


class UnforcedError(ValueError):
    """No schema that the vendor can force admits as much. ``path`` leads to the keyword; "" is the top."""

    def __init__(self, path: str, reason: str) -> None:
        super().__init__(f"{path or 'the top of the schema'}: {reason}")
        self.path = path


def forced_schema(text: str) -> str:
    """``text`` as the vendor can force it.

    Raises:
        UnforcedError: a ValueError; the schema may be told in words.
        ValueError: ``text`` is no JSON object, or nested too deeply to be read.
    """
    schema = read_schema(text)
    if schema is None:
        raise ValueError("the schema is not an object")
    try:
        changed = _Forcer(schema).force(schema, "")
    except RecursionError:
        raise ValueError("the schema is nested too deeply") from None
    return text if changed == schema else write_schema(changed)


class _Forcer:
    def __init__(self, root: Schema) -> None:
        self._root = root
        self._followed = 0

    def force(self, source: Schema, path: str) -> Schema:
        """One schema and all below it."""
        done: Schema = {}
        for defs in ("$defs", "definitions"):
            members = source.get(defs)
            if is_object(members):
                done[defs] = {name: self._inner(member, _join(path, defs, name)) for name, member in members.items()}
        if "$ref" in source:
            more = source.keys() - _LABELS - {"$ref"}
            if more:
                raise UnforcedError(_join(path, min(more)), "nothing can be forced beside a reference")
            return {**done, "$ref": source["$ref"]}
        source = _split_types(_typed(self._whole(source, path), path), path)
        if "anyOf" in source or "oneOf" in source:
            source = _alternatives(source, path)
        self._keywords(source, done, path)
        return done

    def _inner(self, schema: object, path: str) -> object:
        return self.force(schema, path) if is_object(schema) else {} if schema is True else schema

    def _whole(self, source: Schema, path: str) -> Schema:
        """``source`` with the schemas of `allOf` in one: each for itself would be closed to the keys of the others."""
        members = source.get("allOf")
        if not is_list(members) or (len(members) == 1 and not source.keys() - _LABELS - {"allOf"}):
            return source
        try:
            return merged(source, self._resolved)
        except ContradictionError as error:
            raise UnforcedError(_join(path, "allOf"), str(error)) from None

    def _resolved(self, member: Schema) -> Schema:
        if "$ref" not in member:
            return member
        self._followed += 1
        named = resolved(member, self._root)
        if not named or self._followed > _MOST_FOLLOWED:
            raise ContradictionError(f"nothing is found at {member['$ref']!r}, or too much")
        return both({key: value for key, value in member.items() if key != "$ref"}, named)

    def _keywords(self, source: Schema, done: Schema, path: str) -> None:
        type_ = source.get("type")
        kept = (*_EVERYWHERE, *_BY_TYPE.get(str(type_), ()))
        untold: list[tuple[str, object]] = []
        for key, value in source.items():
            if key in {"allOf", "anyOf", "oneOf"}:
                members = value if is_list(value) else []
                done["allOf" if key == "allOf" else "anyOf"] = [
                    self._inner(member, f"{_join(path, key)}[{place}]") for place, member in enumerate(members)
                ]
            elif key == "items" and type_ == "array":
                done[key] = self._inner(value, _join(path, key))
            elif key in kept and _says(key, value):
                done[key] = value
            elif key in kept or (key not in _UNTOLD and (key != "additionalProperties" or not isinstance(value, bool))):
                untold.append((key, value))
        if type_ == "object":
            self._object(source, done, path)
        tell(done, untold)

    def _object(self, source: Schema, done: Schema, path: str) -> None:
        """Close it. What it says of keys that it does not name would be lost."""
        _only_named(source, path)
        more, properties = source.get("additionalProperties"), source.get("properties")
        if more is not False and (more is not None or not is_object(properties)):
            raise UnforcedError(_join(path, "additionalProperties"), "an object with free keys cannot be forced")
        named = properties if is_object(properties) else {}
        required = source.get("required")
        for name in required if is_list(required) else ():
            if not isinstance(name, str) or name not in named:
                raise UnforcedError(_join(path, "required"), f"{name!r} is required and not described")
        done["properties"] = {
            name: self._inner(member, _join(path, "properties", name)) for name, member in named.items()
        }
        done["additionalProperties"] = False


def _says(key: str, value: object) -> bool:
    """Whether the vendor can force a keyword that it knows, with this value."""
    match key:
        case "minItems":
            return value in (0, 1)
        case "format":
            return isinstance(value, str) and value in _FORMATS
        case _:
            return True


def _only_named(source: Schema, path: str) -> None:
    for key in sorted(_MORE_KEYS & source.keys()):
        if source[key] is not False:
            raise UnforcedError(_join(path, key), "an object that is closed has no keys but the named ones")


def _typed(source: Schema, path: str) -> Schema:
    """``source`` with the type that its keywords are about."""
    if "items" in source and ("prefixItems" in source or is_list(source["items"])):
        raise UnforcedError(_join(path, "items"), "items by their places cannot be forced")
    if "type" not in source:
        for word, keyword in (("object", "properties"), ("array", "items")):
            if keyword in source:
                return {"type": word, **source}
    return source


def _split_types(source: Schema, path: str) -> Schema:
    """A list of types as alternatives, each with the keywords that are about it."""
    types = source.get("type")
    if not is_list(types):
        return source
    if len(types) == 1:
        return {**source, "type": types[0]}
    shared = {key: value for key, value in source.items() if key != "type" and key not in _ABOUT_ONE}
    if "enum" in shared:  # the values themselves say what they are
        return shared
    if not {"anyOf", "oneOf"}.isdisjoint(source):
        raise UnforcedError(_join(path, "type"), "a list of types and alternatives beside it cannot be forced")
    own = {key: value for key, value in source.items() if key in _ABOUT_ONE}
    return {**shared, "anyOf": [{"type": word, **(own if word != "null" else {})} for word in types]}


def _alternatives(source: Schema, path: str) -> Schema:
    """``source``, whose alternatives are each a whole schema. Objects among them are closed, so none may count on its keys."""
    if "anyOf" in source and "oneOf" in source:
        raise UnforcedError(_join(path, "oneOf"), "one list of alternatives can be forced, not two")
    if source.get("type") not in {"object", None}:
        return source
    if "properties" in source or "additionalProperties" in source:
        raise UnforcedError(_join(path, "properties"), "keys beside alternatives cannot be forced")
    _only_named(source, path)
    key = "anyOf" if "anyOf" in source else "oneOf"
    members = source[key]
    if source.get("type") is None or not is_list(members):
        return source
    typed = [
        {"type": "object", **member} if is_object(member) and not {"type", "$ref"} & member.keys() else member
        for member in members
    ]
    return {**{word: value for word, value in source.items() if word != "type"}, key: typed}


def _join(path: str, *steps: str) -> str:
    return ".".join((path, *steps)) if path else ".".join(steps)
