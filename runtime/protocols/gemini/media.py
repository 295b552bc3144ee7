"""Pictures, sound and files: `inlineData` and `fileData`, and canonical's parts.

What a file is follows from its media type. An address on the web is a URL; any other is a file of the vendor's.
"""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import Final
from urllib.parse import urlsplit

from generated.types.gemini import Blob, FileData, MediaResolution, Part
from runtime.canonical import (
    Audio,
    Base64Source,
    Document,
    FileSource,
    Image,
    Source,
    TextSource,
    UrlSource,
)
from runtime.errors import InvalidRequest
from runtime.protocols.absent import present

__all__ = ["describe", "read_blob", "read_file", "standard", "write_media"]

_TO_VENDOR: Final = MappingProxyType({"audio/mpeg": "audio/mp3", "image/jpg": "image/jpeg"})
_FROM_VENDOR: Final = MappingProxyType({"audio/mp3": "audio/mpeg"})
_DETAILS: Final = MappingProxyType(
    {"low": "MEDIA_RESOLUTION_LOW", "high": "MEDIA_RESOLUTION_HIGH", "original": "MEDIA_RESOLUTION_ULTRA_HIGH"}
)
_LEVELS: Final = MappingProxyType({level: detail for detail, level in _DETAILS.items()})
_ENDINGS: Final = MappingProxyType(
    {
        "png": "image/png", "jpg": "image/jpeg", "jpeg": "image/jpeg", "webp": "image/webp", "heic": "image/heic",
        "heif": "image/heif", "gif": "image/gif", "bmp": "image/bmp", "svg": "image/svg+xml", "wav": "audio/wav",
        "mp3": "audio/mp3", "aiff": "audio/aiff", "aac": "audio/aac", "ogg": "audio/ogg", "flac": "audio/flac",
        "pdf": "application/pdf", "txt": "text/plain", "md": "text/markdown", "html": "text/html", "css": "text/css",
        "csv": "text/csv", "xml": "text/xml", "json": "application/json", "mp4": "video/mp4", "mov": "video/quicktime",
        "mpeg": "video/mpeg", "mpg": "video/mpeg", "webm": "video/webm", "avi": "video/x-msvideo",
    }
)  # fmt: skip
_OWN_FILES: Final = re.compile(r"^https://generativelanguage\.googleapis\.com/[^/]+/files/")
_PLAIN: Final = re.compile(r"^[A-Za-z0-9+/]*={0,2}$")


def read_blob(blob: Blob, path: str, resolution: MediaResolution | None = None) -> Image | Audio | Document:
    """Raises InvalidRequest that names ``path``."""
    media_type = present(blob.mimeType)
    data = present(blob.data)
    if not media_type:
        raise InvalidRequest(f"The field '{path}.mimeType' is required.", param=f"{path}.mimeType")
    if data is None:
        raise InvalidRequest(f"The field '{path}.data' is required.", param=f"{path}.data")
    media_type = _FROM_VENDOR.get(media_type.lower(), media_type)
    source = Base64Source(media_type=media_type, data=standard(data, f"{path}.data"))
    return _part(source, media_type, present(blob.displayName), resolution)


def read_file(file: FileData, path: str, resolution: MediaResolution | None = None) -> Image | Audio | Document:
    uri = present(file.fileUri)
    if not uri:
        raise InvalidRequest(f"The field '{path}.fileUri' is required.", param=f"{path}.fileUri")
    on_the_web = uri.startswith(("http://", "https://")) and not _OWN_FILES.match(uri)
    said = present(file.mimeType) or None
    source: Source = UrlSource(url=uri, media_type=said) if on_the_web else FileSource(file_id=uri, media_type=said)
    return _part(source, said or _guessed(uri) or "", present(file.displayName), resolution)


def write_media(part: Image | Audio | Document) -> Part:
    """The part for a picture, sound or file that is bytes or an address. Raises InvalidRequest for a mere text."""
    match part.source:
        case Base64Source(media_type=media_type, data=data):
            return Part(inlineData=Blob(mimeType=_TO_VENDOR.get(media_type, media_type), data=data))
        case UrlSource(url=address, media_type=said) | FileSource(file_id=address, media_type=said):
            media_type = said or _guessed(address) or ""
            if isinstance(part, Image) and not media_type.startswith("image/"):
                media_type = (
                    "image/jpeg"  # the vendor looks at the bytes; it only wants to be told that it is a picture
                )
            elif isinstance(part, Audio) and not media_type.startswith("audio/"):
                media_type = "audio/wav"
            file = FileData(fileUri=address)
            if media_type:
                file.mimeType = media_type
            return Part(fileData=file)
        case TextSource(text=text):
            if not isinstance(part, Document):
                raise InvalidRequest("A text is neither a picture nor sound.", param="messages")
            return Part(text="\n".join(piece for piece in (part.title, part.context, text) if piece))


def describe(part: Part, detail: str | None) -> bool:
    """Say in ``part`` how closely its picture is to be looked at. False where there is no word for it."""
    level = _DETAILS.get(detail or "")
    if level is not None:
        part.mediaResolution = MediaResolution(level=level)
    return level is not None or detail in {None, "auto"}


def standard(data: str, path: str = "data") -> str:
    """Base64 in the standard alphabet with padding. Raises InvalidRequest for what is none."""
    if "-" in data or "_" in data:
        data = data.replace("-", "+").replace("_", "/")
    if any(blank in data for blank in "\n\r\t "):
        data = "".join(data.split())
    data = data.rstrip("=")
    if len(data) % 4 == 1 or not _PLAIN.match(data):
        raise InvalidRequest(f"The field '{path}' is not valid base64.", param=path, code="invalid_value")
    return data + "=" * (-len(data) % 4)


def _part(
    source: Source, media_type: str, title: str | None, resolution: MediaResolution | None
) -> Image | Audio | Document:
    if media_type.startswith("image/"):
        level = present(resolution.level) if resolution else None
        return Image(source=source, detail=_LEVELS.get(level or ""))
    if media_type.startswith("audio/"):
        return Audio(source=source)
    return Document(source=source, title=title or None)


def _guessed(address: str) -> str | None:
    """The media type that an address's ending speaks of."""
    path = urlsplit(address).path if "://" in address else address
    return _ENDINGS.get(path.rpartition(".")[2].lower())
