"""A provider's stream to canonical events, with what compatible servers do to it.

Understood: missing numbers and names of events, items that were never added or never done, ids that change, texts that come
twice or only at the end, an answer that stands in the last event alone. Not forgiven: an end without a last event, broken
JSON, an error event.
"""

from __future__ import annotations

from typing import Final

import msgspec
from typing_extensions import override

from generated.types.openai_responses import OutputPart, ResponseObject, ResponseStreamEvent
from runtime.canonical import Event, Started
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.base import Outgoing, StreamDecoder
from runtime.protocols.framing import Frame, SseReader
from runtime.protocols.openai_chat.halves import UNREADABLE, may_hold_halves, read_marked
from runtime.protocols.openai_responses.call_lane import CallLane, arguments_text
from runtime.protocols.openai_responses.ending import complete, refuse_failure, stop_early
from runtime.protocols.openai_responses.errors import broken, error_within
from runtime.protocols.openai_responses.lane import Lane, Sink, read_item
from runtime.protocols.openai_responses.lanes import MessageLane, ReasoningLane, lane_for, logprobs_text
from runtime.protocols.openai_responses.usage import read_object

__all__ = ["ResponsesDecoder"]

_EVENT: Final = msgspec.json.Decoder(ResponseStreamEvent)
_TEXT: Final = msgspec.json.Decoder(str)
_FAILED: Final = frozenset({"response.failed", "response.cancelled"})
_LAST: Final = _FAILED | {"response.completed", "response.incomplete"}


