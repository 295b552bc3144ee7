"""Answers to requests whose last question means nearly the same, while all else in them is the same to the byte.

What is compared is one text, the user's last. It must be near enough, and bear the same marks (`guard`): vectors do not
tell a question from its denial, nor one year from another. Of the questions in one context the newest are compared, as
many as can be in a few milliseconds, and in a thread.
"""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable
from hashlib import blake2b
from typing import Final, Protocol

import msgspec

from runtime.call import Call
from runtime.replay.guard import marks
from runtime.replay.kept import Kept
from runtime.replay.question import Question
from runtime.replay.shelf import Shelf
from runtime.replay.vectors import nearness
from runtime.shared import SharedError, SharedState

__all__ = ["Meant", "SemanticCache", "VectorsOfTexts"]

INDEX: Final = "cache.semantic.index"
MAX_TEXT: Final = 4000
MAX_COMPARED: Final = 256
MAX_PRODUCTS: Final = 100_000
END_OF_TIME_MS: Final = 1 << 48
CONTEXT_CHARS: Final = 40
OWN_BYTES: Final = 8


class VectorsOfTexts(Protocol):
    """Who makes vectors: a model of the plan, or one in this process."""

    async def of(self, text: str, call: Call) -> array[float] | None:
        """The unit vector of ``text``, which ``call`` asks; None where there is none in time."""
        ...


class Meant(msgspec.Struct, frozen=True, kw_only=True):
    """A question with its vector, and what was found for it: the answer and how near its question was."""

    vector: array[float] | None = None
    kept: Kept | None = None
    near: float = 0.0


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """A question that was answered, as the index holds it."""

    vector: bytes
    marks: tuple[str, ...]


class SemanticCache:
    """``now`` gives Unix seconds. ``shelf`` has the index INDEX."""

    def __init__(
        self,
        shelf: Shelf,
        shared: SharedState,
        vectors: VectorsOfTexts,
        threshold: float,
        now: Callable[[], float],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self.shelf = shelf
        self._shared = shared
        self._vectors = vectors
        self._threshold = threshold
        self._now = now
        self._on_fault = on_fault

    async def find(self, prefix: str, question: Question, call: Call) -> Meant:
        """The nearest question's answer, where one is near enough; of several equally near the newest."""
        meant = await self.measure(question, call)
        vector, text = meant.vector, question.text
        if vector is None or text is None:
            return meant
        for near, key in await self._near(prefix + question.context[:CONTEXT_CHARS], vector, marks(text)):
            kept = await self.shelf.get(key)
            if kept is not None:
                meant = Meant(vector=vector, kept=kept, near=near)
                break
        self.shelf.count(call.envelope.model, hit=meant.kept is not None)
        return meant

    async def measure(self, question: Question, call: Call) -> Meant:
        """The vector of the question, for whose answer nobody looks."""
        if question.text is None or not question.text.strip() or len(question.text) > MAX_TEXT:
            return Meant()
        return Meant(vector=await self._vectors.of(question.text, call))

    async def keep(self, prefix: str, question: Question, vector: array[float], kept: Kept) -> None:
        assert question.text is not None, "only a question with a text has a vector"
        # The newest come first in the order of keys; those of one moment are told apart, whoever keeps them.
        moment = END_OF_TIME_MS - int(self._now() * 1000)
        own = blake2b(question.text.encode("utf-8", "surrogatepass"), digest_size=OWN_BYTES).hexdigest()
        key = f"{prefix}{question.context[:CONTEXT_CHARS]}.{moment:012x}.{own}"
        entry = msgspec.msgpack.encode(Entry(vector.tobytes(), marks(question.text)))
        await self.shelf.put(key, kept, entry)

    async def clear(self, prefix: str = "") -> int:
        """Remove all whose keys begin with ``prefix``; how many there were. Raises SharedError."""
        return await self.shelf.clear(prefix)

    async def _near(self, prefix: str, vector: array[float], own: tuple[str, ...]) -> list[tuple[float, str]]:
        """Keys of questions near enough, the nearest first."""
        limit = max(1, min(MAX_COMPARED, MAX_PRODUCTS // len(vector)))
        try:
            found = await self._shared.entries(INDEX, prefix, limit)
        except SharedError as error:
            self._on_fault(error, "")
            return []
        return await asyncio.to_thread(_nearest, found, vector, own, self._threshold)  # some milliseconds


def _nearest(
    found: list[tuple[str, bytes]], vector: array[float], own: tuple[str, ...], threshold: float
) -> list[tuple[float, str]]:
    near: list[tuple[float, str]] = []
    for key, value in found:
        entry = msgspec.msgpack.decode(value, type=Entry)
        if entry.marks == own:
            closeness = nearness(array("f", entry.vector), vector)
            if closeness >= threshold:
                near.append((closeness, key))
    return sorted(near, key=lambda each: (-each[0], each[1]))
