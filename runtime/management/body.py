"""Bodies of management operations: read into a Struct, or refused with the path of the field and what to write instead."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias, TypeVar, cast, get_args, get_type_hints

import msgspec

from generated.types import values
from runtime.errors import InvalidRequest
from runtime.source import closest

__all__ = ["MASK", "Document", "items_of", "masked", "read_body", "settings_of", "shown", "unmasked"]

MASK: Final = "…"
"""What stands for a secret in answers, or before its end."""

Document: TypeAlias = dict[str, object]
"""A piece of gateway.yaml, or of a body, as plain JSON data."""

T = TypeVar("T", bound=msgspec.Struct)


class _Shown(msgspec.Struct, frozen=True):
    """What msgspec knows of a type, it keeps for Structs alone: of the nested unions it takes longer than all else."""

    document: values.Document


_AT: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>[^`]*)`)?$", re.DOTALL)
_UNKNOWN: Final = re.compile(r"Object contains unknown field `(?P<name>.*)`", re.DOTALL)


def read_body(data: Mapping[str, object], type_: type[T]) -> T:
    """``data`` as ``type_``, which forbids unknown fields. Raises InvalidRequest."""
    try:
        return msgspec.convert(data, type_)
    except msgspec.ValidationError as error:
        found = _AT.match(str(error))
        what, path = (found["what"], (found["path"] or "").lstrip(".")) if found else (str(error), "")
        unknown = _UNKNOWN.fullmatch(what)
        if unknown is None:
            raise InvalidRequest(f"{path or 'the body'}: {what}", param=path or None) from None
        place = f"{path}.{unknown['name']}" if path else unknown["name"]
        raise InvalidRequest(
            f"{place}: there is no such field{_hint(unknown['name'], type_, path)}", param=place
        ) from None


def shown(document: object) -> values.Document:
    """A piece of gateway.yaml as answers have it."""
    return msgspec.convert({"document": document}, _Shown).document


def settings_of(value: object) -> Mapping[str, object]:
    """``value`` where it is an object of a document; else an empty one, which the compiler has something to say of."""
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}


def items_of(value: object) -> Sequence[object]:
    """The same of a list."""
    return cast("Sequence[object]", value) if isinstance(value, list | tuple) else ()


def masked(proxy: object) -> Document:
    """A proxy without its password, of which no more is shown than that there is one, or the reference to it."""
    said = dict(settings_of(proxy))
    password = said.get("password")
    if isinstance(password, str) and not password.startswith(("${", "file:")):
        said["password"] = MASK
    return said


def unmasked(proxy: object, before: object) -> Document:
    """``proxy`` with the password that was there ``before``, where an answer's mask is sent back."""
    said = dict(settings_of(proxy))
    password = said.get("password")
    if isinstance(password, str) and password.startswith(MASK):
        said["password"] = settings_of(before).get("password")
    return {name: value for name, value in said.items() if value is not None}


def _hint(name: str, type_: type[msgspec.Struct], path: str) -> str:
    known = _fields_at(type_, [step for step in re.split(r"\.|\[[^]]*\]", path) if step])
    if not known:
        return ""
    near = closest(name, known)
    return f"; did you mean {near!r}?" if near else f"; known here: {', '.join(known)}"


def _fields_at(type_: type[msgspec.Struct], steps: list[str]) -> list[str]:
    """The fields of the Struct that ``steps`` lead to; none where they lead to no Struct."""
    for step in steps:
        hints = get_type_hints(type_)
        found = next((each for each in _structs(hints.get(step))), None)
        if found is None:
            return []
        type_ = found
    return [field.encode_name for field in msgspec.structs.fields(type_)]


def _structs(hint: object) -> list[type[msgspec.Struct]]:
    if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        return [hint]
    return [found for inner in get_args(hint) for found in _structs(inner)]
