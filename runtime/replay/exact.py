"""Answers to requests that say the same: kept under a digest of all that an answer depends on."""

from __future__ import annotations

from runtime.replay.kept import Kept
from runtime.replay.question import Question
from runtime.replay.shelf import Shelf

__all__ = ["ExactCache"]


class ExactCache:
    """Looks on ``shelf``. ``prefix`` stands before all keys of one public name, so that these can be cleared."""

    def __init__(self, shelf: Shelf) -> None:
        self.shelf = shelf

    async def find(self, prefix: str, question: Question, model: str) -> Kept | None:
        kept = await self.shelf.get(prefix + question.exact)
        self.shelf.count(model, hit=kept is not None)
        return kept

    async def keep(self, prefix: str, question: Question, kept: Kept) -> None:
        await self.shelf.put(prefix + question.exact, kept)
