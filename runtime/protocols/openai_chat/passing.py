"""Requests and answers that pass through: Chat in, Chat out.

Only the model's name and the parameter rules change a request, unless the provider has a quirk that bites on just this
one: then what the quirk is about is put right, and all else stays byte for byte.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from generated.types.openai_chat import ChatCompletion
from runtime.canonical import ToolCall, Usage
from runtime.catalog import Quirks
from runtime.protocols.absent import NULL
from runtime.protocols.base import Envelope, Outgoing, Target
from runtime.protocols.openai_chat.answer import check_answer
from runtime.protocols.openai_chat.outgoing import head
from runtime.protocols.openai_chat.request import read_request
from runtime.protocols.openai_chat.seal import own_only
from runtime.protocols.openai_chat.turns import Wording, write_messages
from runtime.protocols.openai_chat.usage import read_usage
from runtime.protocols.splice import Fields, raw, renamed, replace, rewrite

__all__ = ["has_ended", "pass_answer", "pass_request"]

_MESSAGES: Final = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_OPTIONS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_TRUE: Final = msgspec.Raw(b"true")
_DEVELOPER: Final = msgspec.Raw(b'"developer"')


def pass_request(envelope: Envelope, target: Target) -> Outgoing:
    path, headers = head(target, stream=envelope.stream)
    quirks = target.provider.quirks
    fields = _limit_renamed(envelope.fields, quirks)
    fields = _messages_mended(envelope, fields, quirks)
    if not quirks.stream_usage and "stream_options" in fields:
        fields = {name: value for name, value in fields.items() if name != "stream_options"}
    asking = _usage_asked(fields) if envelope.stream and target.asks_usage and quirks.stream_usage else None
    body = rewrite(envelope, target, asking or fields)
    return Outgoing(path, headers, body, envelope.stream, unasked_usage=asking is not None)


def pass_answer(body: bytes, model: str) -> tuple[bytes, Usage | None]:
    """Raises as `read_response` does: what is no answer must not pass for one."""
    wire: ChatCompletion = check_answer(body)
    usage = read_usage(wire.usage, wire.service_tier) if wire.usage else None
    return (renamed(body, model) if wire.model else replace(body, ("model",), raw(model))), usage


def has_ended(body: bytes) -> bool:
    """Whether every choice of an answer says why it ended."""
    return all(choice.finish_reason for choice in check_answer(body).choices or ())


def _limit_renamed(fields: Fields, quirks: Quirks) -> Fields:
    """The output limit under the name that the provider knows; under the other it would be ignored, or refused."""
    wanted = quirks.max_tokens_field
    other = "max_completion_tokens" if wanted == "max_tokens" else "max_tokens"
    if wanted is None or other not in fields or wanted in fields:
        return fields
    return {wanted if name == other else name: value for name, value in fields.items()}


def _usage_asked(fields: Fields) -> Fields | None:
    """``fields`` with the question what the stream takes; None where the client asks that itself, or what it asks is odd."""
    given = fields.get("stream_options", NULL)
    try:
        options: Fields = {} if given == NULL else _OPTIONS.decode(given)
    except msgspec.DecodeError:
        return None
    if options.get("include_usage") == _TRUE:
        return None
    return {**fields, "stream_options": msgspec.Raw(msgspec.json.encode({**options, "include_usage": _TRUE}))}


def _messages_mended(envelope: Envelope, fields: Fields, quirks: Quirks) -> Fields:
    given = fields.get("messages")
    if given is None:
        return fields
    messages = own_only(given, envelope.body)
    if _reshapes(quirks):
        request = read_request(envelope)
        calls = [part for turn in request.messages for part in turn.content if isinstance(part, ToolCall)]
        names = {call.name: call.name for call in calls}  # a Chat client's names fit Chat
        quirks = msgspec.structs.replace(quirks, custom_tools=True)  # as they came: the tools pass through, too
        written: Any = write_messages(request.messages, Wording(quirks=quirks, names=names, losses=[]))
    elif not quirks.developer_role and b'"developer"' in bytes(messages):
        turns = _MESSAGES.decode(messages)
        written = [{**turn, "role": raw("system")} if turn.get("role") == _DEVELOPER else turn for turn in turns]
    else:
        return fields if messages is given else {**fields, "messages": messages}
    return {**fields, "messages": msgspec.Raw(msgspec.json.encode(written))}


def _reshapes(quirks: Quirks) -> bool:
    """Quirks that reach into the messages' own shape."""
    return (
        not quirks.system_anywhere
        or quirks.text_only_content
        or quirks.content_xor_tool_calls
        or quirks.assistant_after_results
        or quirks.tool_call_id is not None
        or quirks.empty_content != "null"
    )
