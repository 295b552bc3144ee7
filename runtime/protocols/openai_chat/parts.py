"""Content parts of messages, both ways: texts, images, sound, documents, and where the prompt may be cached."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from generated.types.openai_chat import (
    AudioPart,
    CacheBreakpoint,
    CacheControl,
    FileData,
    FilePart,
    ImagePart,
    ImageUrl,
    TextPart,
)  # fmt: skip
from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Image,
    Source,
    Text,
    TextSource,
    UrlSource,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.absent import NULL
from runtime.protocols.complaint import read_field

__all__ = [
    "data_source", "extension", "read_content", "read_mark", "read_part", "read_shown", "sniff", "standard", "text_document", "write_audio",
    "write_document", "write_image", "write_mark",
]  # fmt: skip

_IMAGES: Final = msgspec.json.Decoder(list[ImagePart])

Marked = CacheBreakpoint | CacheControl | msgspec.UnsetType | None

_TTLS_S: Final[Mapping[str, int]] = {"5m": 300, "30m": 1800, "1h": 3600, "12h": 43_200}
_TTL_WORDS: Final[Mapping[str, Mapping[int, str]]] = {
    "prompt_cache_breakpoint": {1800: "30m", 43_200: "12h"},
    "cache_control": {300: "5m", 3600: "1h"},
}
_MAGIC: Final[Mapping[str, str]] = {
    "iVBORw0KGgo": "image/png", "/9j/": "image/jpeg", "R0lGOD": "image/gif", "UklGR": "image/webp",
    "JVBERi0": "application/pdf",
}  # fmt: skip
"""How base64 of the common media types begins."""

_AUDIO_TYPES: Final[Mapping[str, str]] = {"mp3": "audio/mpeg", "wav": "audio/wav"}
_AUDIO_FORMATS: Final[Mapping[str, str]] = {
    "audio/mpeg": "mp3", "audio/mp3": "mp3", "audio/wav": "wav", "audio/x-wav": "wav", "audio/wave": "wav",
}  # fmt: skip


def read_content(
    content: str | list[Any] | msgspec.UnsetType | None, path: str, mark: CacheMark | None = None
) -> tuple[Text | Image | Audio | Document, ...]:
    """A message's content; empty texts are left out. ``mark`` is the whole message's: it goes to the last part."""
    if isinstance(content, str):
        return (Text(text=content, cache=mark),) if content else ()
    if not content:
        return ()
    parts = [read_part(part, f"{path}[{index}]") for index, part in enumerate(content)]
    sound = [part for part in parts if not (isinstance(part, Text) and not part.text)]
    if mark is not None and sound:
        sound[-1] = msgspec.structs.replace(sound[-1], cache=mark)
    return tuple(sound)


def read_part(part: TextPart | ImagePart | AudioPart | FilePart, path: str) -> Text | Image | Audio | Document:
    cache = read_mark(part.prompt_cache_breakpoint, part.cache_control)
    match part:
        case TextPart(text=text):
            return Text(text=text, cache=cache)
        case ImagePart(image_url=ImageUrl(url=url, detail=detail)):
            return Image(source=_image_source(url, f"{path}.image_url.url"), detail=detail or None, cache=cache)
        case ImagePart(image_url=url):  # not the vendor's form, but a common one
            return Image(source=_image_source(str(url), f"{path}.image_url"), cache=cache)
        case AudioPart(input_audio=audio):
            media_type = _AUDIO_TYPES.get(audio.format, f"audio/{audio.format}")
            return Audio(source=Base64Source(media_type=media_type, data=standard(audio.data)), cache=cache)
        case FilePart(file=file):
            return Document(source=_file_source(file, f"{path}.file"), title=file.filename or None, cache=cache)


def read_shown(images: msgspec.Raw | msgspec.UnsetType, path: str) -> list[Image]:
    """Images that a model made, as compatible servers show them beside its text."""
    if not isinstance(images, msgspec.Raw) or images == NULL:
        return []
    given = read_field(_IMAGES, images, path)
    shown = [read_part(part, f"{path}[{index}]") for index, part in enumerate(given)]
    return [image for image in shown if isinstance(image, Image)]


def read_mark(*marked: Marked) -> CacheMark | None:
    """The first mark that is there, in either spelling. An unknown time to live means the vendor's default."""
    for mark in marked:
        if mark:
            return CacheMark(ttl_s=_TTLS_S.get(mark.ttl or ""))
    return None


