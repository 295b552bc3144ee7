"""Read and write small pieces of this protocol's JSON, and say faults the vendor's way.

Shared by the modules of this package; knows no canonical values. A fault names its field as the vendor writes it,
`input[3].content[0].type`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from runtime.errors import InvalidRequest

__all__ = [
    "PROTOCOL",
    "Fields",
    "compact",
    "encode",
    "is_list",
    "is_text",
    "missing",
    "read",
    "text_of",
    "wrong",
]

PROTOCOL: Final = "openai_responses"

T = TypeVar("T")
Fields = dict[str, msgspec.Raw]

_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `(?:key in )?\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_WORDS: Final[Mapping[str, str]] = MappingProxyType({
    "str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "object": "an object",
    "array": "an array", "null": "null",
})  # fmt: skip

encode: Final = msgspec.json.Encoder().encode


def read(decoder: msgspec.json.Decoder[T], raw: msgspec.Raw | bytes, path: str = "") -> T:
    """``raw`` as the decoder's type. Raises InvalidRequest that names the field below ``path``."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _invalid(str(error), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.", param=path or None) from None
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.", param=path or None) from None


def compact(data: bytes) -> bytes:
    """The same JSON on one line: what a client laid out over several must not break an event in two."""
    return msgspec.json.format(data, indent=-1) if b"\n" in data or b"\r" in data else data


def missing(path: str) -> InvalidRequest:
    return InvalidRequest(f"The field '{path}' is required.", param=path, code="missing_required_parameter")


def wrong(path: str, what: str) -> InvalidRequest:
    return InvalidRequest(what, param=path, code="invalid_value")


def is_text(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b'"'


def is_list(raw: msgspec.Raw) -> bool:
    return bytes(memoryview(raw)[:1]) == b"["


def text_of(raw: msgspec.Raw) -> str:
    """The JSON text, byte for byte."""
    return str(memoryview(raw), "utf-8")


def _invalid(complaint: str, base: str) -> InvalidRequest:
    found = _WHERE.match(complaint)
    what, tail = (found["what"], found["path"] or "") if found else (complaint, "")
    path = f"{base}{tail}".removeprefix(".")
    absent = _MISSING.match(what)
    if absent:
        return missing(f"{path}.{absent['name']}" if path else absent["name"])
    where = f"the field '{path}'" if path else "the request"
    if what.startswith("Invalid"):
        return InvalidRequest(f"{what} in {where}.", param=path or None, code="invalid_value")
    plain = re.sub(r"`([^`]*)`", lambda types: _plain(types[1]), what)
    return InvalidRequest(f"Wrong type or value of {where}: {plain}.", param=path or None, code="invalid_type")


def _plain(types: str) -> str:
    return " or ".join(_WORDS.get(word, word) for word in types.split(" | "))
