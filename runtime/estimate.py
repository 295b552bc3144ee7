"""How many input tokens a request has, when its provider cannot say: an estimate, and always marked as one.

Text is counted by `approximate`, or by an exact vocabulary that the caller gives. The rest follows published rules of
thumb: Anthropic's "Vision" page (an image costs width by height / 750 tokens, after scaling to 1568 pixels on its longer
side), and a few tokens of framing per message, tool and call.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
from collections import OrderedDict
from collections.abc import Callable, Iterable
from hashlib import blake2b
from typing import Final

from runtime.canonical import (
    Audio,
    Base64Source,
    Document,
    Image,
    Native,
    Part,
    Reasoning,
    Refusal,
    Request,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolResult,
)  # fmt: skip
from runtime.errors import ConfigError

__all__ = ["Estimator", "approximate", "image_size", "o200k"]

MESSAGE_TOKENS: Final = 4
TOOL_TOKENS: Final = 12
CALL_TOKENS: Final = 8
IMAGE_TOKENS: Final = 1568
"""An image whose size cannot be read: one of about a megapixel."""
BYTES_PER_DOCUMENT_TOKEN: Final = 12
BYTES_PER_AUDIO_TOKEN: Final = 1_600
LONG_TEXT: Final = 512
KEPT_COUNTS: Final = 4096


class Estimator:
    """Counts all that a request sends: every part of every message, and the tools."""

    def __init__(self, count_text: Callable[[str], int] | None = None) -> None:
        self._count_text = _remembering(count_text if count_text is not None else approximate)

    def count(self, request: Request) -> int:
        """Input tokens of ``request``."""
        total = sum(self._tool(tool) for tool in request.tools)
        for message in request.messages:
            total += MESSAGE_TOKENS + self._parts(message.content)
        return total

    def _parts(self, parts: Iterable[Part]) -> int:
        return sum(self._part(part) for part in parts)

    def _part(self, part: Part) -> int:
        match part:
            case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
                return self._count_text(text)
            case ToolCall(name=name, arguments=arguments):
                return CALL_TOKENS + self._count_text(name) + self._count_text(arguments)
            case ToolResult(content=content):
                return CALL_TOKENS + self._parts(content)
            case Native(json=json):
                return self._count_text(json)
            case Image():
                return _image_tokens(part)
            case Document(source=TextSource(text=text)):
                return self._count_text(text)
            case Document(source=Base64Source(data=data)):
                return len(data) * 3 // 4 // BYTES_PER_DOCUMENT_TOKEN
            case Audio(source=Base64Source(data=data)):
                return len(data) * 3 // 4 // BYTES_PER_AUDIO_TOKEN
            case Document() | Audio():
                return IMAGE_TOKENS

    def _tool(self, tool: Tool) -> int:
        texts = (tool.name, tool.description, tool.parameters, tool.format, tool.native)
        return TOOL_TOKENS + sum(self._count_text(text) for text in texts if text)


def _remembering(count: Callable[[str], int]) -> Callable[[str], int]:
    """``count``, that does not count a long text again: a conversation is sent with all that was said before.

    Of a text only its digest is kept.
    """
    known: OrderedDict[bytes, int] = OrderedDict()

    def remembered(text: str) -> int:
        if len(text) < LONG_TEXT:
            return count(text)
        key = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        found = known.get(key)
        if found is None:
            found = known[key] = count(text)
            if len(known) > KEPT_COUNTS:
                known.popitem(last=False)
        else:
            known.move_to_end(key)
        return found

    return remembered


_PIECE = re.compile(
    r"""(?P<word>[A-Za-z]+) | (?P<digits>[0-9]{1,3}) | (?P<latin>[\u00C0-\u024F]) | (?P<cyrillic>[\u0370-\u04FF]+)
      | (?P<semitic>[\u0590-\u08FF]+) | (?P<kana>[\u3040-\u30FF]) | (?P<han>[\u3400-\u9FFF]) | (?P<hangul>[\uAC00-\uD7AF])
      | (?P<breaks>\n+) | (?P<gap>[^\S\n]{2,}) | (?P<marks>[!-/:-@\[-`{-~]+) | (?P<other>[^\s])
    """,
    re.VERBOSE,
)
_TOKENS: Final[dict[str, Callable[[int], float]]] = {
    "word": lambda length: 1 if length <= 7 else 1 + (length - 7) / 5,
    "digits": lambda _: 1,
    "latin": lambda _: 0.6,
    "cyrillic": lambda length: max(1, length / 3.4),
    "semitic": lambda length: max(1, length / 2.8),
    "kana": lambda _: 0.65,
    "han": lambda _: 0.75,
    "hangul": lambda _: 0.9,
    "breaks": lambda _: 0.9,
    "gap": lambda _: 0.7,
    "marks": lambda length: 0.85 if length == 1 else 0.5 + length / 4,
    "other": lambda _: 2.2,
}
_WORDS: Final = re.compile(r"[A-Za-z]+")
_LONG_WORDS: Final = re.compile(r"[A-Za-z]{8,}")
_DIGITS: Final = re.compile(r"[0-9]{1,3}")
_MARKS: Final = re.compile(r"[!-/:-@\[-`{-~]+")
_BREAKS: Final = re.compile(r"\n+")
_GAPS: Final = re.compile(r"[^\S\n]{2,}")
_CONTROLS: Final = re.compile(r"[^\s!-~]")


def approximate(text: str) -> int:
    """Tokens of ``text`` by the shape of its pieces; within about a quarter of the o200k vocabulary on common scripts."""
    if text.isascii():
        total = _plain(text)
    else:
        total = sum(_TOKENS[piece.lastgroup or "other"](len(piece.group())) for piece in _PIECE.finditer(text))
    return round(total) or (1 if text else 0)


def _plain(text: str) -> float:
    """The same sum, class by class: most text is ASCII, and nine tenths of the time went into looking at piece after piece."""
    marks = [len(each) for each in _MARKS.findall(text)]
    return (
        len(_WORDS.findall(text))
        + sum(len(each) - 7 for each in _LONG_WORDS.findall(text)) / 5
        + len(_DIGITS.findall(text))
        + len(marks) * 0.5
        + sum(marks) / 4
        + marks.count(1) * 0.1
        + len(_BREAKS.findall(text)) * 0.9
        + len(_GAPS.findall(text)) * 0.7
        + len(_CONTROLS.findall(text)) * 2.2
    )


def o200k() -> Callable[[str], int]:
    """Counts by the o200k vocabulary. Raises ConfigError when the extra that carries it is not installed."""
    try:
        from bpe_openai import get_encoding
    except ImportError as error:
        raise ConfigError(
            "`requests.tokenizer: o200k` needs the extra `tokenizer`: pip install gatewright[tokenizer]"
        ) from error
    encode = get_encoding("o200k_base").encode_ordinary
    return lambda text: len(encode(text))


def _image_tokens(image: Image) -> int:
    if not isinstance(image.source, Base64Source):
        return IMAGE_TOKENS
    try:
        head = base64.b64decode(image.source.data[: 1 << 16], validate=False)
    except binascii.Error:
        return IMAGE_TOKENS
    size = image_size(head)
    if size is None:
        return IMAGE_TOKENS
    width, height = size
    scale = min(1.0, 1568 / max(width, height, 1))
    return max(1, round(width * scale * height * scale / 750))


def image_size(head: bytes) -> tuple[int, int] | None:
    """Width and height in pixels, from the first bytes of a PNG, GIF, JPEG or WebP file; None when they do not tell."""
    if head.startswith(b"\x89PNG\r\n\x1a\n") and len(head) >= 24:
        width, height = struct.unpack(">II", head[16:24])
        return width, height
    if head.startswith((b"GIF87a", b"GIF89a")) and len(head) >= 10:
        width, height = struct.unpack("<HH", head[6:10])
        return width, height
    if head.startswith(b"RIFF") and head[8:16] == b"WEBPVP8X" and len(head) >= 30:
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    return _jpeg_size(head) if head.startswith(b"\xff\xd8") else None


def _jpeg_size(head: bytes) -> tuple[int, int] | None:
    """Walk the segments to the frame header (ITU-T T.81, B.2.2)."""
    at = 2
    while at + 9 < len(head) and head[at] == 0xFF:
        marker, length = head[at + 1], int.from_bytes(head[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", head[at + 5 : at + 9])
            return width, height
        at += 2 + length
    return None
