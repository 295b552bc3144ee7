"""Canonical messages to this protocol's contents.

The vendor's rules, each kept here: instructions are one `systemInstruction`, and in mid-conversation the user's text, marked
as such; the content behind calls holds one result for each, in their order and by the function's name; no content and no
text is empty; a conversation begins with the user and does not end with the model. Signatures go back to where they stood
(`runtime.protocols.gemini.signature`); a call that none of the vendor's models signed gets the documented stand-in where the
model demands one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import msgspec

from generated.types.gemini import Content, FunctionCall, Part
from runtime.canonical import (
    Audio,
    Document,
    Image,
    Message,
    Native,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from runtime.canonical import Part as Said
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.pairing import pair
from runtime.protocols.free_text import wrapped
from runtime.protocols.gemini.media import describe, write_media
from runtime.protocols.gemini.result import write_result
from runtime.protocols.gemini.signature import DUMMY, kind_of
from runtime.protocols.gemini.wire import PROTOCOL, compact_object, generation, raw_of
from runtime.protocols.shown import instructed_in_words

__all__ = ["Prompt", "write_prompt"]

_OPENING: Final = "Begin."
_GO_ON: Final = "Go on exactly where your last message ends."
_SIGNED_SINCE: Final = 3


class Prompt(msgspec.Struct, frozen=True):
    """``losses`` names what of the messages the vendor cannot be told."""

    system: Content | None
    contents: list[Content]
    losses: tuple[str, ...] = ()


def write_prompt(messages: Sequence[Message], names: Mapping[str, str], model: str, *, prefill: bool) -> Prompt:
    """The whole prompt.

    Args:
        messages: canonical, in order.
        names: the client's names of functions to the vendor's.
        model: the vendor's name of it; newer ones take more.
        prefill: the model continues a last turn of its own; else it is asked to.
    """
    writer = _Writer(names, newest=(generation(model) or 0) >= _SIGNED_SINCE)
    messages = instructed_in_words(messages)
    leading = 0
    while leading < len(messages) and messages[leading].role in {"system", "developer"}:
        leading += 1
    system = [Part(text=text) for message in messages[:leading] for text in writer.texts(message.content)]
    for index, message in enumerate(pair(messages[leading:]), leading):
        writer.add(message, f"messages[{index}]")
    contents = _closed(writer.contents, prefill=prefill)
    return Prompt(_content("user", system) if system else None, contents, tuple(dict.fromkeys(writer.losses)))


class _Writer:
    def __init__(self, names: Mapping[str, str], *, newest: bool) -> None:
        self._names = names
        self._newest = newest
        self._called: dict[str, str] = {}
        self.contents: list[Content] = []
        self.losses: list[str] = []

    def add(self, message: Message, path: str) -> None:
        match message.role:
            case "system" | "developer":
                self._put("user", [Part(text=f"<system>\n{text}\n</system>") for text in self.texts(message.content)])
            case "assistant":
                self._put("model", self._turn(message.content, path))
            case "tool":
                self._put("user", self._results(message.content, path))
            case "user":
                said = [self._user(each, _place(path, index)) for index, each in enumerate(message.content)]
                self._put("user", [part for parts in said for part in parts])

    def texts(self, parts: Iterable[Said]) -> list[str]:
        return [part.text for part in parts if isinstance(part, Text) and part.text]

    def _put(self, role: str, parts: list[Part | msgspec.Raw]) -> None:
        if parts:
            self.contents.append(_content(role, parts))

    def _user(self, said: Said, path: str) -> list[Part | msgspec.Raw]:
        match said:
            case Text(text=text) | Refusal(text=text):
                return [Part(text=text)] if text else []
            case Image() | Audio() | Document():
                return self._media(said, path)
            case Native(protocol=protocol, json=json) if protocol == PROTOCOL:
                return [msgspec.Raw(json.encode())]
            case Native():
                self.losses.append(path)
                return []
            case _:
                return []

    def _media(self, said: Image | Audio | Document, path: str) -> list[Part | msgspec.Raw]:
        part = write_media(said)
        if isinstance(said, Image) and said.detail is not None and not (self._newest and describe(part, said.detail)):
            self.losses.append(f"{path}.detail")
        if present(part.text) == "":
            return []
        return [part]

    def _results(self, parts: Iterable[Said], path: str) -> list[Part | msgspec.Raw]:
        results: list[Part | msgspec.Raw] = []
        behind: list[Part] = []
        for index, result in enumerate(parts):
            if isinstance(result, ToolResult):
                if any(isinstance(part, Native) for part in result.content):
                    self.losses.append(_place(path, index))
                name = self._called.get(result.call_id) or result.name or "unknown_function"
                wire, media = write_result(result, name, pictures_inside=self._newest)
                results.append(Part(functionResponse=wire))
                behind += media
        return [*results, *behind]

    def _turn(self, parts: Sequence[Said], path: str) -> list[Part | msgspec.Raw]:
        turn = _Turn()
        for index, said in enumerate(parts):
            match said:
                case ToolCall():
                    turn.call(self._call(said))
                case Reasoning():
                    self._thinking(said, turn, _place(path, index))
                case _:
                    turn.parts += self._user(said, _place(path, index))
        return turn.close(sign=self._newest)

    def _call(self, call: ToolCall) -> Part:
        name = self._names.get(call.name, call.name)
        self._called[call.id] = name
        args = msgspec.Raw(wrapped(call.arguments).encode()) if call.custom else compact_object(call.arguments)
        return Part(functionCall=FunctionCall(id=call.id, name=name, args=args))

    def _thinking(self, said: Reasoning, turn: _Turn, path: str) -> None:
        kind, signature = kind_of(said)
        match kind:
            case "":
                self.losses.append(path)
            case "thought":
                turn.parts.append(Part(text=said.text, thought=True, thoughtSignature=signature))
            case "call":
                turn.for_calls.append(signature)
            case _:
                turn.behind(signature)


def _place(path: str, index: int) -> str:
    return f"{path}.content[{index}]"


class _Turn:
    """A turn of the model's, whose signatures find their parts though other dialects moved them."""

    def __init__(self) -> None:
        self.parts: list[Part | msgspec.Raw] = []
        self.for_calls: list[str] = []
        self._for_texts: list[tuple[int, str]] = []

    def call(self, part: Part) -> None:
        if self.for_calls:
            part.thoughtSignature = self.for_calls.pop(0)
        self.parts.append(part)

    def behind(self, signature: str) -> None:
        """A signature of the part before it; of a part that is still to come where none is."""
        last = self.parts[-1] if self.parts else None
        if isinstance(last, Part) and _takes(last):
            last.thoughtSignature = signature
        else:
            self._for_texts.append((len(self.parts), signature))

    def close(self, *, sign: bool) -> list[Part | msgspec.Raw]:
        alone: list[tuple[int, str]] = []
        for place, signature in self._for_texts:
            free = next((part for part in self.parts[place:] if isinstance(part, Part) and _takes(part)), None)
            if free is None:
                alone.append((place, signature))
            else:
                free.thoughtSignature = signature
        for place, signature in reversed(alone):
            self.parts.insert(place, Part(text="", thoughtSignature=signature))
        first = next((part for part in self.parts if isinstance(part, Part) and part.functionCall), None)
        if sign and first is not None and not present(first.thoughtSignature):
            first.thoughtSignature = DUMMY
        return self.parts


def _takes(part: Part) -> bool:
    """Whether a signature of a text or a picture can stand on ``part``."""
    says = present(part.text) is not None and not present(part.thought)
    return (says or bool(present(part.inlineData))) and not present(part.thoughtSignature)


def _content(role: str, parts: Iterable[Part | msgspec.Raw]) -> Content:
    return Content(role=role, parts=[part if isinstance(part, msgspec.Raw) else raw_of(part) for part in parts])


def _closed(contents: list[Content], *, prefill: bool) -> list[Content]:
    if not contents or contents[0].role == "model":
        contents = [_content("user", [Part(text=_OPENING)]), *contents]
    if contents[-1].role == "model" and not prefill:
        contents.append(_content("user", [Part(text=_GO_ON)]))
    return contents
