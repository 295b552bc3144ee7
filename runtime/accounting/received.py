"""What came of an answer, for the case that its provider never says how many tokens that was.

Costs next to nothing while the answer comes: the last pieces are kept as they are, and looked into only when nothing better
is known. Of a long answer they stand for all of it.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Final

import msgspec

from runtime.estimate import approximate

__all__ = ["Received"]

WINDOW_BYTES: Final = 16 << 10

_TEXT = rb'":\s*("(?:[^"\\]|\\.)*")'
_OBJECT = rb'":\s*(\{[^\r\n]*?\})\s*[,}]'
_FIELDS: Final = {
    "openai_chat": rb'"(?:content|reasoning_content|reasoning|refusal|arguments)' + _TEXT,
    "openai_responses": rb'"(?:delta)' + _TEXT,
    "anthropic_messages": rb'"(?:text|thinking|partial_json)' + _TEXT + rb'|"input' + _OBJECT,
    "gemini": rb'"(?:text|stringValue)' + _TEXT + rb'|"args' + _OBJECT,
    "ollama_chat": rb'"(?:content|thinking)' + _TEXT + rb'|"arguments' + _OBJECT,
}
_STRINGS: Final = msgspec.json.Decoder(list[str])
_WHOLE_RESPONSE: Final = rb'"(?:text|refusal|arguments)' + _TEXT


class Received:
    """One attempt's answer, in the provider's own protocol. ``whole``: it is one JSON document, not a stream."""

    __slots__ = ("_bytes", "_held", "_held_bytes", "_protocol", "_whole")

    def __init__(self, protocol: str, whole: bytes | None = None) -> None:
        self._protocol = protocol
        self._whole = whole is not None
        self._held: deque[bytes] = deque() if whole is None else deque((whole,))
        self._held_bytes = self._bytes = 0 if whole is None else len(whole)

    @property
    def came_bytes(self) -> int:
        """How much came."""
        return self._bytes

    def note(self, data: bytes) -> None:
        """A piece of the stream."""
        size = len(data)
        self._bytes += size
        self._held_bytes += size
        self._held.append(data)
        while self._held_bytes > WINDOW_BYTES and len(self._held) > 1:
            self._held_bytes -= len(self._held.popleft())

    def tokens(self) -> int:
        """About how many the text that came has."""
        if not self._bytes:
            return 0
        pattern = _WHOLE_RESPONSE if self._whole and self._protocol == "openai_responses" else None
        pattern = pattern or _FIELDS.get(self._protocol, _FIELDS["openai_chat"])
        held = b"".join(self._held)
        text = _texts([match[match.lastindex or 0] for match in re.finditer(pattern, held)])
        return round(approximate(text) * self._bytes / self._held_bytes)


def _texts(pieces: list[bytes]) -> str:
    """Together: decoding them one by one takes longer than all the rest."""
    try:
        return "".join(_STRINGS.decode(b"[%b]" % b",".join(pieces)))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return "".join(map(_text, pieces))


def _text(json: bytes) -> str:
    if json[:1] != b'"':
        return json.decode("utf-8", "replace")
    try:
        return msgspec.json.decode(json, type=str)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return json.decode("utf-8", "replace")
