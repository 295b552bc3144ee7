"""Put every tool result directly behind the turn that called, and leave no call and no result alone.

The vendor refuses a call without a result, a result without a call, and anything between the two. Works on canonical
messages and makes new ones; what it is given stays as it was.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence

import msgspec

from runtime.canonical import Message, Part, Text, ToolCall, ToolResult

__all__ = ["pair"]

_NO_RESULT = "No result was recorded for this call."
_ORPHAN = "Result of a tool call that is no longer part of the conversation:"


def pair(messages: Sequence[Message]) -> list[Message]:
    """``messages`` with a `tool` message behind each assistant turn that calls, holding one result per call, in order.

    A missing result is made up as an error, in the last turn too: a request that ends with a call is refused as well. A
    result that no earlier turn asked for becomes the user's text. An id that comes again, in its turn or a later one, gets
    a number behind it: a result under it belongs to the latest call before.
    """
    results, orphans, called = _assign(messages)
    if not called and not orphans:
        return list(messages)
    paired: list[Message] = []
    used: dict[str, int] = {}
    for index, message in enumerate(messages):
        if message.role == "tool":
            if orphans[index]:
                paired.append(Message(role="user", content=tuple(_told(orphans[index]))))
            continue
        calls = [part for part in message.content if isinstance(part, ToolCall)] if message.role == "assistant" else []
        if not calls:
            paired.append(message)
            continue
        ids = _distinct(calls, used)
        again = iter(ids)
        content = tuple(
            msgspec.structs.replace(part, id=next(again)) if isinstance(part, ToolCall) else part
            for part in message.content
        )
        paired.append(msgspec.structs.replace(message, content=content))
        answers = [_answer(call, id_, results[index, call.id]) for call, id_ in zip(calls, ids, strict=True)]
        paired.append(Message(role="tool", content=tuple(answers)))
    return paired


def _assign(
    messages: Sequence[Message],
) -> tuple[defaultdict[tuple[int, str], list[ToolResult]], defaultdict[int, list[ToolResult]], bool]:
    """Results by calling turn and id, by message those that nobody called for, and whether anybody called."""
    results: defaultdict[tuple[int, str], list[ToolResult]] = defaultdict(list)
    orphans: defaultdict[int, list[ToolResult]] = defaultdict(list)
    turn_of: dict[str, int] = {}
    for index, message in enumerate(messages):
        for part in message.content:
            if isinstance(part, ToolCall) and message.role == "assistant":
                turn_of[part.id] = index
            elif isinstance(part, ToolResult):
                if part.call_id in turn_of:
                    results[turn_of[part.call_id], part.call_id].append(part)
                else:
                    orphans[index].append(part)
    return results, orphans, bool(turn_of)


def _answer(call: ToolCall, id_: str, waiting: list[ToolResult]) -> ToolResult:
    if not waiting:
        return ToolResult(call_id=id_, name=call.name, content=(Text(text=_NO_RESULT),), is_error=True)
    found = waiting.pop(0)
    return found if found.call_id == id_ else msgspec.structs.replace(found, call_id=id_)


def _distinct(calls: Sequence[ToolCall], used: dict[str, int]) -> list[str]:
    """Ids that no call before has. ``used`` are those so far, each with the last number put behind it."""
    ids: list[str] = []
    for call in calls:
        id_, again = call.id, used.get(call.id, 1)
        while id_ in used:
            again += 1
            id_ = f"{call.id}_{again}"
        used[call.id] = again
        used.setdefault(id_, 1)
        ids.append(id_)
    return ids


def _told(orphans: Iterable[ToolResult]) -> Iterable[Part]:
    for orphan in orphans:
        yield Text(text=_ORPHAN)
        yield from orphan.content
