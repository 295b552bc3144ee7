"""Small pieces of this protocol's JSON, and the vendor's generations of models. Shared by the modules of this package."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from runtime.protocols.arguments import as_object

__all__ = [
    "PROTOCOL",
    "Fields",
    "compact_object",
    "generation",
    "on_one_line",
    "pure",
    "raw_of",
    "text_of",
]

PROTOCOL: Final = "gemini"

Fields = dict[str, msgspec.Raw]

_GENERATION: Final = re.compile(r"(?:^|[/.])gemini-(?P<major>\d+)(?!\d)")
_LATEST: Final = re.compile(r"(?:^|/)gemini-(?:pro|flash|flash-lite)-latest$")
_NEWEST: Final = 3
_SEPARATORS: Final = re.compile(rb"\xe2\x80[\xa8\xa9]|\xc2\x85")
_PREFIXES: Final = ("publishers/google/models/", "models/")


def text_of(raw: msgspec.Raw) -> str:
    """The JSON text, byte for byte."""
    return str(memoryview(raw), "utf-8")


def raw_of(value: object) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def compact_object(text: str) -> msgspec.Raw:
    """A call's arguments as an object, which this protocol wants."""
    return msgspec.Raw(as_object(text))


def pure(model: str) -> str:
    """A model's name without the collection it may be named in."""
    for prefix in _PREFIXES:
        before, found, name = model.rpartition(prefix)
        if found and name and (not before or before.endswith("/")):
            return name
    return model


def generation(model: str) -> int | None:
    """The generation of Gemini that ``model`` names, None for another model."""
    found = _GENERATION.search(model)
    if found:
        return int(found["major"])
    return _NEWEST if _LATEST.search(model) else None


def on_one_line(json: bytes) -> bytes:
    """``json`` with U+2028, U+2029 and U+0085 escaped, as Google does: google-genai before 3.0 splits lines at them."""
    return _SEPARATORS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), json)
