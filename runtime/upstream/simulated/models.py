"""The simulated models, each a function from a request to a reply. What they do is decided by the request alone.

`echo` repeats, `tools` calls tools, `thinking` thinks aloud first, `slow` is an `echo` that takes its time. `error` is not
here: it breaks answers rather than making them, see `faults`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import islice
from types import MappingProxyType

import msgspec

from runtime.upstream.simulated.refusal import Refused
from runtime.upstream.simulated.reply import Call, Reply, said
from runtime.upstream.simulated.request import (
    AllowedChoice,
    Assistant,
    AudioPart,
    ChatRequest,
    FilePart,
    Function,
    ImagePart,
    Message,
    NamedTool,
    ObjectFormat,
    SchemaFormat,
    ToolMessage,
    User,
    text_of,
)
from runtime.upstream.simulated.schema import Schema, Unmakeable, instance
from runtime.upstream.simulated.tokens import count, pieces

__all__ = ["MODELS", "Model", "last_user_text", "prompt_tokens"]

Model = Callable[[ChatRequest], Reply]

NOTICE = "This is Gatewright's simulated provider; no model was asked."
IMAGE_TOKENS = 85
MESSAGE_TOKENS = 3
MAX_CALLS = 32
MAX_BRACES = 100
"""How many closing braces are tried as the end of a scripted call's arguments."""

CALL = re.compile(r"\bcall\s+(?P<name>[a-zA-Z0-9_-]{1,64})\b[ \t]*")


def echo(request: ChatRequest) -> Reply:
    _refuse_forced_tools(request)
    return said(_content(request, _repeat(request)), _stops(request))


def thinking(request: ChatRequest) -> Reply:
    """One thought for little effort, up to three for much, none for none."""
    _refuse_forced_tools(request)
    words = len(last_user_text(request).split())
    thoughts = (
        f"The user's last message has {words} word{'' if words == 1 else 's'}.",
        "A reasoning model would think about them here.",
        "This simulated one only shows what thinking looks like, and repeats them.",
    )
    effort = {"none": 0, "minimal": 1, "low": 1, "medium": 2}.get(request.reasoning_effort or "medium", 3)
    return said(_content(request, _repeat(request)), _stops(request), " ".join(thoughts[:effort]))


def tools(request: ChatRequest) -> Reply:
    """Calls what the last message says, as `call NAME {json}`, else the first tool; with results, tells them."""
    results = _results(request.messages)
    choice = request.tool_choice
    if not request.tools or choice == "none":
        return said(_content(request, f"{_repeat(request)} There is no tool that I may call."), _stops(request))
    if results and not (choice == "required" or isinstance(choice, NamedTool)):
        told = " ".join(f"{name} answered: {text}" for name, text in results)
        return said(_content(request, f"{NOTICE} {told}"), _stops(request))
    calls = _calls(request, _callable(request))
    return Reply(calls=tuple(calls), finish="stop" if isinstance(choice, NamedTool) else "tool_calls")


MODELS: MappingProxyType[str, Model] = MappingProxyType({
    "echo": echo, "tools": tools, "thinking": thinking, "slow": echo, "error": echo,
})  # fmt: skip


def last_user_text(request: ChatRequest) -> str:
    return next((text_of(message) for message in reversed(request.messages) if isinstance(message, User)), "")


def prompt_tokens(request: ChatRequest) -> int:
    """A count of what was sent; images at a flat rate, whatever their size."""
    total = MESSAGE_TOKENS
    for message in request.messages:
        total += MESSAGE_TOKENS + count(text_of(message)) + IMAGE_TOKENS * len(_parts(message, ImagePart))
        if isinstance(message, Assistant):
            total += sum(1 + count(call.function.arguments) for call in message.tool_calls or ())
    if request.tools:
        total += count(msgspec.json.encode(request.tools).decode())
    return total


# -- in words


