"""Every tool call followed by its results, every result behind its call: what Chat providers insist on.

A result that stands elsewhere is moved behind its call; a call that was never answered gets a result that says so; a
result without a call becomes the user's, in words and what it shows. The last turn may be waiting for its results.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.canonical import Message, Part, Text, ToolCall, ToolResult

__all__ = ["NO_RESULT", "OPENING", "is_absent", "only_instructs", "pair"]

_INSTRUCTIONS = frozenset({"system", "developer"})
NO_RESULT = "No result of this call was recorded."
_NOTHING = (Text(text=NO_RESULT),)
OPENING = Message(role="user", content=(Text(text="Begin."),))
"""What is said where nobody said anything: providers refuse an empty conversation, or take it for something else."""


def pair(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """``messages`` itself where nothing is amiss."""
    return messages if _sound(messages) else _repaired(messages)


def _sound(messages: tuple[Message, ...]) -> bool:
    waiting: list[str] = []
    for message in messages:
        if message.role == "tool":
            for part in message.content:
                if not isinstance(part, ToolResult) or part.call_id not in waiting:
                    return False
                waiting.remove(part.call_id)
            continue
        if waiting:
            return False
        waiting = [part.id for part in message.content if isinstance(part, ToolCall)]
    return not waiting or messages[-1].role == "assistant"


def _repaired(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    taken: set[tuple[int, int]] = set()
    repaired: list[Message] = []
    for index, message in enumerate(messages):
        if message.role == "tool":
            repaired += [
                Message(role="user", content=_told(part))
                for place, part in enumerate(message.content)
                if isinstance(part, ToolResult) and (index, place) not in taken
            ]
            continue
        repaired.append(message)
        calls = [part for part in message.content if isinstance(part, ToolCall)]
        if calls and index < len(messages) - 1:
            results = tuple(_result(messages, index, call, taken) for call in calls)
            repaired.append(Message(role="tool", content=results))
    return tuple(repaired)


def _result(messages: tuple[Message, ...], start: int, call: ToolCall, taken: set[tuple[int, int]]) -> ToolResult:
    for index in range(start + 1, len(messages)):
        for place, part in enumerate(messages[index].content):
            if isinstance(part, ToolCall) and part.id == call.id:  # the id is used again: what follows answers that one
                return _absent(call)
            if isinstance(part, ToolResult) and part.call_id == call.id and (index, place) not in taken:
                taken.add((index, place))
                return part
    return _absent(call)


def _absent(call: ToolCall) -> ToolResult:
    return ToolResult(call_id=call.id, name=call.name, content=_NOTHING, is_error=True)


def is_absent(result: ToolResult) -> bool:
    """Whether it was put in by `pair`: nothing of it is the client's, so that nothing of it can be lost."""
    return result == ToolResult(call_id=result.call_id, name=result.name, content=_NOTHING, is_error=True)


def only_instructs(written: Sequence[Mapping[str, Any]]) -> bool:
    """Whether nobody but the system speaks in these turns: without a word of the user's there is nothing to answer."""
    return _INSTRUCTIONS.issuperset([turn["role"] for turn in written])


def _told(result: ToolResult) -> tuple[Part, ...]:
    said = "\n".join(part.text for part in result.content if isinstance(part, Text))
    shown = (part for part in result.content if not isinstance(part, Text))
    return Text(text=f"Result of the tool call {result.call_id}: {said}"), *shown
