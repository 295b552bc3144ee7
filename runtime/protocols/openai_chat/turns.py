"""Canonical messages to a Chat provider's, bent to its quirks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from runtime.canonical import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)  # fmt: skip
from runtime.catalog import Quirks
from runtime.errors import InvalidRequest
from runtime.protocols.arguments import as_object
from runtime.protocols.free_text import wrapped
from runtime.protocols.openai_chat.pairing import OPENING, is_absent, only_instructs, pair
from runtime.protocols.openai_chat.parts import write_audio, write_document, write_image, write_mark
from runtime.protocols.openai_chat.reasoning import PROTOCOL, write_details
from runtime.protocols.openai_chat.signature import before_calls, extra_for_provider
from runtime.protocols.shown import instructed_in_words, shown_by_user
from runtime.protocols.tool_name import WordRule, fit

__all__ = ["Wording", "folded", "write_messages"]

_INSTRUCTIONS = frozenset({"system", "developer"})
_HAS_RESULTS = "I have the results."
_ANY_ID = WordRule(chars=r"\s\S", max_chars=40)
"""The vendor, and many after it, take ids of at most 40 characters, whatever they are."""


class Wording(msgspec.Struct, frozen=True, kw_only=True):
    """How one request is put: the provider's quirks, tool names as it takes them, and the list of what got lost."""

    quirks: Quirks
    names: Mapping[str, str]
    losses: list[str]

    def call_id(self, id_: str) -> str:
        """The id as the provider takes it: the same for a call, its results, and every later turn."""
        pattern = self.quirks.tool_call_id
        return fit(id_, _ANY_ID if pattern is None else WordRule.of(pattern))


def write_messages(messages: tuple[Message, ...], wording: Wording, *, simple: bool = False) -> list[dict[str, Any]]:
    """Calls and results paired, instructions where the provider takes them, turns that say nothing left out.

    ``simple``: the messages are known to be texts alone (`words_alone`).
    """
    written: list[dict[str, Any]] = []
    if not simple:
        messages = shown_by_user(pair(instructed_in_words(messages)))
    if not wording.quirks.system_anywhere:
        messages = folded(messages)
    for index, message in enumerate(messages):
        path = f"messages[{index}]"
        match message.role:
            case "assistant":
                turn = _assistant(message, path, wording)
                if turn is not None:
                    written.append(turn)
            case "tool":
                written += _results(message, path, wording)
            case role:
                known = "system" if role == "developer" and not wording.quirks.developer_role else role
                content = _content(message.content, path, wording)
                if content:
                    written.append(_turn(known, message, content))
    if wording.quirks.assistant_after_results and not simple:
        written = _answered(written)
    if only_instructs(written) and (not written or any(message.role == "user" for message in messages)):
        written.append(_turn("user", OPENING, _content(OPENING.content, "messages", wording)))
    return written


