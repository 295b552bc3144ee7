"""One spelling for the names of fields.

Google reads JSON by the rules of protocol buffers: a field may be named `camelCase` or `snake_case`, both may stand in one
body, and a list of one may be written without its brackets. Its own Python SDK sends both spellings mixed. `spelled` gives
the one form that all else here reads, and leaves alone what belongs to users: arguments, results, schemas, labels.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from runtime.protocols.gemini.wire import Fields, raw_of

__all__ = ["OPAQUE", "camel", "spelled"]

OPAQUE: Final = frozenset(
    {
        "args", "response", "parameters", "parametersJsonSchema", "responseSchema", "responseJsonSchema", "jsonSchema",
        "schema", "labels", "partMetadata", "headers",
    }
)  # fmt: skip
"""Fields whose insides are somebody else's."""

_LISTS: Final = frozenset(
    {
        "contents", "parts", "tools", "functionDeclarations", "stopSequences", "allowedFunctionNames", "safetySettings",
        "responseModalities", "responseFormat",
    }
)  # fmt: skip
_ODD: Final = re.compile(
    rb'"_?[a-z]+_[a-zA-Z_]*"[ \t\r\n]*:'
    rb'|"(?:contents|parts|tools|functionDeclarations|stopSequences|allowedFunctionNames|safetySettings'
    rb'|responseModalities|responseFormat)"[ \t\r\n]*:[ \t\r\n]*[{"]'
)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_ITEMS: Final = msgspec.json.Decoder(list[msgspec.Raw])


def camel(name: str) -> str:
    first, *rest = name.strip("_").split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def spelled(raw: msgspec.Raw) -> msgspec.Raw:
    """``raw`` in one spelling; the same object where it is so already. Raises msgspec.DecodeError or RecursionError."""
    return _spelled(raw) if _ODD.search(memoryview(raw)) else raw


def _spelled(raw: msgspec.Raw) -> msgspec.Raw:
    match bytes(memoryview(raw)[:1]):
        case b"{":
            return raw_of({camel(name): _value(camel(name), value) for name, value in _FIELDS.decode(raw).items()})
        case b"[":
            return raw_of([_spelled(item) for item in _ITEMS.decode(raw)])
        case _:
            return raw


def _value(name: str, value: msgspec.Raw) -> msgspec.Raw:
    if name in OPAQUE:
        return value
    value = _spelled(value)
    if name in _LISTS and bytes(memoryview(value)[:1]) in (b"{", b'"'):
        return msgspec.Raw(b"[" + bytes(value) + b"]")
    return value
