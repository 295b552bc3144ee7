"""Read a client's whole request with one decoder, and say what is wrong with it as OpenAI's and Ollama's clients know it.

The message names the field by its path (`messages[2].role`), which is the error's ``param``, too.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, TypeVar

import msgspec

from runtime.errors import InvalidRequest
from runtime.protocols.base import Envelope

__all__ = ["invalid", "read_body", "read_field"]

T = TypeVar("T")

_WHERE: Final = re.compile(r"^(?P<what>.*?)(?: - at `\$(?P<path>.*)`)?$", re.DOTALL)
_MISSING: Final = re.compile(r"^Object missing required field `(?P<name>.*)`$")
_WORDS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "str": "a string", "int": "an integer", "float": "a number", "bool": "a boolean", "object": "an object",
        "array": "an array", "null": "null",
    }
)  # fmt: skip


def read_body(decoder: msgspec.json.Decoder[T], envelope: Envelope) -> T:
    """Raises InvalidRequest that names the field at fault."""
    try:
        return decoder.decode(envelope.body or msgspec.json.encode(envelope.fields))
    except msgspec.ValidationError as error:
        raise invalid(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    except RecursionError:
        raise InvalidRequest("The request body is nested too deeply.") from None


def read_field(decoder: msgspec.json.Decoder[T], value: msgspec.Raw, path: str) -> T:
    """The field at ``path``. Raises InvalidRequest that names it, or what is wrong in it."""
    try:
        return decoder.decode(value)
    except msgspec.ValidationError as error:
        raise invalid(str(error), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = f"The field '{path}' cannot be read: {error}."
        raise InvalidRequest(message, param=path, code="invalid_value") from None


def invalid(complaint: str, within: str = "") -> InvalidRequest:
    """What msgspec complains of, for people. ``within`` is the path of the value that was decoded."""
    found = _WHERE.match(complaint)
    what, path = (found["what"], found["path"] or "") if found else (complaint, "")
    path = (within + path).removeprefix(".")
    missing = _MISSING.match(what)
    if missing:
        path = f"{path}.{missing['name']}" if path else missing["name"]
        return InvalidRequest(f"The field '{path}' is required.", param=path, code="missing_required_parameter")
    where = f"the field '{path}'" if path else "the request"
    if what.startswith("Invalid"):
        return InvalidRequest(f"{what} in {where}.", param=path or None, code="invalid_value")
    plain = re.sub(r"`([^`]*)`", lambda types: _plain(types[1]), what)
    return InvalidRequest(f"Wrong type or value of {where}: {plain}.", param=path or None, code="invalid_type")


def _plain(types: str) -> str:
    return " or ".join(_WORDS.get(word, word) for word in types.split(" | "))