def write_mark(part: dict[str, Any], mark: CacheMark | None, spelling: str | None) -> None:
    """Add ``mark`` to ``part`` as the provider spells it; nothing where it knows no such thing."""
    if mark is None or spelling is None:
        return
    kind = {"mode": "explicit"} if spelling == "prompt_cache_breakpoint" else {"type": "ephemeral"}
    word = _TTL_WORDS[spelling].get(mark.ttl_s or 0)
    part[spelling] = kind if word is None else {**kind, "ttl": word}


def write_image(image: Image, path: str) -> dict[str, Any]:
    match image.source:
        case UrlSource(url=url):
            pass
        case Base64Source(media_type=media_type, data=data):
            url = f"data:{media_type};base64,{data}"
        case _:
            raise InvalidRequest("This model takes images as URLs or bytes, not as ids of another vendor.", param=path)
    shown = {"url": url} if image.detail is None else {"url": url, "detail": image.detail}
    return {"type": "image_url", "image_url": shown}


def write_audio(audio: Audio, path: str) -> dict[str, Any]:
    if not isinstance(audio.source, Base64Source):
        raise InvalidRequest("This model takes sound as bytes only.", param=path)
    media_type = audio.source.media_type.lower()
    format_ = _AUDIO_FORMATS.get(media_type, media_type.removeprefix("audio/"))
    return {"type": "input_audio", "input_audio": {"data": audio.source.data, "format": format_}}


def write_document(document: Document, path: str) -> dict[str, Any]:
    match document.source:
        case Base64Source(media_type=media_type, data=data):
            name = document.title or "document." + extension(media_type)
            return {"type": "file", "file": {"filename": name, "file_data": f"data:{media_type};base64,{data}"}}
        case FileSource(file_id=file_id):
            named = {} if document.title is None else {"filename": document.title}
            return {"type": "file", "file": {"file_id": file_id, **named}}
        case TextSource(text=text):
            return {"type": "text", "text": text_document(document, text)}
        case UrlSource():
            raise InvalidRequest("This model takes documents as bytes, not as URLs.", param=path)


def text_document(document: Document, text: str) -> str:
    """A document that is a text, as words: its title and what is said of it stand before it."""
    return "\n\n".join(piece for piece in (document.title, document.context, text) if piece)


def _image_source(url: str, path: str) -> Source:
    return data_source(url, path) if url[:5].lower() == "data:" else UrlSource(url=url)


def _file_source(file: FileData, path: str) -> Source:
    if file.file_data:
        if file.file_data[:5].lower() == "data:":
            return data_source(file.file_data, f"{path}.file_data")
        data = standard(file.file_data)
        return Base64Source(media_type=sniff(data) or "application/octet-stream", data=data)
    if file.file_id:
        return FileSource(file_id=file.file_id)
    raise InvalidRequest(
        f"The field '{path}' needs 'file_data' or 'file_id'.", param=path, code="missing_required_parameter"
    )


def data_source(url: str, path: str) -> Base64Source:
    head, comma, data = url.partition(",")
    kind = head[5:]
    if not comma or not kind.lower().endswith(";base64"):
        raise InvalidRequest(f"The field '{path}' must be a base64 data URL.", param=path, code="invalid_value")
    data = standard(data)
    media_type = kind[:-7].partition(";")[0].strip().lower()
    return Base64Source(media_type=media_type or sniff(data) or "application/octet-stream", data=data)


def standard(data: str) -> str:
    """Base64 in the standard alphabet with padding, without blanks; untouched where it is so already."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    if "\n" in data or " " in data or "\r" in data:
        data = "".join(data.split())
    return data + "=" * (-len(data) % 4)


def sniff(data: str) -> str | None:
    return next((media_type for magic, media_type in _MAGIC.items() if data.startswith(magic)), None)


def extension(media_type: str) -> str:
    tail = media_type.rpartition("/")[2]
    return {"plain": "txt", "octet-stream": "bin"}.get(tail, tail)
