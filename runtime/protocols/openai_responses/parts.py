"""Content parts of messages and of tools' results, both ways: texts, images, files, and where the prompt may be cached."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from generated.types.openai_responses import CacheBreakpoint, ImageAddress, InputPart, UrlCitation
from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Citation,
    Document,
    FileSource,
    Image,
    Refusal,
    Source,
    Text,
    TextSource,
    UrlSource,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present
from runtime.protocols.openai_chat.parts import data_source, extension, sniff, standard, text_document
from runtime.protocols.openai_responses.wire import PROTOCOL, compact, encode, is_list, is_text, missing, read, wrong

__all__ = [
    "annotation_json", "data_url", "read_citation", "read_content", "write_document", "write_image", "write_mark", "write_text",
]  # fmt: skip

Content = Text | Refusal | Image | Document | Audio

_PARTS: Final = msgspec.json.Decoder(list[msgspec.Raw])
_PART: Final = msgspec.json.Decoder(InputPart)
_TEXT: Final = msgspec.json.Decoder(str)
_ADDRESS: Final = msgspec.json.Decoder(ImageAddress)
_CITATION: Final = msgspec.json.Decoder(UrlCitation)

_TTLS_S: Final[Mapping[str, int]] = MappingProxyType({"30m": 1800, "12h": 43_200})
_TTL_WORDS: Final[Mapping[int, str]] = MappingProxyType({1800: "30m", 43_200: "12h"})
_AUDIO_TYPES: Final[Mapping[str, str]] = MappingProxyType({"mp3": "audio/mpeg", "wav": "audio/wav"})


def read_content(raw: msgspec.Raw | msgspec.UnsetType, path: str) -> tuple[Content, ...]:
    """A text, or parts; empty texts are left out."""
    content = present(raw)
    if content is None:
        return ()
    if is_text(content):
        text = _TEXT.decode(content)
        return (Text(text=text),) if text else ()
    if not is_list(content):
        raise InvalidRequest(f"The field '{path}' must be a string or an array.", param=path, code="invalid_type")
    raws = read(_PARTS, content, path)
    parts = [_part(part, f"{path}[{index}]") for index, part in enumerate(raws)]
    return tuple(part for part in parts if part is not None)


def read_citation(raw: msgspec.Raw, start: int) -> Citation:
    """Where a text comes from. ``start`` is how much text of the answer stands before the annotated one.

    Annotations of other kinds than pages are kept for this protocol only.
    """
    found = _CITATION.decode(raw)
    if found.type != "url_citation":
        return Citation(extensions={PROTOCOL: {"annotation": msgspec.Raw(compact(bytes(raw)))}})
    begin, end = present(found.start_index), present(found.end_index)
    return Citation(
        url=found.url or None,
        title=found.title or None,
        start=None if begin is None else begin + start,
        end=None if end is None else end + start,
    )


def annotation_json(citation: Citation, start: int, length: int) -> bytes | None:
    """The annotation of a text that begins at ``start`` of the answer's, so far ``length`` long; None for what has no form."""
    kept = citation.extensions.get(PROTOCOL, {}).get("annotation")
    if kept is not None:
        return bytes(kept)
    if not citation.url:
        return None
    begin = 0 if citation.start is None else max(0, citation.start - start)
    end = length if citation.end is None else max(0, citation.end - start)
    page = {"start_index": begin, "end_index": end, "title": citation.title or "", "url": citation.url}
    return encode({"type": "url_citation", **page})


def write_mark(part: dict[str, Any], mark: CacheMark | None) -> dict[str, Any]:
    """``part`` with its mark."""
    if mark is not None:
        word = _TTL_WORDS.get(mark.ttl_s or 0)
        part["prompt_cache_breakpoint"] = {"mode": "explicit"} if word is None else {"mode": "explicit", "ttl": word}
    return part


def write_text(text: str) -> dict[str, Any]:
    return {"type": "input_text", "text": text}


