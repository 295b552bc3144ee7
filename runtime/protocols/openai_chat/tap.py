"""Watches a Chat stream that passes through: only the model's name changes, nothing is parsed that a search can settle.

An error event is not forwarded: it is raised, classified, once the bytes before it are out, so that the client is told
once, by the gateway, in the vendor's own shape.
"""

from __future__ import annotations

import re
from io import BytesIO
from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_chat import ChatCompletionChunk, ChunkDelta
from runtime.errors import UpstreamProtocolError
from runtime.protocols.absent import NULL
from runtime.protocols.counts import read_counted
from runtime.protocols.event_tap import EventTap
from runtime.protocols.framing import CR, LF, behind
from runtime.protocols.openai_chat.errors import error_within
from runtime.protocols.openai_chat.finish import DONE, refuse_failure
from runtime.protocols.openai_chat.halves import UNREADABLE, marked, unmarked
from runtime.protocols.openai_chat.usage import read_usage
from runtime.protocols.splice import raw, replace

__all__ = ["ChatTap"]

_CHUNK: Final = msgspec.json.Decoder(ChatCompletionChunk)
_DATA: Final = re.compile(rb"^(?:\xef\xbb\xbf)?data: ?([^\r\n]+)", re.MULTILINE)
_CR_DATA: Final = re.compile(rb"(?:^|[\r\n])(?:\xef\xbb\xbf)?data: ?([^\r\n]+)")
_CHOICE: Final = b'"choices":[{"index":0,'
_FINISH: Final = b'"finish_reason"'
_UNFINISHED: Final = b'"finish_reason":null'
_MODEL: Final = re.compile(rb'"model"[ \t]*:[ \t]*"(?:[^"\\]|\\.)*"')