def _answered(turns: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """``turns`` with words of the model's between results and what anybody else says behind them."""
    answered: list[dict[str, Any]] = []
    for turn in turns:
        if answered and answered[-1]["role"] == "tool" and turn["role"] not in {"tool", "assistant"}:
            answered.append({"role": "assistant", "content": _HAS_RESULTS})
        answered.append(turn)
    return answered


def folded(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """Instructions at the front as one message; later ones become marked words of the user, at their place, with what they show."""
    front = next((at for at, message in enumerate(messages) if message.role not in _INSTRUCTIONS), len(messages))
    parts = tuple(part for message in messages[:front] for part in message.content)
    folded = [Message(role="system", content=parts)] if parts else []
    for message in messages[front:]:
        if message.role in _INSTRUCTIONS:
            said = "\n".join(part.text for part in message.content if isinstance(part, Text))
            shown = (part for part in message.content if not isinstance(part, Text))
            folded.append(Message(role="user", content=(Text(text=f"<system>\n{said}\n</system>"), *shown)))
        else:
            folded.append(message)
    return tuple(folded)


def _turn(role: str, message: Message, content: Any) -> dict[str, Any]:
    turn: dict[str, Any] = {"role": role, "content": content}
    if message.name is not None:
        turn["name"] = message.name
    return turn


def _content(parts: tuple[Part, ...], path: str, wording: Wording) -> str | list[dict[str, Any]]:
    """Plain text as a string, all else as parts."""
    quirks = wording.quirks
    if len(parts) <= 1 or quirks.text_only_content:
        texts = [part for part in parts if isinstance(part, Text)]
        if len(texts) == len(parts) and (
            not texts or texts[0].cache is None or quirks.cache_marks is None or quirks.text_only_content
        ):
            return texts[0].text if len(texts) == 1 else "\n".join([part.text for part in texts])
    return [
        written
        for index, part in enumerate(parts)
        if (written := _part(part, f"{path}.content[{index}]", wording)) is not None
    ]


def _part(part: Part, path: str, wording: Wording) -> dict[str, Any] | None:
    match part:
        case Text(text=text):
            written: dict[str, Any] = {"type": "text", "text": text}
        case Image():
            written = write_image(part, path)
        case Audio():
            written = write_audio(part, path)
        case Document():
            written = write_document(part, path)
        case Refusal(text=text):
            return {"type": "refusal", "refusal": text}
        case _:  # another protocol's own blocks have no meaning here
            wording.losses.append(path)
            return None
    if wording.quirks.text_only_content and written["type"] != "text":
        raise InvalidRequest("This model takes text only.", param=path)
    write_mark(written, part.cache, wording.quirks.cache_marks)
    return written


def _assistant(message: Message, path: str, wording: Wording) -> dict[str, Any] | None:
    """One assistant turn; None when nothing of it can be said here."""
    quirks = wording.quirks
    calls = [part for part in message.content if isinstance(part, ToolCall)]
    thinking = [part for part in message.content if isinstance(part, Reasoning)]
    audio = [part for part in message.content if isinstance(part, Native) and _is_audio(part)]
    words = tuple(part for part in message.content if not isinstance(part, ToolCall | Reasoning) and part not in audio)
    if calls and words and quirks.content_xor_tool_calls:
        words = ()
        wording.losses.append(f"{path}.content")
    content = _content(words, path, wording)
    turn: dict[str, Any] = _turn("assistant", message, content)
    if audio:
        turn["audio"] = msgspec.Raw(audio[0].json.encode())
    if calls:
        turn["tool_calls"] = [_call(call, before, wording) for call, before in before_calls(message.content)]
    replayed = _replay(turn, thinking, quirks)
    wording.losses.extend(_lost_thinking(message.content, path, replay=quirks.replay_reasoning))
    if not content:
        if not (calls or audio or replayed):
            return None
        _empty(turn, quirks.empty_content if calls or audio else "empty")
    return turn


def _empty(turn: dict[str, Any], kind: str) -> None:
    if kind == "omit":
        del turn["content"]
    else:
        turn["content"] = None if kind == "null" else ""


def _replay(turn: dict[str, Any], thinking: list[Reasoning], quirks: Quirks) -> bool:
    """Give back the thinking of an earlier turn to a provider that wants it, without foreign seals."""
    if not (thinking and quirks.replay_reasoning):
        return False
    text = "".join(part.text for part in thinking)
    if text:
        turn[quirks.reasoning_field or "reasoning_content"] = text
    details = write_details(thinking, foreign=False)
    if details:
        turn["reasoning_details"] = details
    return bool(text or details)


def _lost_thinking(parts: tuple[Part, ...], path: str, *, replay: bool) -> Iterator[str]:
    """All of it where none is given back, but for the signature on a call; else only seals of other protocols."""
    signatures = [before for _, before in before_calls(parts) if before is not None and extra_for_provider(before)]
    for index, part in enumerate(parts):
        if not isinstance(part, Reasoning):
            continue
        if not replay and part not in signatures:
            yield f"{path}.content[{index}]"
        elif part.seal is not None and part.sealed_by != PROTOCOL:
            yield f"{path}.content[{index}].seal"


def _is_audio(part: Native) -> bool:
    return part.protocol == PROTOCOL and part.block == "audio"


def _call(call: ToolCall, before: Reasoning | None, wording: Wording) -> dict[str, Any]:
    name = wording.names[call.name]
    if call.custom and wording.quirks.custom_tools:
        called: dict[str, Any] = {"type": "custom", "custom": {"name": name, "input": call.arguments}}
    else:
        arguments = wrapped(call.arguments) if call.custom else as_object(call.arguments).decode()
        called = {"type": "function", "function": {"name": name, "arguments": arguments}}
    extra = extra_for_provider(before) if before else None
    more = {"extra_content": msgspec.Raw(extra)} if extra else {}
    return {"id": wording.call_id(call.id), **called, **more}


def _results(message: Message, path: str, wording: Wording) -> list[dict[str, Any]]:
    """One message per result; images and documents, which Chat's results cannot hold, follow them as the user's."""
    written: list[dict[str, Any]] = []
    shown: list[Part] = []
    for index, result in enumerate(message.content):
        if not isinstance(result, ToolResult):
            continue
        texts = tuple(part for part in result.content if isinstance(part, Text))
        media = [part for part in result.content if isinstance(part, Image | Document)]
        if media:
            shown += (Text(text=f"What the tool call {result.call_id} showed:"), *media)
            texts = texts or (Text(text="The result is shown in the next message."),)
        wording.losses.extend(f"{path}.content[{index}]" for part in result.content if isinstance(part, Native))
        if result.is_error and not is_absent(result):
            wording.losses.append(f"{path}.content[{index}].is_error")
        if result.cache is not None and texts:
            texts = (*texts[:-1], msgspec.structs.replace(texts[-1], cache=result.cache))
        content = _content(texts, f"{path}.content[{index}]", wording)
        written.append({"role": "tool", "tool_call_id": wording.call_id(result.call_id), "content": content})
    if shown:
        written.append({"role": "user", "content": _content(tuple(shown), path, wording)})
    return written
