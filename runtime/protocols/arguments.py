"""A tool call's arguments as an object, whatever text the model wrote: every provider but few refuses anything else."""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["as_object"]

_OBJECT: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
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
    except msgspec.ValidationError:
        return b'{"value":%b}' % data
    except (msgspec.DecodeError, RecursionError):
        return msgspec.json.encode({_INVALID: data.decode()})
    return data