class ChatTap(EventTap):
    """One stream. Whole events are forwarded as they come; the part of one that is under way is held."""

    def __init__(self, model: str, *, hides_usage: bool = False) -> None:
        """``hides_usage``: chunks that only tell what the answer took are kept back."""
        super().__init__()
        self._hides_usage = hides_usage
        self._hidden = False
        self._model = raw(model)
        self._old = b""  # `"model":"…"` as the upstream writes it, once an event has shown it
        self._new = b""
        self._head = self._new_head = self._end = b""  # around what is new in an event without news
        self._seam = self._new_seam = b""  # between two of them
        self._begins = self._ends = 0  # how long that is
        self._choices: dict[int, bool] = {}  # index to whether it has ended
        self._counted = False  # what it took was said last in a chunk of its own
        self._early = False  # a reason was named before the last words
        self._done = False
        self._readable = False
        self._tier: str | None = None

    @property
    @override
    def finished(self) -> bool:
        """A reason and counts are no end yet: some servers name them in every chunk."""
        return self.complete and (self._done or self._counted)

    @property
    @override
    def may_end(self) -> bool:
        return self.complete and (self._done or (self.usage is not None and not self._early))

    @override
    def feed(self, data: bytes) -> bytes:
        out = self._plain(data) if self._begins and not self._pieces and self._failure is None else None
        if out is None:
            return super().feed(data)
        self.ahead = 0
        self._forwarded = True
        return out

    @override
    def close(self) -> bytes:
        """What is left. A server that said why its answer ends may leave `[DONE]` out, for which clients wait: they get it."""
        if self.complete and not self._done and not _says_something(b"".join(self._pieces)):
            self._pieces.clear()
        out = super().close()
        if self._done:
            return out
        self._done = True
        return behind(out, DONE)

    @override
    def _plain(self, block: bytes) -> bytes | None:
        """Events need no look that begin and end as the last one that was looked at and had no news; and these are whole.

        Quotes inside JSON texts are escaped, so what is searched for cannot be something the model wrote. Slices take less
        than `startswith` and `endswith` do, `find` less than `in`.
        """
        begins, ends = self._begins, self._ends
        if block[:begins] != self._head or block[-ends:] != self._end:
            return None
        new = block[begins:-ends]
        if CR in new:
            return None
        if LF in new:
            return self._several(block, new)
        return None if new.find(_FINISH) >= 0 else self._new_head + block[begins:]

    def _several(self, block: bytes, new: bytes) -> bytes | None:
        """`_plain` of a block that has more lines: ``new`` is what stands between its beginning and its end.

        What is new in each event, put together as they were, must give ``new`` again: then each has that beginning and that
        end, in which its only finish reason is. To cut lines takes a tenth of what counting in all of them does.
        """
        begins, ends = self._begins, 1 - self._ends
        news = [line[begins:ends] for line in BytesIO(block).readlines()[::2]]
        if self._seam.join(news) != new or b"".join(news).find(_FINISH) >= 0:
            return None
        return b"%b%b%b" % (self._new_head, self._new_seam.join(news), self._end)

    @override
    def _run(self, block: bytes, start: int) -> int:
        """News is nearly always behind all that has none, and begins like it."""
        return block.rfind(self._seam, start) + len(self._end)

    @override
    def _event(self, event: bytes) -> bytes:
        if event.startswith(b"data: {") and event.find(b"\n") == len(event) - 2:
            data = self._looked_at(event[6:-2])
            return b"" if self._hidden else b"data: %b\n\n" % data
        pattern = _CR_DATA if CR in event else _DATA
        lines: list[bytes] = pattern.findall(event)
        if not lines:
            return event
        data = lines[0] if len(lines) == 1 else b"\n".join(lines)
        if data.startswith(b"[DONE]"):
            if not self.complete:  # clients take it for the end of a whole answer
                raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
            self._done = True
            return event
        renamed = self._looked_at(data, named_error=b"event: error" in event or b"event:error" in event)
        if self._hidden:
            return b""
        if renamed is data:
            return event
        if len(lines) == 1:
            return event.replace(data, renamed, 1)
        new = iter(renamed.split(b"\n"))
        return pattern.sub(lambda line: line[0].removesuffix(line[1]) + next(new, b""), event)

    def _looked_at(self, data: bytes, *, named_error: bool = False) -> bytes:
        """What an event's data says is noted; back comes the data under the new name. ``_hidden``: it is not to be forwarded."""
        self._hidden = False
        plain = self._learn(data, named_error=named_error) if not self._done else False
        renamed = self._renamed(data)
        if plain and self.started and renamed is not data:
            self._memorise(data, renamed)
        return renamed

    def _memorise(self, data: bytes, renamed: bytes) -> None:
        """Keep how an event without news begins and ends; nothing, where the name stands behind its choices."""
        head, new_head = data.find(_CHOICE), renamed.find(_CHOICE)
        tail = data.rfind(_UNFINISHED)
        begins, ends = data[:head], data[tail:]
        one = LF not in data and CR not in data and _FINISH not in begins and ends.count(_FINISH) == 1
        if one and 0 <= head < tail and self._old and begins.count(self._old) == 1:
            self._head = b"data: " + begins + _CHOICE
            self._new_head = b"data: " + renamed[:new_head] + _CHOICE
            self._end = ends + b"\n\n"
            self._seam, self._new_seam = self._end + self._head, self._end + self._new_head
            self._begins, self._ends = len(self._head), len(self._end)

    def _renamed(self, data: bytes) -> bytes:
        if self._old and data.count(b'"model"') == 1 == data.count(self._old):
            return data.replace(self._old, self._new)
        try:
            sound = marked(data)
            renamed = replace(sound, ("model",), self._model)
        except UNREADABLE:
            return data.replace(self._old, self._new) if self._old else data
        if sound is not data:
            return unmarked(renamed)
        if not self._old and renamed is not data:
            old, new = _MODEL.findall(data), _MODEL.findall(renamed)
            if len(old) == 1 == len(new):
                self._old, self._new = old[0], new[0]
        return renamed

    def _learn(self, data: bytes, *, named_error: bool) -> bool:
        """Note what an event says; whether it is a piece of the only choice, without any news. Raises its error."""
        try:
            chunk = _CHUNK.decode(marked(data))
        except UNREADABLE as fault:
            counted = read_counted(_CHUNK, marked(data), ("usage",))
            if counted is None:
                said = error_within(data)
                if said is not None:
                    raise said from None
                if not self._readable and not isinstance(fault, msgspec.ValidationError):
                    raise UpstreamProtocolError("The provider's stream begins with what is not JSON.") from None
                return False  # what it is only the client can say
            chunk = counted
        self._readable = True
        failed = isinstance(chunk.error, msgspec.Raw) and chunk.error != NULL
        if failed or (chunk.choices is msgspec.UNSET and not chunk.usage):
            said = error_within(data)
            if said is not None:
                raise said
            if failed or named_error:
                raise UpstreamProtocolError("The provider sent an error event that says nothing.")
        self._tier = chunk.service_tier or self._tier
        if chunk.usage:
            self.usage = read_usage(chunk.usage, self._tier)
            self._counted = not chunk.choices
            self._hidden = self._hides_usage and self._counted
        choices = chunk.choices or ()
        for choice in choices:
            index = choice.index or 0
            refuse_failure(choice.finish_reason or "")
            ended = self._choices.get(index, False)
            self._early = self._early or (ended and _says(choice.delta or None))
            self._choices[index] = ended or bool(choice.finish_reason)
            self.started = self.started or bool(choice.finish_reason) or _says(choice.delta or None)
        self.complete = bool(self._choices) and all(self._choices.values())
        return len(choices) == 1 == len(self._choices) and not self.complete and not chunk.usage


def _says(delta: ChunkDelta | None) -> bool:
    if delta is None:
        return False
    said = (
        delta.content,
        delta.refusal,
        delta.tool_calls,
        delta.function_call,
        delta.reasoning_content,
        delta.reasoning,
    )
    return any(said)


def _says_something(rest: bytes) -> bool:
    """Whether what a stream ends with is a chunk or its end, or a part of a chunk, and no mere beginning of a line."""
    lines = _CR_DATA.findall(rest)
    return bool(lines) and lines[0].startswith((b"{", b"[DONE]"))
