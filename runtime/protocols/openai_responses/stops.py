"""Stop strings for a protocol that has none: the text is cut where one is met, as it streams."""

from __future__ import annotations

__all__ = ["Stopper"]


class Stopper:
    """One text. What may be the beginning of a stop string is held back until it is known to be none."""

    __slots__ = ("_held", "_longest", "_stops", "met")

    def __init__(self, stops: tuple[str, ...]) -> None:
        self._stops = tuple(stop for stop in stops if stop)
        self._longest = max(map(len, self._stops), default=0)
        self._held = ""
        self.met: str | None = None

    def add(self, text: str) -> str:
        """What of ``text``, and of what was held back, may be said now; nothing once a stop string was met."""
        if not self._stops:
            return text
        if self.met is not None:
            return ""
        text = self._held + text
        self._held = ""
        found = [(at, stop) for stop in self._stops if (at := text.find(stop)) >= 0]
        if found:
            at, self.met = min(found, key=lambda place: (place[0], -len(place[1])))
            return text[:at]
        keep = self._beginning(text)
        if keep:
            text, self._held = text[:-keep], text[-keep:]
        return text

    def rest(self) -> str:
        """What was held back, at the end of the text: no stop string after all."""
        held, self._held = self._held, ""
        return held

    def _beginning(self, text: str) -> int:
        """How many characters at the end of ``text`` begin a stop string."""
        for length in range(min(self._longest - 1, len(text)), 0, -1):
            if any(stop.startswith(text[-length:]) for stop in self._stops):
                return length
        return 0
