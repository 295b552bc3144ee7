"""A client's contents to canonical messages.

Contents of the model that follow one another are one turn: chat clients keep every streamed piece as a content of its
own. Results of functions become a message of their own in front of what else the user says. Calls without ids are
numbered through the conversation, so that the next request numbers them alike, and results without ids are paired with
those of the model's last turn by name and order.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from generated.types.gemini import Content, FunctionCall, FunctionResponse, Part
from runtime.canonical import Message, Native, Reasoning, Text, ToolCall, ToolResult
from runtime.canonical import Part as Said
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.complaint import read_field
from runtime.protocols.gemini.media import read_blob, read_file
from runtime.protocols.gemini.result import read_result
from runtime.protocols.gemini.signature import said_in, unsealed
from runtime.protocols.gemini.wire import PROTOCOL, text_of

__all__ = ["NATIVE_BLOCKS", "read_contents", "read_instructions"]

NATIVE_BLOCKS: Final = ("executableCode", "codeExecutionResult", "toolCall", "toolResponse")

_PART: Final = msgspec.json.Decoder(Part, strict=False)


def read_contents(contents: Sequence[Content], path: str = "contents") -> tuple[Message, ...]:
    """Raises InvalidRequest that names the field."""
    reader = _Reader(_ids(contents, path))
    for index, content in enumerate(contents):
        reader.read(content, f"{path}[{index}]")
    return tuple(reader.messages)


def read_instructions(given: str | Content | None) -> tuple[Message, ...]:
    if given is None:
        return ()
    if isinstance(given, str):
        texts = [given]
    else:
        parts = _parts(given, "systemInstruction")
        texts = [present(part.text) or "" for part, _, _ in parts]
    said = tuple(Text(text=text) for text in texts if text)
    return (Message(role="system", content=said),) if said else ()


class _Reader:
    """``taken`` are the ids that the client itself gives: none of ours may be one of them."""

    def __init__(self, taken: frozenset[str]) -> None:
        self.messages: list[Message] = []
        self._taken = taken
        self._calls = 0
        self._waiting: list[ToolCall] = []

    def read(self, content: Content, path: str) -> None:
        role = present(content.role) or "user"
        parts = _parts(content, path)
        if role == "model":
            if parts and self._speaker() != "assistant":
                self._waiting.clear()  # nobody answers a turn any more once the next has begun
            said = [one for part, raw, place in parts for one in self._said(part, raw, place)]
            self._add_model_turn(_whole_thoughts(said))
        elif role in {"user", "function"}:
            self._add_user_turn(parts)
        else:
            message = f"The field '{path}.role' must be 'user' or 'model', not '{role}'."
            raise InvalidRequest(message, param=f"{path}.role", code="invalid_value")

    def _add_model_turn(self, said: list[Said]) -> None:
        if not said:
            return
        if self._speaker() == "assistant":
            last = self.messages[-1]
            self.messages[-1] = msgspec.structs.replace(last, content=_joined(last.content, said))
        else:
            self.messages.append(Message(role="assistant", content=tuple(said)))

    def _speaker(self) -> str | None:
        return self.messages[-1].role if self.messages else None

    def _add_user_turn(self, parts: list[tuple[Part, msgspec.Raw, str]]) -> None:
        results: list[ToolResult] = []
        said: list[Said] = []
        for part, raw, place in parts:
            given = present(part.functionResponse)
            if given is None:
                said += self._said(part, raw, place)
            else:
                results.append(read_result(given, self._call_id(given), f"{place}.functionResponse"))
        if results:
            if self._speaker() == "tool":
                last = self.messages[-1]
                self.messages[-1] = msgspec.structs.replace(last, content=(*last.content, *results))
            else:
                self.messages.append(Message(role="tool", content=tuple(results)))
        if said:
            self.messages.append(Message(role="user", content=tuple(said)))

    def _said(self, part: Part, raw: msgspec.Raw, path: str) -> list[Said]:
        signature = said_in(present(part.thoughtSignature))
        call = present(part.functionCall)
        if call is not None:
            sealed: list[Said] = [unsealed(signature, "call")] if signature else []
            return [*sealed, self._call(call, path)]
        text = present(part.text)
        if present(part.thought) and text is not None:
            if signature:
                return [unsealed(signature, "thought", text)]
            return [Reasoning(text=text)] if text else []
        if text is not None:
            behind: list[Said] = [unsealed(signature, "text")] if signature else []
            return [*([Text(text=text)] if text else []), *behind]
        return self._data(part, raw, path, signature)

    def _data(self, part: Part, raw: msgspec.Raw, path: str, signature: str) -> list[Said]:
        blob, file = present(part.inlineData), present(part.fileData)
        if present(part.videoMetadata) is not None and (blob or file):
            return [Native(protocol=PROTOCOL, block="videoMetadata", json=text_of(raw))]
        sealed: list[Said] = [unsealed(signature, "data")] if signature else []
        resolution = present(part.mediaResolution)
        if blob:
            return [read_blob(blob, f"{path}.inlineData", resolution), *sealed]
        if file:
            return [read_file(file, f"{path}.fileData", resolution), *sealed]
        for block in NATIVE_BLOCKS:
            if present(getattr(part, block)) is not None:
                return [Native(protocol=PROTOCOL, block=block, json=text_of(raw))]
        return [unsealed(signature, "text")] if signature else []

    def _call(self, given: FunctionCall, path: str) -> ToolCall:
        name = present(given.name)
        if not name:
            raise InvalidRequest(
                f"The field '{path}.functionCall.name' is required.", param=f"{path}.functionCall.name"
            )
        args = present(given.args)
        id_ = present(given.id) or self._next_id()
        call = ToolCall(id=id_, name=name, arguments="{}" if args is None else text_of(args))
        self._waiting.append(call)
        return call

    def _next_id(self) -> str:
        while True:
            id_ = f"call_{self._calls}"
            self._calls += 1
            if id_ not in self._taken:
                return id_

    def _call_id(self, given: FunctionResponse) -> str:
        """The id of the call that a result belongs to: its own, or that of the oldest unanswered call of its name."""
        id_, name = present(given.id), present(given.name)
        if id_:
            self._waiting = [call for call in self._waiting if call.id != id_]
            return id_
        found = next((call for call in self._waiting if call.name == name), None)
        if found is None:
            return self._next_id()
        self._waiting.remove(found)
        return found.id


def _parts(content: Content, path: str) -> list[tuple[Part, msgspec.Raw, str]]:
    """A content's parts, with their JSON and where they stand."""
    found: list[tuple[Part, msgspec.Raw, str]] = []
    for index, raw in enumerate(present(content.parts) or ()):
        place = f"{path}.parts[{index}]"
        found.append((read_field(_PART, raw, place), raw, place))
    return found


