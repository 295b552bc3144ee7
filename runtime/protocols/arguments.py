"""A tool call's arguments as an object, whatever text the model wrote: every provider but few refuses anything else."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["as_object"]

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_VALUE: Final = msgspec.json.Decoder(msgspec.Raw)
_INVALID: Final = "INVALID_JSON"
"""The name that Anthropic's documents advise for what a model that went wrong has written."""


def as_object(text: str) -> bytes:
    """The very text where it is an object.

    Nothing, and null, is `{}`; another JSON value is wrapped as ``value``, and what is no JSON as ``INVALID_JSON``.
    """
    if text.strip() in {"", "null"}:
        return b"{}"
    data = text.encode("utf-8", "replace")
    try:
        _OBJECT.decode(data)
    except msgspec.ValidationError:  # no object begins here, and nobody looked at what follows
        return b'{"value":%b}' % data if _is_json(data) else _invalid(data)
    except (msgspec.DecodeError, RecursionError):
        return _invalid(data)
    return data


def _is_json(data: bytes) -> bool:
    try:
        _VALUE.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True


def _invalid(data: bytes) -> bytes:
    return msgspec.json.encode({_INVALID: data.decode()})
