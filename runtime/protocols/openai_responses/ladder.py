"""The events of each kind of item, rung by rung: its pieces as they come, and what ends them."""

from __future__ import annotations

from typing import Final

from runtime.canonical import Delta
from runtime.protocols.openai_responses.growing import CallItem, Item, Part, ThinkingItem, logprobs_for
from runtime.protocols.openai_responses.wire import encode

__all__ = ["Ladder"]

_SUMMARY: Final = b'"summary_index":0'
_CONTENT: Final = b'"content_index":0'


class Ladder:
    """Numbers the events of one stream. ``chars`` is how long its text is so far: citations count from there."""

    def __init__(self) -> None:
        self.chars = 0
        self._number = 0

    def say(self, out: list[bytes], name: bytes, rest: bytes) -> None:
        out.append(
            b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (name, name, self._number, rest)
        )  # fmt: skip
        self._number += 1

    def speak(self, item: Item, part: Part, text: str, logprobs: str | None, out: list[bytes]) -> None:
        if not text and logprobs is None:
            return
        part.pieces.append(text)
        place = b'%b,"content_index":%d,"delta":%b' % (item.head, part.place, encode(text))
        if part.refusal:
            self.say(out, b"response.refusal.delta", place)
            return
        self.chars += len(text)
        tokens = logprobs_for(logprobs) if logprobs is not None else []
        part.logprobs += tokens
        self.say(out, b"response.output_text.delta", b'%b,"logprobs":[%b]' % (place, b",".join(tokens)))

    def cite(self, item: Item, part: Part, delta: Delta, out: list[bytes]) -> None:
        if delta.citation is None or part.refusal:
            return
        note = part.cite(delta.citation)
        if note is not None:
            at = (item.head, part.place, len(part.annotations) - 1, note)
            rest = b'%b,"content_index":%d,"annotation_index":%d,"annotation":%b' % at
            self.say(out, b"response.output_text.annotation.added", rest)

    def think(self, item: Item, text: str, out: list[bytes]) -> None:
        if not text or not isinstance(item, ThinkingItem):
            return
        place = _CONTENT if item.outright else _SUMMARY
        if not item.pieces:
            self.say(out, *self._thought(item, b"added", b""))
        item.pieces.append(text)
        name = b"response.reasoning_text.delta" if item.outright else b"response.reasoning_summary_text.delta"
        self.say(out, name, b'%b,%b,"delta":%b' % (item.head, place, encode(text)))

    def _thought(self, item: ThinkingItem, step: bytes, text: bytes) -> tuple[bytes, bytes]:
        """The event that begins or ends a piece of thinking; ``text`` is JSON's, "" for none."""
        kind = b"reasoning_text" if item.outright else b"summary_text"
        name = b"response.content_part." if item.outright else b"response.reasoning_summary_part."
        place = _CONTENT if item.outright else _SUMMARY
        return name + step, b'%b,%b,"part":{"type":"%b","text":%b}' % (item.head, place, kind, text or b'""')

    def call(self, item: Item, text: str, out: list[bytes]) -> None:
        if not text or not isinstance(item, CallItem):
            return
        item.pieces.append(text)
        self.say(out, _arguments(item, b"delta"), b'%b,"delta":%b' % (item.head, encode(text)))

    def end_words(self, item: Item, part: Part, out: list[bytes]) -> None:
        place = b'%b,"content_index":%d' % (item.head, part.place)
        text = encode("".join(part.pieces))
        if part.refusal:
            self.say(out, b"response.refusal.done", b'%b,"refusal":%b' % (place, text))
        else:
            rest = b'%b,"text":%b,"logprobs":[%b]' % (place, text, b",".join(part.logprobs))
            self.say(out, b"response.output_text.done", rest)
        self.say(out, b"response.content_part.done", b'%b,"part":%b' % (place, part.written()))

    def end_thinking(self, item: ThinkingItem, out: list[bytes]) -> None:
        if not item.pieces:
            return
        text = encode("".join(item.pieces))
        place = _CONTENT if item.outright else _SUMMARY
        name = b"response.reasoning_text.done" if item.outright else b"response.reasoning_summary_text.done"
        self.say(out, name, b'%b,%b,"text":%b' % (item.head, place, text))
        self.say(out, *self._thought(item, b"done", text))

    def end_call(self, item: CallItem, out: list[bytes]) -> None:
        """No arguments are an empty object: clients read them as JSON."""
        words = "".join(item.pieces)
        if not words and item.kind == "function_call":
            words = "{}"
            item.pieces.append(words)
            self.say(out, _arguments(item, b"delta"), b'%b,"delta":%b' % (item.head, encode(words)))
        field = b"arguments" if item.kind == "function_call" else b"input"
        self.say(out, _arguments(item, b"done"), b'%b,"%b":%b' % (item.head, field, encode(words)))


def _arguments(item: CallItem, step: bytes) -> bytes:
    name = b"function_call_arguments" if item.kind == "function_call" else b"custom_tool_call_input"
    return b"response.%b.%b" % (name, step)