def _repeat(request: ChatRequest) -> str:
    text = last_user_text(request)
    told = f"{NOTICE} You said: {text}" if text else f"{NOTICE} You said nothing."
    user = next((message for message in reversed(request.messages) if isinstance(message, User)), None)
    extras = [
        f"{number} {word}{'' if number == 1 else 's'}"
        for word, kind in (("image", ImagePart), ("file", FilePart), ("audio clip", AudioPart))
        if user is not None and (number := len(_parts(user, kind)))
    ]
    return f"{told} (with {' and '.join(extras)})" if extras else told


def _content(request: ChatRequest, text: str) -> str:
    """``text``, or the JSON that the response format wants instead of it."""
    match request.response_format:
        case ObjectFormat():
            return msgspec.json.encode({"simulated": True, "notice": NOTICE, "echo": last_user_text(request)}).decode()
        case SchemaFormat():
            schema = request.response_format.json_schema.schema
            return _made(schema or Schema(type="object"), "response_format.json_schema.schema")
        case _:
            return text


def _made(schema: Schema, param: str) -> str:
    try:
        return msgspec.json.encode(instance(schema)).decode()
    except Unmakeable as reason:
        raise Refused(400, f"The simulated provider cannot make a value: {reason}.", param, "invalid_value") from None


def _stops(request: ChatRequest) -> tuple[str, ...]:
    return (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())


def _parts(message: Message, kind: type[ImagePart | AudioPart | FilePart]) -> list[ImagePart | AudioPart | FilePart]:
    if not isinstance(message, User) or isinstance(message.content, str):
        return []
    return [part for part in message.content if isinstance(part, kind)]


def _refuse_forced_tools(request: ChatRequest) -> None:
    """This model calls no tools: it may be offered some, but a call that it must make would be a broken promise."""
    choice = request.tool_choice
    forced = choice == "required" or isinstance(choice, NamedTool)
    if forced or (isinstance(choice, AllowedChoice) and choice.allowed_tools.mode == "required"):
        raise Refused(400, f"The model '{request.model}' calls no tools.", "tool_choice", "unsupported_value")


# -- tool calls


def _results(messages: list[Message]) -> list[tuple[str, str]]:
    """Name and text of the tool results that the conversation ends with."""
    texts: dict[str, str] = {}
    for message in reversed(messages):
        if isinstance(message, ToolMessage):
            texts[message.tool_call_id] = text_of(message)
        elif isinstance(message, Assistant) and texts:
            calls = message.tool_calls or ()
            return [(call.function.name, texts[call.id]) for call in calls if call.id in texts]
        else:
            break
    return []


def _callable(request: ChatRequest) -> dict[str, Function]:
    offered = {tool.function.name: tool.function for tool in request.tools or ()}
    match request.tool_choice:
        case NamedTool():
            return {request.tool_choice.function.name: offered[request.tool_choice.function.name]}
        case AllowedChoice():
            names = [tool.function.name for tool in request.tool_choice.allowed_tools.tools]
            return {name: offered[name] for name in names} or offered
        case _:
            return offered


def _calls(request: ChatRequest, offered: dict[str, Function]) -> list[Call]:
    scripted = [
        Call(name, pieces(arguments if arguments is not None else _arguments(offered[name])))
        for name, arguments in _script(last_user_text(request))
        if name in offered
    ]
    if not scripted:
        first = next(iter(offered.values()))
        scripted = [Call(first.name, pieces(_arguments(first)))]
    return scripted if request.parallel_tool_calls else scripted[:1]


def _arguments(function: Function) -> str:
    if not function.parameters:
        return "{}"
    return _made(function.parameters, f"tools[{function.name}].function.parameters")


def _script(text: str) -> list[tuple[str, str | None]]:
    """Each `call NAME {json}` in ``text``; None where no JSON object follows the name."""
    matches = islice(CALL.finditer(text), MAX_CALLS)
    return [(match["name"], _object_at(text, match.end())) for match in matches]


def _object_at(text: str, start: int) -> str | None:
    """The JSON object that begins at ``start``, exactly as written."""
    if not text.startswith("{", start):
        return None
    end = start
    for _ in range(MAX_BRACES):
        end = text.find("}", end) + 1
        if not end:
            return None
        try:
            msgspec.json.decode(text[start:end])
        except (msgspec.DecodeError, RecursionError):
            continue
        return text[start:end]
    return None
