"""Free-text tools for upstreams that know functions only: a function with one text property stands for each.

What the model then calls is unwrapped by the codec's decoder, as `Outgoing.custom_tools` says.
"""

from __future__ import annotations

from typing import Final

import msgspec

from runtime.canonical import Tool

__all__ = ["PARAMETERS", "described", "limited", "unwrapped", "wrapped"]

PARAMETERS: Final = '{"type":"object","properties":{"input":{"type":"string"}},"required":["input"]}'
_FIELD: Final = "input"


class _Grammar(msgspec.Struct):
    syntax: str
    definition: str


class _Format(msgspec.Struct):
    type: str = ""
    grammar: _Grammar | None = None


_WRAPPED: Final = msgspec.json.Decoder(dict[str, str])
_FORMAT: Final = msgspec.json.Decoder(_Format)


def described(tool: Tool) -> str | None:
    """The description of the function: a grammar, which functions cannot have, is told in words."""
    if tool.format is None:
        return tool.description
    limit = _limit(tool.format)
    return f"{tool.description or ''}\n\n{limit}".lstrip() if limit else tool.description


def limited(tool: Tool) -> bool:
    """Whether the text has a form that is lost, because words cannot force it."""
    return tool.format is not None and _limit(tool.format) != ""


def wrapped(text: str) -> str:
    """The arguments that say ``text``."""
    return msgspec.json.encode({_FIELD: text}).decode()


def unwrapped(arguments: str) -> str:
    """The text in the arguments; the arguments themselves where it is not there."""
    try:
        return _WRAPPED.decode(arguments)[_FIELD]
    except (msgspec.DecodeError, UnicodeEncodeError, KeyError, RecursionError):
        return arguments


def _limit(format_: str) -> str:
    """What the text must be, in words; "" where it may be any."""
    try:
        read = _FORMAT.decode(format_)
    except (msgspec.DecodeError, RecursionError):
        return f"The input must follow this format: {format_}"
    if read.grammar is not None:
        return f"The input must follow this grammar ({read.grammar.syntax}):\n{read.grammar.definition}"
    return "" if read.type == "text" else f"The input must follow this format: {format_}"