def write_image(image: Image) -> dict[str, Any]:
    shown: dict[str, Any] = {"type": "input_image", "detail": image.detail or "auto"}
    match image.source:
        case UrlSource(url=url):
            return {**shown, "image_url": url}
        case Base64Source() as source:
            return {**shown, "image_url": data_url(source)}
        case FileSource(file_id=file_id):
            return {**shown, "file_id": file_id}
        case TextSource(text=text):
            return write_text(text)


def write_document(document: Document) -> dict[str, Any]:
    match document.source:
        case Base64Source(media_type=media_type) as source:
            name = document.title or "document." + extension(media_type)
            return {"type": "input_file", "filename": name, "file_data": data_url(source)}
        case FileSource(file_id=file_id):
            named = {} if document.title is None else {"filename": document.title}
            return {"type": "input_file", "file_id": file_id, **named}
        case UrlSource(url=url):
            named = {} if document.title is None else {"filename": document.title}
            return {"type": "input_file", "file_url": url, **named}
        case TextSource(text=text):
            return write_text(text_document(document, text))


def data_url(source: Base64Source) -> str:
    return f"data:{source.media_type};base64,{source.data}"


def _part(raw: msgspec.Raw, path: str) -> Content | None:
    part = read(_PART, raw, path)
    cache = _mark(part.prompt_cache_breakpoint)
    match part.type:
        case "input_text" | "output_text" | "text":
            text = present(part.text)
            if text is None:
                raise missing(f"{path}.text")
            cited = tuple(read_citation(citation, 0) for citation in part.annotations or ())
            return Text(text=text, citations=cited, cache=cache) if text else None
        case "refusal":
            return Refusal(text=part.refusal) if part.refusal else None
        case "input_image" | "image_url" | "image":
            return _image(part, path, cache)
        case "input_file" | "file":
            return Document(source=_file(part, path), title=part.filename or None, cache=cache)
        case "input_audio":
            sound = present(part.input_audio)
            if sound is None:
                raise missing(f"{path}.input_audio")
            media_type = _AUDIO_TYPES.get(sound.format, f"audio/{sound.format}")
            return Audio(source=Base64Source(media_type=media_type, data=standard(sound.data)), cache=cache)
        case None | msgspec.UNSET:
            raise missing(f"{path}.type")
        case other:
            raise wrong(f"{path}.type", f"'{other}' is no type of content that is known here.")


def _mark(mark: CacheBreakpoint | msgspec.UnsetType | None) -> CacheMark | None:
    """An unknown time to live means the vendor's default."""
    return CacheMark(ttl_s=_TTLS_S.get(mark.ttl or "")) if mark else None


def _image(part: InputPart, path: str, cache: CacheMark | None) -> Image:
    detail = None if part.detail == "auto" else part.detail or None
    address = present(part.image_url)
    if address is None:
        if part.file_id:
            return Image(source=FileSource(file_id=part.file_id), detail=detail, cache=cache)
        raise missing(f"{path}.image_url")
    if is_text(address):
        url = _TEXT.decode(address)
    else:  # Chat's form, which many clients send here, too
        inner = read(_ADDRESS, address, f"{path}.image_url")
        url, detail = inner.url, detail or inner.detail or None
    place = f"{path}.image_url"
    source: Source = data_source(url, place) if url[:5].lower() == "data:" else UrlSource(url=url)
    return Image(source=source, detail=detail, cache=cache)


def _file(part: InputPart, path: str) -> Source:
    if part.file_data:
        if part.file_data[:5].lower() == "data:":
            return data_source(part.file_data, f"{path}.file_data")
        data = standard(part.file_data)
        return Base64Source(media_type=sniff(data) or "application/octet-stream", data=data)
    if part.file_id:
        return FileSource(file_id=part.file_id)
    if part.file_url:
        return UrlSource(url=part.file_url)
    raise InvalidRequest(
        f"The field '{path}' needs 'file_data', 'file_id' or 'file_url'.",
        param=path,
        code="missing_required_parameter",
    )
