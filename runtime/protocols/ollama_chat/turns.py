"""Canonical messages to an Ollama provider's: texts joined, pictures beside them, results named by their tools."""

from __future__ import annotations

from typing import Any

from runtime.canonical import (
    Base64Source,
    Document,
    Image,
    Message,
    Part,
    Reasoning,
    Refusal,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.ollama_chat.wire import arguments_object
from runtime.protocols.openai_chat.pairing import OPENING, is_absent, only_instructs, pair
from runtime.protocols.openai_chat.parts import text_document
from runtime.protocols.openai_chat.turns import folded

__all__ = ["write_messages"]

_SHOWN_BELOW = "The result is shown in the next message."


def write_messages(messages: tuple[Message, ...], losses: list[str], *, system_anywhere: bool) -> list[dict[str, Any]]:
    """Calls and results paired, turns that say nothing left out. Raises InvalidRequest for what cannot be shown here.

    Ollama itself takes an empty turn and has its model answer nothing. Where the only words are the system's for that
    reason, the user is made to begin.
    """
    messages = pair(messages)
    if not system_anywhere:
        messages = folded(messages)
    names = {part.id: part.name for turn in messages for part in turn.content if isinstance(part, ToolCall)}
    written: list[dict[str, Any]] = []
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        match message.role:
            case "tool":
                written += _results(message, path, names, losses)
            case "assistant":
                turn = {"role": "assistant", **_assistant(message, path, losses)}
                if len(turn) > 2 or turn["content"]:
                    written.append(turn)
            case role:
                turn = _content(message.content, f"{path}.content", losses)
                if len(turn) > 1 or turn["content"]:
                    written.append({"role": "user" if role == "user" else "system", **turn})
    if only_instructs(written) and (not written or any(message.role == "user" for message in messages)):
        written.append({"role": "user", **_content(OPENING.content, "messages", losses)})
    return written


def _content(parts: tuple[Part, ...], path: str, losses: list[str]) -> dict[str, Any]:
    """The texts as one, and the pictures as many as there are."""
    texts: list[str] = []
    images: list[str] = []
    for index, part in enumerate(parts):
        place = f"{path}[{index}]"
        match part:
            case Text(text=text) | Refusal(text=text):
                texts.append(text)
            case Image():
                images.append(_picture(part, place, losses))
            case Document(source=TextSource(text=text)):
                texts.append(text_document(part, text))
            case Document():
                raise InvalidRequest("This model takes texts and images, not documents.", param=place)
            case part if part.__struct_config__.tag == "audio":
                raise InvalidRequest("This model takes texts and images, not sound.", param=place)
            case _:  # another protocol's own blocks have no meaning here
                losses.append(place)
    said: dict[str, Any] = {"content": "\n".join(texts)}
    return {**said, "images": images} if images else said


def _picture(image: Image, path: str, losses: list[str]) -> str:
    if image.detail is not None:
        losses.append(f"{path}.detail")
    match image.source:
        case Base64Source(data=data):
            return data
        case UrlSource():
            reason = "This model takes images as bytes, not as URLs: send a data URL."
        case _:
            reason = "This model takes images as bytes, not as ids of another vendor."
    raise InvalidRequest(reason, param=path, code="unsupported_value")


def _assistant(message: Message, path: str, losses: list[str]) -> dict[str, Any]:
    calls = [part for part in message.content if isinstance(part, ToolCall)]
    thinking = [part for part in message.content if isinstance(part, Reasoning)]
    words = tuple(part for part in message.content if not isinstance(part, ToolCall | Reasoning))
    turn = _content(words, f"{path}.content", losses)
    losses.extend(
        f"{path}.content[{index}].seal"
        for index, part in enumerate(message.content)
        if isinstance(part, Reasoning) and part.seal is not None
    )
    thought = "".join(part.text for part in thinking)
    if thought:
        turn["thinking"] = thought
    if calls:
        turn["tool_calls"] = [_call(call, place) for place, call in enumerate(calls)]
    return turn


def _call(call: ToolCall, index: int) -> dict[str, Any]:
    return {"id": call.id, "function": {"index": index, "name": call.name, "arguments": arguments_object(call)}}


def _results(message: Message, path: str, names: dict[str, str], losses: list[str]) -> list[dict[str, Any]]:
    """One message per result. Pictures, which a tool's message cannot hold, follow the last as the user's."""
    written: list[dict[str, Any]] = []
    shown: list[Part] = []
    for index, result in enumerate(message.content):
        if not isinstance(result, ToolResult):
            continue
        place = f"{path}.content[{index}]"
        if result.is_error and not is_absent(result):
            losses.append(f"{place}.is_error")
        texts = tuple(part for part in result.content if not isinstance(part, Image))
        pictures = [part for part in result.content if isinstance(part, Image)]
        name = result.name or names.get(result.call_id)
        if pictures:
            shown += (Text(text=f"What the tool {name or result.call_id} showed:"), *pictures)
            texts = texts or (Text(text=_SHOWN_BELOW),)
        turn = {"role": "tool", "tool_call_id": result.call_id, **_content(texts, place, losses)}
        written.append({**turn, "tool_name": name} if name else turn)
    if shown:
        written.append({"role": "user", **_content(tuple(shown), path, losses)})
    return written
