"""Watches a stream that passes through: only the model's name in the events about the whole answer changes.

Those events are the first and the last; all others are forwarded after one search. A failure is not forwarded: it is
raised, classified, once the bytes before it are out, and told by `fail` under the same id and the next number.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_responses import ResponseStreamEvent
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Answer, FailingTap
from runtime.protocols.event_tap import EventTap
from runtime.protocols.openai_chat.halves import UNREADABLE, mark_halves
from runtime.protocols.openai_responses.ending import refuse_failure
from runtime.protocols.openai_responses.errors import error_within, failure_json
from runtime.protocols.openai_responses.stream_encoder import ResponsesEncoder
from runtime.protocols.openai_responses.usage import read_object, read_usage
from runtime.protocols.openai_responses.wire import Fields, compact, encode
from runtime.protocols.splice import raw, replace

__all__ = ["ResponsesTap"]

_EVENT: Final = msgspec.json.Decoder(ResponseStreamEvent)
_FIELDS: Final = msgspec.json.Decoder(Fields)
_DATA: Final = re.compile(rb"(?:^|[\r\n])(?:\xef\xbb\xbf)?data: ?([^\r\n]+)")
_NAME: Final = re.compile(rb"(?:^|[\r\n])event: ?([^\r\n]+)")
_NUMBER: Final = re.compile(rb'"sequence_number"[ \t]*:[ \t]*([0-9]+)')
_MARK: Final = re.compile(rb"\xf4\x8d[\xa0-\xbf][\x80-\xbf]")
"""What stands for half a character (see `mark_halves`)."""

_SAYS: Final = re.compile(
    rb'"response\.(?:output_item|content_part|output_text|reasoning|function_call|custom_tool|refusal)'
)
_FAILED: Final = frozenset({"response.failed", "response.cancelled"})
_COMPLETE: Final = frozenset({"response.completed", "response.incomplete"})


class ResponsesTap(EventTap, FailingTap):
    """One stream. Whole events are forwarded as they come; the part of one that is under way is held."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self._answer = answer
        self._model = raw(answer.model)
        self._response: Fields | None = None  # the answer as it was first told
        self._last = b""
        self._number = -1
        self._readable = False

    @override
    def fail(self, error: GatewayError) -> bytes:
        if self._response is None:
            return ResponsesEncoder(self._answer).fail(error)
        numbers = _NUMBER.findall(self._last)
        number = max(int(numbers[-1]) if numbers else -1, self._number) + 1
        changed = {"status": msgspec.Raw(b'"failed"'), "error": msgspec.Raw(failure_json(error))}
        failed = compact(encode({**self._response, **changed}))
        return (
            b'event: response.failed\ndata: {"type":"response.failed","sequence_number":%d,"response":%b}\n\n'
            % (number, failed)
        )  # fmt: skip

    @override
    def _plain(self, block: bytes) -> bytes | None:
        if not self._readable or _has_news(block):
            return None
        self._last = block
        self.started = self.started or _SAYS.search(block) is not None
        return block

    @override
    def _event(self, event: bytes) -> bytes:
        lines: list[bytes] = _DATA.findall(event)
        if not lines or lines[0].startswith(b"[DONE]"):
            return event
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        name = _NAME.search(event)
        named = name[1].decode("utf-8", "replace") if name else ""
        mended = mark_halves(data) if b"\\ud" in data.lower() else None
        renamed = (
            self._looked_at(data, named) if mended is None else _torn(data, mended, self._looked_at(mended, named))
        )
        self._last = event if len(event) < len(self._last) or b'"sequence_number"' in event else self._last
        if renamed is data:
            return event
        if len(lines) == 1:
            return event.replace(data, renamed, 1)
        new = iter(renamed.split(b"\n"))
        return _DATA.sub(lambda line: line[0].removesuffix(line[1]) + next(new, b""), event)

    def _looked_at(self, data: bytes, named: str) -> bytes:
        """What an event's data says is noted; back comes the data under the new name."""
        try:
            event = _EVENT.decode(data)
            name = event.type or named
            if not self.complete:
                self._learn(data, event, name)
            if present(event.response) is None:
                return data
            renamed = replace(data, ("response", "model"), self._model)
            if self._response is None:
                self._response = _FIELDS.decode(_FIELDS.decode(renamed)["response"])
        except UNREADABLE as fault:
            said = error_within(data)
            if said is not None and not self.complete:
                raise said from None
            if not self._readable and not isinstance(fault, msgspec.ValidationError):
                raise UpstreamProtocolError("The provider's stream begins with what is not JSON.") from None
            return data  # what it is only the client can say
        return renamed

    def _learn(self, data: bytes, event: ResponseStreamEvent, name: str) -> None:
        if name == "error" or present(event.error) is not None:
            raise error_within(data) or UpstreamProtocolError("The provider sent an error event that says nothing.")
        said = error_within(data) if not name else None
        if said is not None:
            raise said
        self._readable = True
        told = present(event.response)
        if told is None:
            self.started = self.started or name.startswith("response.")
        elif name in _FAILED or name in _COMPLETE:
            response = read_object(told)
            if name in _FAILED:
                response.status = name.removeprefix("response.")
            self.usage = read_usage(response) or self.usage
            if response.status not in {"completed", "incomplete", "failed", "cancelled"}:
                response.status = "completed"
            refuse_failure(response)
            self.started = self.complete = True
        if isinstance(event.sequence_number, int):
            self._number = max(self._number, event.sequence_number)


def _has_news(block: bytes) -> bool:
    """Whether an event needs a look. Quotes inside JSON texts are escaped, so the model cannot have written what is looked for."""
    return (
        block.find(b'"response"') >= 0
        or block.find(b'"error"') >= 0
        or block.find(b"event: error") >= 0
        or block.find(b"event:error") >= 0
    )


def _torn(data: bytes, mended: bytes, renamed: bytes) -> bytes:
    """``renamed`` with the half characters of ``data`` where ``mended`` has marks for them; ``data`` where it has such marks."""
    if renamed is mended or _MARK.search(data):
        return data
    halves: list[bytes] = []
    position = 0
    for piece in _MARK.split(mended)[:-1]:
        position += len(piece)
        halves.append(data[position : position + 6])
        position += 6
    left = iter(halves)
    return _MARK.sub(lambda mark: next(left, mark[0]), renamed)
