"""The items of an answer as a client gets them: what each is when it is added, and what it is when it is done."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import msgspec
from typing_extensions import override

from runtime.canonical import Base64Source, Citation, Native, Reasoning, ToolCall
from runtime.protocols.openai_responses.naming import Member
from runtime.protocols.openai_responses.parts import annotation_json
from runtime.protocols.openai_responses.seal import MADE, start_of, write_reasoning
from runtime.protocols.openai_responses.wire import compact, encode

__all__ = ["CallItem", "ImageItem", "Item", "MessageItem", "NativeItem", "Part", "ThinkingItem", "logprobs_for"]


class _Top(msgspec.Struct):
    token: str
    logprob: float
    bytes: list[int] | None = None


class _Logprob(_Top):
    top_logprobs: list[_Top] = []


_LOGPROBS: Final = msgspec.json.Decoder(list[_Logprob])


class Part:
    """A text or a refusal in a message. ``start``: how much text of the answer stands before it."""

    __slots__ = ("annotations", "logprobs", "pieces", "place", "refusal", "start")

    def __init__(self, place: int, start: int, *, refusal: bool) -> None:
        self.place = place
        self.start = start
        self.refusal = refusal
        self.pieces: list[str] = []
        self.annotations: list[bytes] = []
        self.logprobs: list[bytes] = []

    def cite(self, citation: Citation) -> bytes | None:
        """The annotation, kept; None for a citation that has no form here."""
        note = annotation_json(citation, self.start, sum(map(len, self.pieces)))
        if note is not None:
            self.annotations.append(note)
        return note

    def written(self) -> bytes:
        text = encode("".join(self.pieces))
        if self.refusal:
            return b'{"type":"refusal","refusal":%b}' % text
        return b'{"type":"output_text","text":%b,"annotations":[%b],"logprobs":[%b]}' % (
            text, b",".join(self.annotations), b",".join(self.logprobs),
        )  # fmt: skip


class Item(ABC):
    """One item. ``head`` names it in its events."""

    kind = ""

    def __init__(self, index: int, id_: str) -> None:
        self.index = index
        self.id = id_
        self.open = 0
        self.head = b'"item_id":%b,"output_index":%d' % (encode(id_), index)

    @abstractmethod
    def added(self) -> bytes: ...

    @abstractmethod
    def done(self, status: str) -> bytes: ...


class MessageItem(Item):
    kind = "message"

    def __init__(self, index: int, answer_id: str, phase: str | None) -> None:
        super().__init__(index, f"msg_{answer_id}_{index}")
        self._phase = b"" if phase is None else b',"phase":%b' % encode(phase)
        self.parts: list[Part] = []

    @override
    def added(self) -> bytes:
        return self._written(b"in_progress", b"")

    @override
    def done(self, status: str) -> bytes:
        return self._written(status.encode(), b",".join(part.written() for part in self.parts))

    def _written(self, status: bytes, content: bytes) -> bytes:
        return b'{"id":%b,"type":"message","status":"%b","role":"assistant","content":[%b]%b}' % (
            encode(self.id), status, content, self._phase,
        )  # fmt: skip


class ThinkingItem(Item):
    """Thinking that the vendor sealed keeps the vendor's id; all other gets one that tells it from the vendor's."""

    kind = "reasoning"

    def __init__(self, index: int, answer_id: str, part: Reasoning) -> None:
        own, self.outright = start_of(part)
        super().__init__(index, own or f"{MADE}{answer_id}_{index}")
        self._part = part
        self.pieces: list[str] = []
        self.seal = part.seal or ""

    @override
    def added(self) -> bytes:
        return encode({"id": self.id, "type": "reasoning", "summary": []})

    @override
    def done(self, status: str) -> bytes:
        whole = msgspec.structs.replace(self._part, text="".join(self.pieces), seal=self.seal or None)
        return encode(write_reasoning(whole, self.id))


class CallItem(Item):
    """A call."""

    def __init__(self, index: int, answer_id: str, call: ToolCall, member: Member | None) -> None:
        super().__init__(index, f"{'ctc' if call.custom else 'fc'}_{answer_id}_{index}")
        self.kind = "custom_tool_call" if call.custom else "function_call"
        self.pieces: list[str] = []
        self._call = call
        self._member = member

    @override
    def added(self) -> bytes:
        return self._written("", "in_progress")

    @override
    def done(self, status: str) -> bytes:
        return self._written("".join(self.pieces), status)

    def _written(self, text: str, status: str) -> bytes:
        custom = self.kind == "custom_tool_call"
        item: dict[str, Any] = {"id": self.id, "type": self.kind}
        if not custom:
            item["status"] = status
        item |= {"call_id": self._call.id, "name": self._call.name, "input" if custom else "arguments": text}
        if self._member is not None:
            item["name"] = self._member.name
            if self._member.namespace:
                item["namespace"] = self._member.namespace
        return encode(item)


class ImageItem(Item):
    kind = "image_generation_call"

    def __init__(self, index: int, answer_id: str, source: Base64Source) -> None:
        super().__init__(index, f"ig_{answer_id}_{index}")
        self._source = source

    @override
    def added(self) -> bytes:
        return encode({"id": self.id, "type": self.kind, "status": "in_progress", "result": None})

    @override
    def done(self, status: str) -> bytes:
        format_ = self._source.media_type.removeprefix("image/")
        known = {"output_format": format_} if format_ in {"png", "webp", "jpeg", "gif", "svg"} else {}
        return encode({"id": self.id, "type": self.kind, "status": "completed", "result": self._source.data, **known})


class NativeItem(Item):
    """An item of the vendor's own tools: always whole, as it came."""

    def __init__(self, index: int, block: Native) -> None:
        super().__init__(index, "")
        self.kind = block.block
        self._json = compact(block.json.encode())

    @override
    def added(self) -> bytes:
        return self._json

    @override
    def done(self, status: str) -> bytes:
        return self._json


def logprobs_for(inside: str) -> list[bytes]:
    """Log probabilities with what the vendor's types want of each: its bytes, too."""
    try:
        return [encode(_filled(found)) for found in _LOGPROBS.decode(f"[{inside}]")]
    except msgspec.DecodeError:
        return []


def _filled(found: _Logprob) -> dict[str, Any]:
    return {**_one(found), "top_logprobs": [_one(other) for other in found.top_logprobs]}


def _one(found: _Top) -> dict[str, Any]:
    spelled = list(found.token.encode("utf-8", "replace")) if found.bytes is None else found.bytes
    return {"token": found.token, "bytes": spelled, "logprob": found.logprob}
