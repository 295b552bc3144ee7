"""Images and documents as the vendor takes them."""

from __future__ import annotations

import base64
import binascii
from types import MappingProxyType
from typing import Final, assert_never

from generated.types.anthropic_messages import (
    Base64Source,
    CitationsConfig,
    DocumentBlock,
    FileSource,
    ImageBlock,
    TextSource,
    UrlSource,
)  # fmt: skip
from runtime import canonical
from runtime.canonical import Document, Image
from runtime.errors import InvalidRequest
from runtime.protocols.anthropic_messages.cache import control
from runtime.protocols.openai_chat.parts import sniff

__all__ = ["document_block", "image_block"]

_IMAGES: Final = ("image/jpeg", "image/png", "image/gif", "image/webp")
_ALIASES: Final = MappingProxyType({"image/jpg": "image/jpeg", "image/pjpeg": "image/jpeg"})


def image_block(part: Image) -> ImageBlock:
    match part.source:
        case canonical.Base64Source(media_type=named, data=data):
            media_type = _kind(named, data)
            if media_type not in _IMAGES:
                raise InvalidRequest(
                    f"An image of type '{named}' is not taken; known are {', '.join(_IMAGES)}.",
                    param="messages",
                    code="unsupported_value",
                )
            block = ImageBlock(source=Base64Source(media_type=media_type, data=data))
        case canonical.UrlSource(url=url):
            block = ImageBlock(source=UrlSource(url=url))
        case canonical.FileSource(file_id=file_id):
            block = ImageBlock(source=FileSource(file_id=file_id))
        case canonical.TextSource():
            raise InvalidRequest("A text is not an image.", param="messages")
        case _:
            assert_never(part.source)
    if part.cache is not None:
        block.cache_control = control(part.cache)
    return block


def _kind(named: str, data: str) -> str:
    """What an image is by its bytes, since the vendor refuses what is called something else; by its name where they do not say."""
    seen = sniff(data)
    if seen in _IMAGES:
        return seen
    named = named.lower()
    return _ALIASES.get(named, named)


def document_block(part: Document) -> DocumentBlock:
    block = DocumentBlock(source=_document_source(part.source))
    if part.title is not None:
        block.title = part.title
    if part.context is not None:
        block.context = part.context
    if part.citations is not None:
        block.citations = CitationsConfig(enabled=part.citations)
    if part.cache is not None:
        block.cache_control = control(part.cache)
    return block


def _document_source(source: canonical.Source) -> Base64Source | UrlSource | FileSource | TextSource:
    match source:
        case canonical.TextSource(text=text):
            return TextSource(data=text)
        case canonical.UrlSource(url=url):
            return UrlSource(url=url)
        case canonical.FileSource(file_id=file_id):
            return FileSource(file_id=file_id)
        case canonical.Base64Source(media_type="application/pdf", data=data):
            return Base64Source(media_type="application/pdf", data=data)
        case canonical.Base64Source(media_type=media_type, data=data):
            if media_type.startswith("text/") or media_type in {"application/json", "application/xml"}:
                try:
                    return TextSource(data=base64.b64decode(data).decode())
                except (binascii.Error, UnicodeDecodeError):
                    raise InvalidRequest(
                        f"The file of type '{media_type}' is not UTF-8 text.", param="messages"
                    ) from None
            raise InvalidRequest(
                f"A file of type '{media_type}' is not taken; known are application/pdf and text.",
                param="messages",
                code="unsupported_value",
            )
