"""Sources of an answer: `groundingMetadata` and `citationMetadata`, and canonical's citations.

The vendor counts bytes of UTF-8 from the beginning of a part's text, canonical characters of the whole answer's.
"""

from __future__ import annotations

from collections.abc import Sequence

from generated.types.gemini import (
    Candidate,
    GroundingChunk,
    GroundingMetadata,
    GroundingSupport,
    Segment,
    WebChunk,
)
from runtime.canonical import Citation
from runtime.protocols.absent import present

__all__ = ["read_citations", "write_grounding"]


def read_citations(candidate: Candidate, texts: Sequence[str]) -> list[Citation]:
    """What ``candidate`` names as sources. ``texts`` are those of its parts, "" where one has none; one where pieces were streamed."""
    found: list[Citation] = []
    grounding = present(candidate.groundingMetadata)
    if grounding is not None:
        found += _grounded(grounding, texts)
    repeated = present(candidate.citationMetadata)
    for one in (present(repeated.citations) if repeated else None) or ():
        start, end = _characters(present(one.startIndex), present(one.endIndex), texts, 0)
        found.append(Citation(url=present(one.uri), title=present(one.title), start=start, end=end))
    return found


def write_grounding(citations: Sequence[Citation], text: str) -> GroundingMetadata | None:
    """``text`` is the answer's whole text. Sources that are named more than once stand in the list once."""
    if not citations:
        return None
    pages = list(dict.fromkeys((one.url or "", one.title or "") for one in citations))
    metadata = GroundingMetadata(
        groundingChunks=[GroundingChunk(web=WebChunk(uri=url, title=title)) for url, title in pages]
    )
    supports: list[GroundingSupport] = []
    for one in citations:
        if one.start is None or one.end is None:
            continue
        before = len(text[: one.start].encode("utf-8", "replace"))
        piece = text[one.start : one.end]
        segment = Segment(endIndex=before + len(piece.encode("utf-8", "replace")), text=piece)
        if before:
            segment.startIndex = before
        place = pages.index((one.url or "", one.title or ""))
        supports.append(GroundingSupport(segment=segment, groundingChunkIndices=[place]))
    if supports:
        metadata.groundingSupports = supports
    return metadata


def _grounded(grounding: GroundingMetadata, texts: Sequence[str]) -> list[Citation]:
    chunks = present(grounding.groundingChunks) or []
    supports = present(grounding.groundingSupports) or []
    found: list[Citation] = []
    named: set[int] = set()
    for support in supports:
        segment = present(support.segment) or Segment()
        part = present(segment.partIndex) or 0
        start, end = _characters(present(segment.startIndex) or 0, present(segment.endIndex), texts, part)
        for index in present(support.groundingChunkIndices) or ():
            if 0 <= index < len(chunks):
                named.add(index)
                url, title = _page(chunks[index])
                quote = present(segment.text) or None
                found.append(Citation(url=url, title=title, quote=quote, start=start, end=end))
    for index, chunk in enumerate(chunks):
        if index not in named:
            url, title = _page(chunk)
            found.append(Citation(url=url, title=title))
    return found


def _page(chunk: GroundingChunk) -> tuple[str | None, str | None]:
    page = present(chunk.web) or present(chunk.retrievedContext) or present(chunk.maps) or WebChunk()
    return present(page.uri) or None, present(page.title) or None


def _characters(start: int | None, end: int | None, texts: Sequence[str], part: int) -> tuple[int | None, int | None]:
    """Places in the whole text, from bytes of one part's."""
    if end is None:
        return None, None
    if not 0 <= part < len(texts):
        part = 0
    before = sum(len(text) for text in texts[:part])
    data = "".join(texts[part:]).encode("utf-8", "replace")
    return before + _length(data[: start or 0]), before + _length(data[:end])


def _length(data: bytes) -> int:
    return len(data.decode("utf-8", "ignore"))