class ResponsesDecoder(StreamDecoder):
    """One stream. An error is raised only when the events before it have been given out."""

    def __init__(self, outgoing: Outgoing) -> None:
        self._reader = SseReader()
        self._sink = Sink(outgoing)
        self._lanes: list[Lane] = []
        self._by_id: dict[str, Lane] = {}
        self._by_index: dict[int, Lane] = {}
        self._started = False
        self._done = False
        self._failure: GatewayError | None = None

    @override
    def feed(self, data: bytes) -> list[Event]:
        if self._failure is not None:
            raise self._failure
        try:
            for frame in self._reader.feed(data):
                self._frame(frame)
        except GatewayError as error:
            if not self._sink.events:
                raise
            self._failure = error
        return self._taken()

    @override
    def close(self) -> list[Event]:
        if self._failure is not None:
            raise self._failure
        for frame in self._reader.close():
            self._frame(frame)
        if not self._done:
            if self._sink.stopped is None:
                raise UpstreamProtocolError("The provider ended its stream before the answer was complete.")
            self._done = True
            stop_early(self._lanes, self._sink)
        return self._taken()

    def _taken(self) -> list[Event]:
        events, self._sink.events = self._sink.events, []
        return events

    def _frame(self, frame: Frame) -> None:
        if self._done or frame.data.startswith(b"[DONE]"):
            return
        event, marked = _read(frame)
        try:
            self._event(event.type or frame.event, event, marked=marked)
        except UNREADABLE as error:
            raise broken(frame.data, error) from None

    def _event(self, name: str, event: ResponseStreamEvent, *, marked: bool) -> None:
        raw = present(event.response) if event.response is not msgspec.UNSET else None
        if raw is not None:
            self._lifecycle(name, read_object(raw))
            return
        match name:
            case "response.output_text.delta" | "response.refusal.delta":
                kind = "output_text" if name == "response.output_text.delta" else "refusal"
                text, logprobs = _text(event.delta), logprobs_text(event.logprobs)
                self._message(event).say(event.content_index or 0, kind, text, logprobs, marked=marked)
            case "response.output_item.added" | "response.output_item.done":
                self._item(event, done=name.endswith("done"))
            case "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta":
                self._call(event, custom="custom" in name).say(_text(event.delta), marked=marked)
            case "response.reasoning_summary_text.delta":
                self._thinking(event).say("summary", event.summary_index or 0, _text(event.delta), marked=marked)
            case "response.reasoning_text.delta":
                self._thinking(event).say("content", event.content_index or 0, _text(event.delta), marked=marked)
            case _:
                self._rarer(name, event)

    def _rarer(self, name: str, event: ResponseStreamEvent) -> None:
        """Events that end a piece of an item. Of others, which are new or tell of the vendor's tools, nothing is needed."""
        match name:
            case "response.output_text.done" | "response.refusal.done":
                kind = "refusal" if "refusal" in name else "output_text"
                part = OutputPart(type=kind, text=event.text, refusal=event.refusal, logprobs=event.logprobs)
                self._message(event).finish_part(event.content_index or 0, part)
            case "response.output_text.annotation.added":
                annotation = present(event.annotation)
                if annotation is not None:
                    self._message(event).cite(event.content_index or 0, annotation)
            case "response.content_part.done" if event.part and event.part.type == "reasoning_text":
                self._thinking(event).finish_part("content", event.content_index or 0, event.part.text or None)
            case "response.content_part.done" if event.part:
                self._message(event).finish_part(event.content_index or 0, event.part)
            case "response.reasoning_summary_text.done":
                self._thinking(event).finish_part("summary", event.summary_index or 0, event.text or None)
            case "response.reasoning_text.done":
                self._thinking(event).finish_part("content", event.content_index or 0, event.text or None)
            case "response.function_call_arguments.done":
                self._call(event, custom=False).finish(arguments_text(event.arguments), event.name or None)
            case "response.custom_tool_call_input.done":
                self._call(event, custom=True).finish(event.input or "", event.name or None)
            case _:
                return

    def _lifecycle(self, name: str, response: ResponseObject) -> None:
        self._start(response)
        if name in _LAST:
            if response.status not in {"completed", "incomplete"} or name in _FAILED:
                response.status = name.removeprefix("response.")
            refuse_failure(response)
            self._done = True
            complete(response, self._lanes, self._sink)

    def _start(self, response: ResponseObject | None) -> None:
        if self._started:
            return
        self._started = True
        response = response or ResponseObject()
        self._sink.response_id = response.id or ""
        started = Started(id=response.id or "", model=response.model or "", created=int(response.created_at or 0))
        self._sink.events.append(started)

    def _item(self, event: ResponseStreamEvent, *, done: bool) -> None:
        raw = present(event.item)
        if raw is None:
            return
        item = read_item(raw)
        kind = present(item.type) or "message"
        lane = self._known(item.id or None, event.output_index, kind, named=True) if done else None
        if lane is None or (done and lane.closed):
            if lane is not None and done:  # it was done before
                return
            lane = self._new(kind, item.id or None, event.output_index)
        match lane:
            case MessageLane():
                lane.phase(present(item.phase))
            case ReasoningLane():
                lane.id = present(item.id) or lane.id
            case CallLane():
                lane.name(item)
                lane.start()
            case _:
                pass
        if done:
            lane.fill(item, raw)
            lane.close()

    def _message(self, event: ResponseStreamEvent) -> MessageLane:
        lane = self._of(event, "message")
        return lane if isinstance(lane, MessageLane) else MessageLane(self._sink)

    def _thinking(self, event: ResponseStreamEvent) -> ReasoningLane:
        lane = self._of(event, "reasoning")
        return lane if isinstance(lane, ReasoningLane) else ReasoningLane(self._sink)

    def _call(self, event: ResponseStreamEvent, *, custom: bool) -> CallLane:
        lane = self._of(event, "custom_tool_call" if custom else "function_call")
        return lane if isinstance(lane, CallLane) else CallLane(self._sink, custom=custom)

    def _of(self, event: ResponseStreamEvent, kind: str) -> Lane:
        """The item that an event is about; one that was never added begins now."""
        lane = self._by_id.get(event.item_id or "")
        if lane is None or lane.kind != kind:
            lane = self._known(event.item_id or None, event.output_index, kind, named=False)
        return lane if lane is not None else self._new(kind, event.item_id or None, event.output_index)

    def _known(self, id_: str | None, index: int | msgspec.UnsetType | None, kind: str, *, named: bool) -> Lane | None:
        """By id, else by place, else the last of its kind: some servers change ids, some give neither."""
        lane = self._by_id.get(id_) if id_ else None
        if lane is not None and lane.kind == kind:
            return lane
        if isinstance(index, int):
            lane = self._by_index.get(index)
            return lane if lane is not None and lane.kind == kind else None
        if id_ and named:
            return None
        return next((lane for lane in reversed(self._lanes) if lane.kind == kind and not lane.closed), None)

    def _new(self, kind: str, id_: str | None, index: int | msgspec.UnsetType | None) -> Lane:
        self._start(None)
        lane = lane_for(kind, self._sink)
        if isinstance(lane, ReasoningLane):
            lane.id = id_
        self._lanes.append(lane)
        if id_:
            self._by_id[id_] = lane
        if isinstance(index, int):
            self._by_index[index] = lane
        return lane


def _text(delta: msgspec.Raw | msgspec.UnsetType) -> str:
    if isinstance(delta, msgspec.UnsetType):
        return ""
    try:
        return _TEXT.decode(delta)
    except msgspec.ValidationError:
        return ""  # no text at all


def _read(frame: Frame) -> tuple[ResponseStreamEvent, bool]:
    """The event, and whether halves of characters in it are marked. Raises the error that it holds, if it holds one."""
    marked = False
    try:
        event = _EVENT.decode(frame.data)
        if may_hold_halves(frame.data) and isinstance(event.delta, msgspec.Raw) and may_hold_halves(bytes(event.delta)):
            _TEXT.decode(event.delta)
    except UNREADABLE as error:
        event, marked = _mended(frame, error), True
    name = event.type or frame.event
    if name == "error" or (event.error is not msgspec.UNSET and present(event.error) is not None):
        raise error_within(frame.data) or UpstreamProtocolError("The provider sent an error event that says nothing.")
    if not name:
        said = error_within(frame.data)
        if said is not None:
            raise said
    return event, marked


def _mended(frame: Frame, error: Exception) -> ResponseStreamEvent:
    """The event of a frame that holds half a character; raises for any other fault."""
    event = read_marked(_EVENT, frame.data)
    if event is not None:
        return event
    raise error_within(frame.data) or broken(frame.data, error)
