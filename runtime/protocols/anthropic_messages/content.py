"""Content blocks, as clients and providers send them, to canonical parts.

Used for requests and answers alike; blocks of kinds that canonical has no part for become `Native`, with their JSON as it
came. Not for streams' pieces of blocks, nor for writing blocks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from types import MappingProxyType
from typing import Final

import msgspec

from generated.types.anthropic_messages import ReceivedBlock, ReceivedCacheControl, ReceivedSource
from runtime.canonical import (
    Base64Source,
    CacheMark,
    Citation,
    Document,
    FileSource,
    Image,
    Native,
    Part,
    Reasoning,
    Source,
    Text,
    TextSource,
    ToolCall,
    ToolResult,
    UrlSource,
)
from runtime.protocols.absent import present
from runtime.protocols.anthropic_messages.seal import unsealed
from runtime.protocols.anthropic_messages.wire import PROTOCOL, Fields, fault, is_text, read, required, text_of

__all__ = ["BLOCKS", "Unseal", "cache_mark", "citation", "parts_of", "read_block", "without_empty"]

BLOCKS: Final = msgspec.json.Decoder(str | list[ReceivedBlock])
_BLOCK: Final = msgspec.json.Decoder(ReceivedBlock)
_READ: Final = frozenset({"text", "thinking", "redacted_thinking", "tool_use"})
"""Kinds of an answer's blocks that are read; others are kept as they came, whatever is in them."""


class _Kind(msgspec.Struct):
    type: str


_KIND: Final = msgspec.json.Decoder(_Kind)
_RAWS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_SOURCE: Final = msgspec.json.Decoder(ReceivedSource)
_CITATIONS: Final = msgspec.json.Decoder(list[Fields])
_CITATIONS_CONFIG: Final = msgspec.json.Decoder(dict[str, bool])
_TEXT: Final = msgspec.json.Decoder(str)

Unseal = Callable[[str], tuple[str, str]]
"""A signature to its seal and the protocol that owns it."""

_TTL_S: Final = MappingProxyType({"5m": 300, "1h": 3600})


def parts_of(
    blocks: Sequence[ReceivedBlock], path: str, raws: Callable[[], Sequence[msgspec.Raw]], unseal: Unseal = unsealed
) -> list[Part]:
    """The parts of a list of blocks. ``raws`` gives their JSON, asked for only when a block is of an unknown kind."""
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        if block.type == "text":
            parts.append(_said(block, path, index))
        else:
            parts += _part_of(block, f"{path}.{index}", partial(_nth, raws, index), unseal)
    return parts


def read_block(raw: msgspec.Raw) -> ReceivedBlock:
    """A block of an answer. Of a kind that came later, whose members may be of other types, only the kind is read."""
    try:
        return _BLOCK.decode(raw)
    except msgspec.ValidationError:
        kind = _KIND.decode(raw)
        if kind.type in _READ:
            raise
        return ReceivedBlock(type=kind.type)


def without_empty(parts: list[Part]) -> list[Part]:
    """``parts`` without texts that say nothing, which canonical requests do not hold; the same list where there are none."""
    for part in parts:
        if type(part) is Text and not part.text:
            return [part for part in parts if type(part) is not Text or part.text]
    return parts


def _said(block: ReceivedBlock, path: str, index: int) -> Text:
    text = block.text
    if not isinstance(text, str):
        raise fault(f"{path}.{index}.text", "Field required")
    if block.citations is msgspec.UNSET and block.cache_control is msgspec.UNSET:
        return Text(text=text)
    return Text(text=text, citations=_citations(block, f"{path}.{index}"), cache=cache_mark(block.cache_control))


def _part_of(block: ReceivedBlock, path: str, raw: Callable[[], msgspec.Raw], unseal: Unseal = unsealed) -> list[Part]:
    """One block's part; a document made of texts and images gives several. Raises InvalidRequest that names the field."""
    match block.type:
        case "tool_use":
            given = present(block.input)
            return [
                ToolCall(
                    id=required(block.id, f"{path}.id"),
                    name=required(block.name, f"{path}.name"),
                    arguments="{}" if given is None else text_of(given),
                    cache=cache_mark(block.cache_control),
                )
            ]
        case "tool_result":
            return [_tool_result(block, path)]
        case "thinking" | "redacted_thinking":
            return [_reasoning(block, path, unseal)]
        case "image":
            source = read(_SOURCE, required(block.source, f"{path}.source"), f"{path}.source")
            return [Image(source=_source(source, f"{path}.source"), cache=cache_mark(block.cache_control))]
        case "document":
            return _document(block, path)
        case "search_result":
            return [_search_result(block, path)]
        case kind:
            return [Native(protocol=PROTOCOL, block=kind, json=text_of(raw()))]


def cache_mark(control: ReceivedCacheControl | msgspec.UnsetType | None) -> CacheMark | None:
    if control is None or isinstance(control, msgspec.UnsetType):
        return None
    ttl = present(control.ttl)
    return CacheMark(ttl_s=_TTL_S.get(ttl) if ttl else None)


