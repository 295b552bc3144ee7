"""Parts of messages and answers, in the order in which they were said."""

from __future__ import annotations

from typing import Literal

from runtime.canonical.base import Extensions, Value

__all__ = [
    "Audio", "Base64Source", "CacheMark", "Citation", "Document", "FileSource", "Image", "Native", "Part", "Reasoning",
    "Refusal", "Source", "Text", "TextSource", "ToolCall", "ToolResult", "UrlSource",
]  # fmt: skip


class CacheMark(Value, frozen=True):
    """The prompt up to and including this part is worth caching. ``ttl_s`` None means the vendor's default."""

    ttl_s: int | None = None


class UrlSource(Value, frozen=True, tag="url"):
    """``media_type`` is None where the client did not say what is there."""

    url: str
    media_type: str | None = None


class Base64Source(Value, frozen=True, tag="base64"):
    """``data`` is standard base64 with padding; ``media_type`` is never empty."""

    media_type: str
    data: str


class FileSource(Value, frozen=True, tag="file"):
    """A file that a vendor keeps. Its id means nothing to another vendor. ``media_type`` as in `UrlSource`."""

    file_id: str
    media_type: str | None = None


class TextSource(Value, frozen=True, tag="text"):
    """A document given as plain text."""

    text: str


Source = UrlSource | Base64Source | FileSource | TextSource


class Citation(Value, frozen=True):
    """Where a text comes from. ``start`` and ``end`` count characters of the whole answer's text, or are None."""

    url: str | None = None
    title: str | None = None
    quote: str | None = None
    start: int | None = None
    end: int | None = None
    extensions: dict[str, Extensions] = {}


class Text(Value, frozen=True, tag="text"):
    text: str
    citations: tuple[Citation, ...] = ()
    cache: CacheMark | None = None


class Image(Value, frozen=True, tag="image"):
    """``detail`` is `auto`, `low`, `high`, `original` or None."""

    source: Source
    detail: str | None = None
    cache: CacheMark | None = None


class Audio(Value, frozen=True, tag="audio"):
    """Sound. ``media_type`` of the source is `audio/wav`, `audio/mpeg` or the like."""

    source: Source
    cache: CacheMark | None = None


class Document(Value, frozen=True, tag="document"):
    source: Source
    title: str | None = None
    context: str | None = None
    citations: bool | None = None
    cache: CacheMark | None = None


class Refusal(Value, frozen=True, tag="refusal"):
    """The model's own words of refusal."""

    text: str


class Reasoning(Value, frozen=True, tag="reasoning"):
    """Thinking, shown or sealed.

    ``text`` is what may be read ("" when the vendor hides it). ``seal`` is the vendor's opaque state (a signature, an
    encrypted item), byte for byte; ``sealed_by`` is the protocol it belongs to. A seal never reaches another protocol.
    ``redacted`` marks a part whose text the vendor withheld entirely: only the seal is left.
    """

    text: str = ""
    seal: str | None = None
    sealed_by: str | None = None
    redacted: bool = False


class ToolCall(Value, frozen=True, tag="tool_call"):
    """``arguments`` is the JSON text as the model wrote it; for a custom tool, free text.

    It may be invalid JSON: codecs whose wire wants an object repair it when they encode (empty text is `{}`).
    """

    id: str
    name: str
    arguments: str = ""
    custom: bool = False
    cache: CacheMark | None = None


class ToolResult(Value, frozen=True, tag="tool_result"):
    """What a tool gave. ``is_error`` None means that the wire did not say.

    ``custom``: a free-text tool gave it, whose call is not in the request; where one is, the call says so.
    """

    call_id: str
    content: tuple[Text | Image | Document | Native, ...] = ()
    is_error: bool | None = None
    name: str | None = None
    custom: bool = False
    cache: CacheMark | None = None


class Native(Value, frozen=True, tag="native"):
    """A part only its own protocol understands (a server tool's block); sent back there as it came, dropped elsewhere.

    ``block`` is the block's own type, ``json`` its JSON text.
    """

    protocol: str
    block: str
    json: str


Part = Text | Image | Audio | Document | Refusal | Reasoning | ToolCall | ToolResult | Native
Kind = Literal["text", "reasoning", "refusal", "tool_call", "native"]
