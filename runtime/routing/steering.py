"""What a request itself wants of the order in which targets are tried. Plain data: with the same, the order is the same."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

import msgspec

from runtime.canonical import Message, Request, Tool

__all__ = ["UNSTEERED", "Steering", "conversation"]


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """``connections`` are those that its session is bound to, by provider; ``target`` the model, by its public id.

    ``keeps_target``: that target comes first whatever a combo's strategy says. ``beginning`` stands for how the
    conversation begins, empty where nobody asks for that.
    """

    connections: Mapping[str, str] = MappingProxyType({})
    target: str | None = None
    keeps_target: bool = False
    beginning: bytes = b""


UNSTEERED: Final = Steering()


def conversation(key: str, model: str, request: Request) -> bytes:
    """What all turns of one conversation have in common, in 16 bytes: who asks which name, system text, tools, first message.

    Conversations of two keys never have it in common.
    """
    first = next((index for index, each in enumerate(request.messages) if each.role == "user"), len(request.messages))
    messages = [_unmarked(message) for message in request.messages[: first + 1]]
    tools = [_unmarked_tool(tool) for tool in request.tools]
    return blake2b(msgspec.msgpack.encode((key, model, messages, tools)), digest_size=16).digest()


def _unmarked(message: Message) -> Message:
    """Without marks for the provider's cache: clients move them on from turn to turn."""
    parts = tuple(
        msgspec.structs.replace(part, cache=None) if getattr(part, "cache", None) is not None else part
        for part in message.content
    )
    return msgspec.structs.replace(message, content=parts)


def _unmarked_tool(tool: Tool) -> Tool:
    return msgspec.structs.replace(tool, cache=None) if tool.cache is not None else tool
