"""A client's request to the canonical one.

Runs only when a request is translated; pass-through never comes here. The vendor's own client puts a billing line in
front of its system prompt, which changes with every version: it is left out, since it would spoil every other vendor's
prompt cache. What canonical has no field for is kept under this protocol's name in ``extensions``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from types import MappingProxyType
from typing import Final

import msgspec

from generated.types.anthropic_messages import ReceivedBlock, ReceivedCacheControl, ReceivedMessage
from runtime.canonical import Message, Native, Part, Request, Role, Sampling, Text, ToolCall, ToolResult
from runtime.protocols.absent import NULL, present
from runtime.protocols.anthropic_messages.content import BLOCKS, cache_mark, parts_of, without_empty
from runtime.protocols.anthropic_messages.thinking import decode_format, decode_reasoning
from runtime.protocols.anthropic_messages.tools import decode_tool_choice, decode_tools
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields, fault, read
from runtime.protocols.base import Envelope

__all__ = ["BILLING_LINE", "TIERS_IN", "decode_request"]

BILLING_LINE: Final = "x-anthropic-billing-header:"

TIERS_IN: Final = MappingProxyType({"auto": "auto", "standard_only": "default"})

_TRANSLATED: Final = frozenset(
    {
        "model", "messages", "system", "max_tokens", "stop_sequences", "stream", "temperature", "top_p", "top_k", "tools",
        "tool_choice", "thinking", "output_config", "output_format", "cache_control", "metadata", "service_tier",
    }
)  # fmt: skip
_OWN: Final = frozenset(
    {"container", "context_management", "diagnostics", "fallbacks", "inference_geo", "mcp_servers", "speed", "thread"}
)
"""Fields that only this protocol has: kept, but nothing to wonder about."""

_MESSAGES: Final = msgspec.json.Decoder(list[ReceivedMessage])
_TEXT: Final = msgspec.json.Decoder(str)
_TEXTS: Final = msgspec.json.Decoder(list[str])
_INTEGER: Final = msgspec.json.Decoder(int)
_NUMBER: Final = msgspec.json.Decoder(float)
_OBJECT: Final = msgspec.json.Decoder(Fields)
_CACHE: Final = msgspec.json.Decoder(ReceivedCacheControl)

_ALLOWED: Final[Mapping[str, Role]] = MappingProxyType({"user": "user", "assistant": "assistant", "system": "system"})


class _RawMessage(msgspec.Struct):
    content: str | list[msgspec.Raw]


_RAW_MESSAGES: Final = msgspec.json.Decoder(list[_RawMessage])
_RAW_BLOCKS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PLAIN: Final = Sampling()


def decode_request(envelope: Envelope) -> Request:
    """Raises InvalidRequest that begins with the path of the field at fault."""
    fields = envelope.fields
    if NULL in fields.values():
        fields = {name: value for name, value in fields.items() if value != NULL}
    beyond = () if fields.keys() <= _TRANSLATED else tuple(name for name in fields if name not in _TRANSLATED)
    extensions: Fields = {name: fields[name] for name in beyond}
    system = _system(fields["system"]) if "system" in fields else []
    messages = (*system, *_conversation(fields))
    tools = decode_tools(fields, extensions) if "tools" in fields else ()
    choice, parallel = decode_tool_choice(fields) if "tool_choice" in fields else (None, None)
    stop = read(_TEXTS, fields["stop_sequences"], "stop_sequences") if "stop_sequences" in fields else ()
    mark = cache_mark(read(_CACHE, fields["cache_control"], "cache_control")) if "cache_control" in fields else None
    return Request(
        envelope.model, messages, tools, choice, parallel, _limit(fields), tuple(stop), _sampling(fields),
        response_format=decode_format(fields),
        reasoning=decode_reasoning(fields, extensions),
        stream=envelope.stream,
        include_usage=envelope.stream,
        cache=mark,
        service_tier=_tier(fields),
        user=_user(fields),
        extensions={PROTOCOL: extensions} if extensions else {},
        unknown=tuple(name for name in beyond if name not in _OWN) if beyond else (),
    )  # fmt: skip  # with more keywords than these, CPython makes a dict of them first


def _system(raw: msgspec.Raw) -> list[Message]:
    content = read(BLOCKS, raw, "system")
    if isinstance(content, str):
        if content.startswith(BILLING_LINE):
            content = content.partition("\n")[2]
        return [Message(role="system", content=(Text(text=content),))] if content else []
    parts = parts_of(content, "system", lambda: _RAW_BLOCKS.decode(raw))
    _check(parts, content, "system", (Text,))
    kept = tuple(
        part for part in without_empty(parts) if not (isinstance(part, Text) and part.text.startswith(BILLING_LINE))
    )
    return [Message(role="system", content=kept)] if kept else []


def _conversation(fields: Fields) -> list[Message]:
    raw = fields.get("messages")
    if raw is None:
        raise fault("messages", "Field required")
    received = read(_MESSAGES, raw, "messages")
    if not received:
        raise fault("messages", "at least one message is required")
    raws: Callable[[], list[_RawMessage]] | None = None
    messages: list[Message] = []
    for index, message in enumerate(received):
        role = _ALLOWED.get(message.role)
        if role is None:
            said = f"'{message.role}' is not a role; known are user, assistant and system"
            raise fault(f"messages.{index}.role", said)
        content = message.content
        if isinstance(content, str):
            messages.append(Message(role=role, content=(Text(text=content),) if content else ()))
            continue
        if raws is None:
            raws = cache(partial(_RAW_MESSAGES.decode, raw))
        path = f"messages.{index}.content"
        messages += _turn(role, without_empty(parts_of(content, path, partial(_blocks, raws, index))), content, path)
    return messages


def _blocks(raws: Callable[[], list[_RawMessage]], index: int) -> list[msgspec.Raw]:
    content = raws()[index].content
    return [] if isinstance(content, str) else content


def _turn(role: Role, parts: list[Part], blocks: list[ReceivedBlock], path: str) -> list[Message]:
    """A turn's messages: results of tools are a message of their own, in front of what else the user says."""
    if role == "system":
        _check(parts, blocks, path, (Text, Native))
    elif role == "assistant":
        _check_absent(parts, blocks, path, ToolResult, "tool_result", "user")
    else:
        _check_absent(parts, blocks, path, ToolCall, "tool_use", "assistant")
        results = tuple(part for part in parts if isinstance(part, ToolResult))
        if results:
            rest = tuple(part for part in parts if not isinstance(part, ToolResult))
            answer = [Message(role="tool", content=results)]
            return [*answer, Message(role="user", content=rest)] if rest else answer
    return [Message(role=role, content=tuple(parts))]


