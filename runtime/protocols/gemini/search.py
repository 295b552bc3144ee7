"""Web search as this protocol has it: `googleSearch`, of which nothing can be said that other vendors know."""

from __future__ import annotations

from typing import Final

from runtime.canonical import WebSearch

__all__ = ["SAYS", "read_search", "write_search"]

SAYS: Final[frozenset[str]] = frozenset()


def read_search(kind: str) -> WebSearch | None:
    """What a tool of ``kind`` searches; None for a tool that does something else."""
    return WebSearch() if kind in {"googleSearch", "googleSearchRetrieval"} else None


def write_search(search: WebSearch) -> dict[str, object]:  # noqa: ARG001 — as all codecs have it
    return {"googleSearch": {}}
