"""Results of functions: `functionResponse`, whose `response` must be an object, and canonical's parts.

The vendor reads `output` as the result and `error` as what went wrong. A text becomes one of the two, unless it is itself a
JSON object, which goes on as it is; a JSON list is the output, and what went wrong may be either. Reading undoes just that.
"""

from __future__ import annotations

from typing import Final

import msgspec

from generated.types.gemini import FunctionResponse, FunctionResponsePart, Part
from runtime.canonical import Audio, Document, Image, Native, Text, TextSource, ToolResult
from runtime.protocols.absent import present
from runtime.protocols.gemini.media import read_blob, read_file, write_media
from runtime.protocols.gemini.wire import Fields, raw_of, text_of

__all__ = ["read_result", "write_result"]

_ENVELOPES: Final = ("output", "result", "error")
_OBJECT: Final = msgspec.json.Decoder(Fields)
_LIST: Final = msgspec.json.Decoder(list[msgspec.Raw])
_TEXT: Final = msgspec.json.Decoder(str)

Content = Text | Image | Document | Native


def read_result(given: FunctionResponse, call_id: str, path: str) -> ToolResult:
    content: list[Content] = []
    text, is_error = _read(present(given.response))
    if text:
        content.append(Text(text=text))
    for index, part in enumerate(present(given.parts) or ()):
        place = f"{path}.parts[{index}]"
        blob, file = present(part.inlineData), present(part.fileData)
        found = read_blob(blob, place) if blob else read_file(file, place) if file else None
        if isinstance(found, Audio):
            found = Document(source=found.source)
        content += [found] if found else []
    return ToolResult(call_id=call_id, content=tuple(content), is_error=is_error, name=present(given.name))


def write_result(result: ToolResult, name: str, *, pictures_inside: bool) -> tuple[FunctionResponse, list[Part]]:
    """The result, and the parts that must stand behind it because the model does not take them inside."""
    texts: list[str] = []
    media: list[Part] = []
    for part in result.content:
        match part:
            case Text(text=text):
                texts.append(text)
            case Document(source=TextSource()):
                texts.append(present(write_media(part).text) or "")
            case Image() | Document():
                media.append(write_media(part))
            case Native():  # another protocol's block means nothing here
                continue
    wire = FunctionResponse(id=result.call_id, name=name, response=_write("\n".join(texts), result.is_error))
    if not media:
        return wire, []
    if pictures_inside and all(present(part.inlineData) or present(part.fileData) for part in media):
        wire.parts = [FunctionResponsePart(inlineData=part.inlineData, fileData=part.fileData) for part in media]
        return wire, []
    return wire, media


def _read(response: msgspec.Raw | None) -> tuple[str, bool | None]:
    if response is None:
        return "", None
    try:
        fields = _OBJECT.decode(response)
    except msgspec.ValidationError:  # no object: the vendor would refuse it, and nobody else needs to
        return text_of(response), None
    only = next(iter(fields)) if len(fields) == 1 else ""
    if only not in _ENVELOPES:
        return ("" if not fields else text_of(response)), None
    value, failed = fields[only], True if only == "error" else None
    begins = bytes(memoryview(value)[:1])
    if begins == b'"':
        return _TEXT.decode(value), failed
    if failed or (only == "output" and begins == b"["):
        return text_of(value), failed
    return text_of(response), None


def _write(text: str, is_error: bool | None) -> msgspec.Raw:
    key = "error" if is_error else "output"
    begins = text.lstrip()[:1]
    if begins == "{" and (fields := _fields(text)) is not None:
        if is_error:
            return _under(key, text)
        if fields and not _is_envelope(fields):
            return msgspec.Raw(text.encode("utf-8", "replace"))
    elif begins == "[" and _is_list(text):
        return _under(key, text)
    return raw_of({key: text})


def _under(key: str, text: str) -> msgspec.Raw:
    return msgspec.Raw(b'{"%b":%b}' % (key.encode(), text.encode("utf-8", "replace")))


def _fields(text: str) -> Fields | None:
    """The fields of a JSON object; None where ``text`` is none."""
    try:
        return _OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _is_envelope(fields: Fields) -> bool:
    """Whether an object would not be read as itself, but as the text, the list or the error that is in it."""
    only, value = next(iter(fields.items()))
    begins = bytes(memoryview(value)[:1])
    return len(fields) == 1 and (
        only == "error" or (only in _ENVELOPES and begins == b'"') or (only == "output" and begins == b"[")
    )


def _is_list(text: str) -> bool:
    try:
        _LIST.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return False
    return True