def citation(fields: Fields, start: int | None = None, end: int | None = None) -> Citation:
    """A citation with all its fields kept; ``start`` and ``end`` are where the cited text stands in the answer."""
    url = _text(fields, "url")
    source = _text(fields, "source")
    if url is None and source is not None and source.startswith(("http://", "https://")):
        url = source
    return Citation(
        url=url,
        title=_text(fields, "title") or _text(fields, "document_title"),
        quote=_text(fields, "cited_text"),
        start=start,
        end=end,
        extensions={PROTOCOL: fields},
    )


def _text(fields: Fields, name: str) -> str | None:
    value = fields.get(name)
    return _TEXT.decode(value) if value is not None and is_text(value) else None


def _citations(block: ReceivedBlock, path: str) -> tuple[Citation, ...]:
    given = present(block.citations)
    if given is None:
        return ()
    return tuple(citation(fields) for fields in read(_CITATIONS, given, f"{path}.citations"))


def _nth(raws: Callable[[], Sequence[msgspec.Raw]], index: int) -> msgspec.Raw:
    return raws()[index]


def _reasoning(block: ReceivedBlock, path: str, unseal: Unseal) -> Reasoning:
    if block.type == "redacted_thinking":
        seal, owner = unseal(required(block.data, f"{path}.data"))
        return Reasoning(seal=seal, sealed_by=owner, redacted=True)
    text = required(block.thinking, f"{path}.thinking")
    signature = present(block.signature)
    if not signature:
        return Reasoning(text=text)
    seal, owner = unseal(signature)
    return Reasoning(text=text, seal=seal, sealed_by=owner)


def _tool_result(block: ReceivedBlock, path: str) -> ToolResult:
    kept: list[Text | Image | Document | Native] = []
    given = present(block.content)
    if given is not None:
        content = read(BLOCKS, given, f"{path}.content")
        if isinstance(content, str):
            kept = [Text(text=content)] if content else []
        else:
            for part in without_empty(parts_of(content, f"{path}.content", lambda: _RAWS.decode(given))):
                if not isinstance(part, Text | Image | Document | Native):
                    raise fault(
                        f"{path}.content", "a tool result holds text, images, documents and search results only"
                    )
                kept.append(part)
    return ToolResult(
        call_id=required(block.tool_use_id, f"{path}.tool_use_id"),
        content=tuple(kept),
        is_error=present(block.is_error),
        cache=cache_mark(block.cache_control),
    )


def _source(source: ReceivedSource, path: str, *, at_urls: str | None = None) -> Source:
    """``at_urls``: what the vendor takes to be at every URL."""
    match source.type:
        case "base64":
            return Base64Source(
                media_type=required(source.media_type, f"{path}.media_type"), data=required(source.data, f"{path}.data")
            )
        case "url":
            return UrlSource(url=required(source.url, f"{path}.url"), media_type=at_urls)
        case "file":
            return FileSource(file_id=required(source.file_id, f"{path}.file_id"))
        case "text":
            return TextSource(text=required(source.data, f"{path}.data"))
        case other:
            raise fault(
                f"{path}.type", f"'{other}' is not a known source; known are base64, url, file, text and content"
            )


def _document(block: ReceivedBlock, path: str) -> list[Part]:
    source = read(_SOURCE, required(block.source, f"{path}.source"), f"{path}.source")
    images: list[Part] = []
    if source.type == "content":
        content = read(BLOCKS, required(source.content, f"{path}.source.content"), f"{path}.source.content")
        inner: list[Part] = [Text(text=content)] if isinstance(content, str) else []
        if not isinstance(content, str):
            inner = parts_of(content, f"{path}.source.content", lambda: _RAWS.decode(required(source.content, path)))
        images = [part for part in inner if isinstance(part, Image)]
        found: Source = TextSource(text="\n\n".join(part.text for part in inner if isinstance(part, Text)))
    else:
        found = _source(source, f"{path}.source", at_urls="application/pdf")
    document = Document(
        source=found,
        title=present(block.title),
        context=present(block.context),
        citations=_citable(block, path),
        cache=None if images else cache_mark(block.cache_control),
    )
    if images:  # the mark covers all of it
        last = images[-1]
        images[-1] = msgspec.structs.replace(last, cache=cache_mark(block.cache_control))
    return [document, *images]


def _search_result(block: ReceivedBlock, path: str) -> Document:
    """A search hit as a document: every protocol has a way to show that to the model."""
    content = read(BLOCKS, required(block.content, f"{path}.content"), f"{path}.content")
    texts = [content] if isinstance(content, str) else [required(inner.text, f"{path}.content") for inner in content]
    return Document(
        source=TextSource(text="\n\n".join(texts)),
        title=present(block.title),
        context=read(_TEXT, required(block.source, f"{path}.source"), f"{path}.source"),
        citations=_citable(block, path),
        cache=cache_mark(block.cache_control),
    )


def _citable(block: ReceivedBlock, path: str) -> bool | None:
    given = present(block.citations)
    return None if given is None else read(_CITATIONS_CONFIG, given, f"{path}.citations").get("enabled")
