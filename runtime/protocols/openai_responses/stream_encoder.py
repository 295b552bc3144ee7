"""Canonical events to a client's stream: the whole ladder of events of each item, one last event, nothing behind it.

An item is done when the next begins or the answer ends: only then is it known whether a message goes on, and whether the
last item was cut. The same ladder, its frames left out, writes a complete answer.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
from typing_extensions import override

from runtime.canonical import (
    Base64Source,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    Native,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)  # fmt: skip
from runtime.errors import GatewayError
from runtime.protocols.base import Answer, StreamEncoder
from runtime.protocols.openai_responses.conversation import PHASE
from runtime.protocols.openai_responses.echo import Envelope
from runtime.protocols.openai_responses.errors import failure_json
from runtime.protocols.openai_responses.finish import write_finish
from runtime.protocols.openai_responses.growing import (
    CallItem,
    ImageItem,
    Item,
    MessageItem,
    NativeItem,
    Part,
    ThinkingItem,
)
from runtime.protocols.openai_responses.ladder import Ladder
from runtime.protocols.openai_responses.naming import members_of
from runtime.protocols.openai_responses.wire import PROTOCOL

__all__ = ["ResponsesEncoder", "write_response"]


class _Phase(msgspec.Struct):
    phase: str | None = None


_PHASE: Final = msgspec.json.Decoder(_Phase)


class ResponsesEncoder(StreamEncoder):
    """One stream."""

    content_type = "text/event-stream"
    keep_alive: bytes | None = b": keep-alive\n\n"

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self._envelope = Envelope(answer)
        self._members = members_of(answer.request)
        self._ladder = Ladder()
        self._created = 0
        self._started = False
        self._items = 0
        self._open: dict[int, tuple[Item, Part | None]] = {}
        self._pending: Item | None = None
        self._done: dict[int, bytes] = {}
        self._phase: str | None = None
        self._refused = False
        self._finish = Finish(reason="stop")
        self._usage = Usage()
        self._tier: str | None = None
        self.whole = b""  # the finished answer's object

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        out: list[bytes] = []
        for event in events:
            match event:
                case Delta(choice=0):
                    self._delta(event, out)
                case PartStarted(choice=0, index=index, part=part):
                    self._start_part(index, part, out)
                case PartEnded(choice=0, index=index):
                    self._end_part(index, out)
                case Started():
                    self._start(event.created, out)
                    self._usage, self._tier = event.usage, event.service_tier
                case UsageReported(usage=usage):
                    self._usage, self._tier = usage, event.service_tier or self._tier
                case Finished(choice=0, finish=finish):
                    self._finish = finish
                case Ended():
                    self._end(out)
                case _:  # there is room for one answer
                    continue
        return b"".join(out)

    @override
    def fail(self, error: GatewayError) -> bytes:
        """An answer that never began is begun first: SDKs insist on that order."""
        out: list[bytes] = []
        if not self._started:
            self._start(0, out)
        failed = self._envelope.write("failed", self._created, output=self._output(), error=failure_json(error))
        self._ladder.say(out, b"response.failed", b'"response":%b' % failed)
        return b"".join(out)

    # -- the answer as a whole

    def _start(self, created: int, out: list[bytes]) -> None:
        self._started = True
        self._created = created
        begun = b'"response":%b' % self._envelope.write("in_progress", created)
        self._ladder.say(out, b"response.created", begun)
        self._ladder.say(out, b"response.in_progress", begun)

    def _end(self, out: list[bytes]) -> None:
        reason = write_finish(self._finish, refused=self._refused)
        status = "completed" if reason is None else "incomplete"
        for index in list(self._open):
            self._end_part(index, out)
        self._settle(out, status)
        self.whole = self._envelope.write(
            status, self._created, output=self._output(), usage=self._usage, tier=self._tier, reason=reason
        )
        self._ladder.say(out, b"response.%b" % status.encode(), b'"response":%b' % self.whole)

    def _output(self) -> bytes:
        return b",".join(item for _, item in sorted(self._done.items()))

    # -- items

    def _add(self, item: Item, out: list[bytes]) -> None:
        self._settle(out)
        self._items += 1
        self._ladder.say(
            out, b"response.output_item.added", b'"output_index":%d,"item":%b' % (item.index, item.added())
        )

    def _settle(self, out: list[bytes], status: str = "completed") -> None:
        """The item that has all its parts is done."""
        item, self._pending = self._pending, None
        if item is None:
            return
        done = self._done[item.index] = item.done(status)
        self._ladder.say(out, b"response.output_item.done", b'"output_index":%d,"item":%b' % (item.index, done))

    def _start_part(self, index: int, part: object, out: list[bytes]) -> None:
        match part:
            case Text(text=text) | Refusal(text=text):
                self._start_words(index, part, text, out)
            case Reasoning(text=text):
                item: Item = ThinkingItem(self._items, self._answer.id, part)
                self._open_item(index, item, out)
                self._ladder.think(item, text, out)
            case ToolCall(name=name, arguments=arguments):
                item = CallItem(self._items, self._answer.id, part, self._members.get(name))
                self._open_item(index, item, out)
                self._ladder.call(item, arguments, out)
            case Image(source=Base64Source() as source):
                item = ImageItem(self._items, self._answer.id, source)
                self._open_item(index, item, out)
                for step in (b"in_progress", b"generating", b"completed"):
                    self._ladder.say(out, b"response.image_generation_call.%b" % step, item.head)
            case Native(protocol=protocol, block=block) if protocol == PROTOCOL:
                if block == PHASE:
                    self._settle(out)
                    self._phase = _PHASE.decode(part.json).phase
                else:
                    self._open_item(index, NativeItem(self._items, part), out)
            case _:  # a block of another protocol: nothing that a client of this one could read
                return

    def _open_item(self, index: int, item: Item, out: list[bytes]) -> None:
        self._add(item, out)
        item.open += 1
        self._open[index] = (item, None)

    def _start_words(self, index: int, words: Text | Refusal, text: str, out: list[bytes]) -> None:
        """Words join the message before them, if nothing stands between."""
        message = self._pending
        if isinstance(message, MessageItem):
            self._pending = None
        else:
            message = MessageItem(self._items, self._answer.id, self._phase)
            self._phase = None
            self._add(message, out)
        refusal = isinstance(words, Refusal)
        self._refused = self._refused or refusal
        part = Part(len(message.parts), self._ladder.chars, refusal=refusal)
        message.parts.append(part)
        message.open += 1
        self._open[index] = (message, part)
        place = b'%b,"content_index":%d,"part":%b' % (message.head, part.place, part.written())
        self._ladder.say(out, b"response.content_part.added", place)
        self._ladder.speak(message, part, text, None, out)
        if isinstance(words, Text):
            for citation in words.citations:
                self._ladder.cite(message, part, Delta(index=index, citation=citation), out)

    # -- deltas

    def _delta(self, delta: Delta, out: list[bytes]) -> None:
        found = self._open.get(delta.index)
        if found is None:
            return
        item, part = found
        if part is not None:
            self._ladder.speak(item, part, delta.text, delta.logprobs, out)
            self._ladder.cite(item, part, delta, out)
        elif isinstance(item, ThinkingItem):
            item.seal += delta.seal or ""
            self._ladder.think(item, delta.text, out)
        else:
            self._ladder.call(item, delta.text, out)

    # -- ends

    def _end_part(self, index: int, out: list[bytes]) -> None:
        found = self._open.pop(index, None)
        if found is None:
            return
        item, part = found
        if part is not None:
            self._ladder.end_words(item, part, out)
        elif isinstance(item, ThinkingItem):
            self._ladder.end_thinking(item, out)
        elif isinstance(item, CallItem):
            self._ladder.end_call(item, out)
        item.open -= 1
        if item.open == 0:
            if self._pending is not item:
                self._settle(out)
            self._pending = item


def write_response(response: Response, answer: Answer) -> bytes:
    """A complete answer: what its stream would end in."""
    encoder = ResponsesEncoder(answer)
    events: list[Event] = [Started(id=response.id, model=response.model, created=response.created)]
    choice = response.choices[0]
    logprobs = choice.logprobs
    for index, part in enumerate(choice.content):
        if isinstance(part, Text | Reasoning | Refusal | ToolCall | Image | Native):
            events.append(PartStarted(index=index, part=part))
            if isinstance(part, Text) and logprobs is not None:
                events.append(Delta(index=index, logprobs=logprobs[1:-1]))
                logprobs = None
            events.append(PartEnded(index=index))
    events += [
        Finished(finish=choice.finish),
        UsageReported(usage=response.usage, service_tier=response.service_tier),
        Ended(),
    ]
    encoder.feed(events)
    return encoder.whole