def _check(parts: list[Part], blocks: list[ReceivedBlock], path: str, allowed: tuple[type[Part], ...]) -> None:
    if all(isinstance(part, allowed) for part in parts):
        return
    index = next(i for i, block in enumerate(blocks) if block.type != "text")
    raise fault(f"{path}.{index}.type", f"'{blocks[index].type}' cannot stand in a system prompt; only text can")


def _check_absent(
    parts: list[Part], blocks: list[ReceivedBlock], path: str, kind: type[Part], word: str, role: str
) -> None:
    if any(isinstance(part, kind) for part in parts):
        index = next(i for i, block in enumerate(blocks) if block.type == word)
        raise fault(f"{path}.{index}.type", f"`{word}` blocks can only be in `{role}` messages")


def _sampling(fields: Fields) -> Sampling:
    if "temperature" in fields or "top_p" in fields or "top_k" in fields:
        return Sampling(
            temperature=_number(fields, "temperature"), top_p=_number(fields, "top_p"), top_k=_integer(fields, "top_k")
        )
    return _PLAIN


def _limit(fields: Fields) -> int | None:
    """The output limit. The vendor takes 0: it fills the cache and gives no answer."""
    most = _integer(fields, "max_tokens")
    if most is not None and most < 0:
        raise fault("max_tokens", "Input should be greater than or equal to 0")
    return most


def _integer(fields: Fields, name: str) -> int | None:
    return read(_INTEGER, fields[name], name) if name in fields else None


def _number(fields: Fields, name: str) -> float | None:
    return read(_NUMBER, fields[name], name) if name in fields else None


def _tier(fields: Fields) -> str | None:
    if "service_tier" not in fields:
        return None
    tier = read(_TEXT, fields["service_tier"], "service_tier")
    return TIERS_IN.get(tier, tier)


def _user(fields: Fields) -> str | None:
    if "metadata" not in fields:
        return None
    user = present(read(_OBJECT, fields["metadata"], "metadata").get("user_id"))
    return None if user is None else read(_TEXT, user, "metadata.user_id")