def _ids(contents: Sequence[Content], path: str) -> frozenset[str]:
    ids: set[str] = set()
    for index, content in enumerate(contents):
        for part, _, _ in _parts(content, f"{path}[{index}]"):
            call = present(part.functionCall)
            ids.add((present(call.id) if call else None) or "")
    return frozenset(ids)


def _joined(before: Sequence[Said], more: Sequence[Said]) -> tuple[Said, ...]:
    """Two pieces of one turn; where a text or a thought was cut between them, it is whole again."""
    last, first = before[-1], more[0]
    match last, first:
        case Text(), Text():
            return (*before[:-1], Text(text=last.text + first.text), *more[1:])
        case Reasoning(seal=None, text=text), Reasoning() if text and _is_thought(first):
            return (*before[:-1], msgspec.structs.replace(first, text=text + first.text), *more[1:])
        case _:
            return (*before, *more)


def _whole_thoughts(said: Sequence[Said]) -> list[Said]:
    """A turn whose thoughts a client kept as the pieces of a stream, with each thought whole again, behind it its seal."""
    whole: list[Said] = []
    for part in said:
        match whole[-1] if whole else None, part:
            case Reasoning(seal=None, text=text), Reasoning() if _is_thought(part):
                whole[-1] = msgspec.structs.replace(part, text=text + part.text)
            case _:
                whole.append(part)
    return whole


def _is_thought(part: Reasoning) -> bool:
    return part.seal is None or part.sealed_by != PROTOCOL or part.seal.startswith("thought.")
