"""How an answer ends, streamed or not: its last items, its finish, its usage; or the failure that it tells of."""

from __future__ import annotations

from collections.abc import Sequence

from generated.types.openai_responses import OutputPart, ResponseObject
from runtime.canonical import Ended, Finish, Finished, UsageReported
from runtime.errors import UpstreamFailed, UpstreamProtocolError
from runtime.protocols.absent import present
from runtime.protocols.openai_responses.errors import failed_error
from runtime.protocols.openai_responses.finish import read_finish
from runtime.protocols.openai_responses.lane import Lane, Sink, read_item
from runtime.protocols.openai_responses.lanes import MessageLane, lane_for
from runtime.protocols.openai_responses.usage import read_usage

__all__ = ["complete", "refuse_failure", "stop_early"]


def refuse_failure(response: ResponseObject) -> None:
    """Raise the error that an answer tells of instead of being one."""
    if response.status == "failed" or present(response.error) is not None:
        raise failed_error(response.error)
    if response.status == "cancelled":
        raise UpstreamFailed("The provider cancelled its answer.")
    if response.status in {"queued", "in_progress"}:
        raise UpstreamProtocolError("The provider answered that it has not finished its answer.")


def complete(response: ResponseObject, lanes: Sequence[Lane], sink: Sink) -> None:
    """End the answer. ``lanes`` are the items that came before, in their order.

    What the finished answer holds beyond them is told now. An item of it is the one of its kind that came in the same place.
    """
    known: dict[str, list[Lane]] = {}
    for lane in lanes:
        known.setdefault(lane.kind, []).append(lane)
    late: list[Lane] = []
    for raw in response.output or ():
        item = read_item(raw)
        kind = present(item.type) or "message"
        lane = known[kind].pop(0) if known.get(kind) else lane_for(kind, sink)
        if lane not in lanes:
            for earlier in (*lanes, *late):
                earlier.close()
            late.append(lane)
        lane.fill(item, raw)
    for lane in (*lanes, *late):
        lane.close()
    if response.output_text and not any(isinstance(lane, MessageLane) for lane in (*lanes, *late)):
        message = MessageLane(sink)
        message.finish_part(0, OutputPart(type="output_text", text=response.output_text))
        message.close()
    finish = read_finish(response, calls=sink.calls > 0, refused=sink.refused)
    if sink.stopped is not None:
        finish = Finish(reason="stop_sequence", stop_sequence=sink.stopped)
    sink.events.append(Finished(finish=finish))
    usage = read_usage(response)
    if usage is not None:
        sink.events.append(UsageReported(usage=usage, service_tier=response.service_tier or None))
    sink.events.append(Ended())


def stop_early(lanes: Sequence[Lane], sink: Sink) -> None:
    """End an answer whose stop string was met and whose upstream went away behind it."""
    for lane in lanes:
        lane.close()
    finish = Finish(reason="stop_sequence", stop_sequence=sink.stopped)
    sink.events += [Finished(finish=finish), Ended()]
