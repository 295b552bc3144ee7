"""One answer as one client is told it, whoever says it: what was told is remembered, and somebody else can go on."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from typing_extensions import override

from runtime.canonical import Event, Usage, UsageReported
from runtime.errors import GatewayError
from runtime.protocols.base import StreamEncoder
from runtime.rescue.retelling import Retelling
from runtime.rescue.told import Told

__all__ = ["Telling"]


class Telling(StreamEncoder):
    """Stands before the client's encoder. Usage is the sum of all who spoke, as each reported it."""

    def __init__(self, encoder: StreamEncoder) -> None:
        self.content_type = encoder.content_type
        self.keep_alive = encoder.keep_alive
        self.told = Told()
        self._encoder = encoder
        self._retelling: Retelling | None = None
        self._before = Usage()

    @property
    def may_go_on(self) -> bool:
        """Whether an answer that broke off here can be gone on with."""
        return not self.told.lost and not self.told.complete

    def spent(self, usage: Usage | None) -> None:
        """Whoever spoke last took that."""
        if usage is not None:
            self._before += usage

    def again(self, prefilled: str | None) -> None:
        """Somebody else speaks now, having been given ``prefilled`` to go on from."""
        self._retelling = Retelling(self.told, prefilled)

    @override
    def feed(self, events: Sequence[Event]) -> bytes:
        """Raises DivergedError when the new answer contradicts what was told."""
        if self._retelling is None:
            self.told.note(events)
            return self._encoder.feed(events)
        said = [self._summed(event) for event in self._retelling.feed(events)]
        return self._encoder.feed(said) if said else b""

    @override
    def fail(self, error: GatewayError) -> bytes:
        return self._encoder.fail(error)

    def _summed(self, event: Event) -> Event:
        if not isinstance(event, UsageReported):
            return event
        return msgspec.structs.replace(event, usage=self._before + event.usage)
