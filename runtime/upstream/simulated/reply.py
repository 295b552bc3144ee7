"""What a simulated model says, before it is put on the wire: thoughts, text and tool calls, each in small pieces.

Knows limits and stop strings, because they cut the pieces; knows no JSON.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from runtime.upstream.simulated.tokens import pieces

__all__ = ["Call", "Reply", "limited", "said"]


class Call(msgspec.Struct, frozen=True):
    """A tool call; ``arguments``, joined, are its JSON."""

    name: str
    arguments: tuple[str, ...]


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """``finish`` is the vendor's word for how it ended."""

    reasoning: tuple[str, ...] = ()
    text: tuple[str, ...] = ()
    calls: tuple[Call, ...] = ()
    finish: str = "stop"

    @property
    def reasoning_tokens(self) -> int:
        return len(self.reasoning)

    @property
    def tokens(self) -> int:
        """Everything that was said; a call's name counts as one."""
        return self.reasoning_tokens + len(self.text) + sum(1 + len(call.arguments) for call in self.calls)


def said(text: str, stop: Sequence[str] = (), reasoning: str = "") -> Reply:
    """An answer in words, which ends before the first of the ``stop`` strings in it."""
    ends = [at for word in stop if word and (at := text.find(word)) >= 0]
    return Reply(reasoning=pieces(reasoning), text=pieces(text[: min(ends)] if ends else text))


def limited(reply: Reply, max_tokens: int | None) -> Reply:
    """``reply`` cut after ``max_tokens`` pieces; then it ended for its length."""
    if max_tokens is None or reply.tokens <= max_tokens:
        return reply
    reasoning = reply.reasoning[:max_tokens]
    left = max_tokens - len(reasoning)
    text = reply.text[:left]
    left -= len(text)
    calls: list[Call] = []
    for call in reply.calls:
        if left <= 0:
            break
        calls.append(Call(call.name, call.arguments[: left - 1]))
        left -= 1 + len(calls[-1].arguments)
    return Reply(reasoning=reasoning, text=text, calls=tuple(calls), finish="length")
