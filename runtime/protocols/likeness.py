"""A stream's events that are like one before but for their words: those are read, and nothing else is.

Nearly all events of an answer are. What stands around the words is learned from one that was read whole; it is the same, byte
for byte, in those that are told so, so that they mean the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

import msgspec

from runtime.protocols.framing import LF

__all__ = ["Likeness"]

_WORDS: Final = msgspec.json.Decoder(str)
_PROBE: Final = b"\\u0001 other words"
_PROBED: Final = "\u0001 other words"
_TRIES: Final = 3
"""So often what was learned may have been of no use; then nothing is learned any more."""


class Likeness:
    """What stands around the words, of one stream. An event here is its lines, without the blank one.

    ``known``: something is. ``learns``: something may still be learned.
    """

    __slots__ = ("_begins", "_ends", "_head", "_tail", "_useless", "known", "learns")

    def __init__(self) -> None:
        self._head: bytes
        self._tail: bytes
        self._useless = 0
        self.learns = True
        self.forget()

    def forget(self) -> None:
        """Nothing is like anything from now on."""
        self.known = False
        self._head, self._tail = b"", b"\n\n"  # an event does not hold its own end
        self._begins, self._ends = 0, 2

    def words(self, event: bytes) -> str | None:
        """The words of ``event``; None for one that is not known to be like the other, or whose words are not sound.

        Sound JSON has no line's end within quotes, so that the event is one line, as the other was.
        """
        begins, ends = self._begins, self._ends
        if event[:begins] != self._head or event[-ends:] != self._tail:
            return None
        try:
            words = _WORDS.decode(event[begins - 1 : 1 - ends])
        except (msgspec.DecodeError, UnicodeDecodeError):
            return None
        self._useless = 0
        return words

    def learn(self, front: bytes, data: bytes, member: bytes, read: Callable[[bytes], str | None]) -> None:
        """Keep what stands around the value of ``member`` in an event of one line of ``data``, behind ``front``.

        ``read`` gives the words of such data, None where it has others or says more: other words show which value they are.
        """
        found = re.search(rb'"%b": ?"' % member, data)
        begins = found.end() if found else 0
        ends = _end_of_text(data, begins)
        head, tail = front + data[:begins], data[ends:]
        if self.known and head == self._head and tail == self._tail:
            return
        self.forget()
        self.learns = self._useless < _TRIES
        if not self.learns or found is None or ends < 0 or LF in data:
            return
        self._useless += 1
        if _read_as(read, b"%b%b%b" % (data[:begins], _PROBE, data[ends:])) == _PROBED:
            self._head, self._tail = head, tail
            self._begins, self._ends = len(head), len(tail)
            self.known = True


def _read_as(read: Callable[[bytes], str | None], data: bytes) -> str | None:
    try:
        return read(data)
    except msgspec.DecodeError:
        return None


def _end_of_text(data: bytes, start: int) -> int:
    """Where the quote is that ends the text from ``start`` on; -1 where none does."""
    end = data.find(b'"', start)
    while end > 0 and (end - len(data[:end].rstrip(b"\\"))) % 2:
        end = data.find(b'"', end + 1)
    return end
