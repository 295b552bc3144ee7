"""A streamed answer: its first bytes, up to which everything may be tried again, and the rest.

What breaks in the rest, and be it by a fault of ours, ends with the dialect's error event, unless the answer can be rescued: then another target is heard
where the last one left off, and the client's bytes go on.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine
from typing import Final, TypeAlias

import msgspec
from typing_extensions import override

from runtime.accounting.received import Received
from runtime.canonical import Usage
from runtime.errors import GatewayError, UpstreamError, UpstreamTimeout
from runtime.limits.admission import LimitReached
from runtime.protocols.relay import Relay
from runtime.rescue import DivergedError
from runtime.resilience import Door
from runtime.routing import Attempt
from runtime.telemetry import CallRecord, Recorder
from runtime.telemetry.call import Held
from runtime.upstream.types import UpstreamResponse
from runtime.web.patience import within

__all__ = ["Flow", "Offer", "Rescue", "Speaker", "StreamedAnswer"]

DIVERGED: Final = "diverged"
_SAID: Final = re.compile(rb"^[^:\n]", re.MULTILINE)


class Speaker(msgspec.Struct, frozen=True):
    """Who is heard: one attempt's answer. ``first_token_ms`` is how long it may take to begin, from now on."""

    attempt: Attempt
    response: UpstreamResponse
    relay: Relay
    first_token_ms: int


Rescue: TypeAlias = Callable[[GatewayError, Usage | None], Awaitable[Speaker]]
"""Who goes on after an answer broke off with that error, having taken that. Raises the error when nobody does."""


Offer: TypeAlias = Callable[[bytes], bytes | None]
"""Sends a piece at once: None where that is done, else what is to be sent by who can wait, perhaps nothing but the waiting."""


class Flow(AsyncGenerator[bytes, None]):
    """The client's bytes. Whoever sends them one by one may say how that is done `at_once`, and is given the others only."""

    def __init__(self, rest: AsyncGenerator[bytes, None], answer: StreamedAnswer) -> None:
        self._rest = rest
        self._answer = answer

    def at_once(self, offer: Offer) -> None:
        self._answer.goes_out(offer)

    @override
    def __anext__(self) -> Coroutine[object, object, bytes]:
        return self._rest.__anext__()

    @override
    def asend(self, value: None) -> Coroutine[object, object, bytes]:
        return self._rest.asend(value)

    @override
    def athrow(self, *thrown: object) -> Coroutine[object, object, bytes]:
        return self._rest.athrow(*thrown)  # type: ignore[call-overload,no-any-return]

    @override
    def aclose(self) -> Coroutine[object, object, None]:
        return self._rest.aclose()


class StreamedAnswer:
    """One answer on its way. Of ``hold_bytes`` nothing is handed out before it is complete, or more than that."""

    def __init__(
        self,
        speaker: Speaker,
        record: CallRecord,
        recorder: Recorder,
        door: Door,
        hold_bytes: int = 0,
        rescue: Rescue | None = None,
    ) -> None:
        self._record = record
        self._recorder = recorder
        self._door = door
        self._hold_bytes = hold_bytes
        self._rescue = rescue
        self._before: Usage | None = None
        self._broke: GatewayError | None = None
        self._noted = False
        self._left = b""
        self._offer: Offer | None = None
        self._hear(speaker)

    async def open(self) -> Flow:
        """Read up to the first bytes for the client, so that an upstream that fails at once still gives a status.

        While another target could be asked, up to the first piece of the answer: what a provider says before it may be
        all that ever comes. Whoever gets the generator must close it.
        """
        head = bytearray()
        while not self._ended and self._withholds(head):
            head += await self._piece()
        self._attempt.answered()
        self._attempt.held = True
        rest = self._rest(bytes(head))
        await anext(rest)  # inside its `try`, so that closing it lets the upstream go even when nothing was read
        return Flow(rest, self)

    def goes_out(self, offer: Offer) -> None:
        """Whoever reads the rest sends it so."""
        self._offer = offer
        self._heard = False  # is looked at again with the next read

    def _settle(self) -> None:
        """The provider said that its answer is whole: that is written down before the client can know it."""
        self._record.outcome = "ok"
        self._attempt.end(usage=self._relay.usage)
        self._recorder.settle(self._record)

    def _failed(self, error: GatewayError, *, at_fault: bool) -> bytes:
        """Settle what broke off with ``error``; the last that its client is told. ``at_fault``: the provider is."""
        self._record.outcome, self._record.error = "error", error.kind
        if at_fault:
            self._attempt.end(error, self._relay.usage)
        else:
            self._attempt.abandon(usage=self._relay.usage)
        self._recorder.settle(self._record)
        return self._relay.fail(error)

    async def _rest(self, head: bytes) -> AsyncGenerator[bytes, None]:
        """The client's bytes. Whatever ends it, the upstream is let go and the usage that was reported is kept."""
        record = self._record
        try:
            yield b""
            self._note()
            if self._relay.finished:
                self._settle()
            yield head
            while not self._ended:
                try:
                    data = await self._piece()
                except GatewayError as error:
                    await self._go_on(error)
                    continue
                self._note()
                if (held := record.held) is not None and held.due(self._received.came_bytes):
                    await self._keep_within(held)
                if data and not record.settled and self._relay.finished:
                    if ahead := self._relay.ahead:  # says nothing of the end, so it need not wait for its turn
                        yield data[:ahead]
                        data = data[ahead:]
                    await self._door.turns.take()
                    self._settle()
                if data or self._offer is not None:
                    yield data
            self._settle()
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                raise
            yield self._left + self._failed(farewell, at_fault=False)  # what could not go straight, and was not fetched
        except Exception as fault:  # noqa: BLE001 — told, and logged where it is ours
            told = self._recorder.told(record, fault)
            yield self._failed(told, at_fault=told is fault and not isinstance(fault, LimitReached))
        finally:
            record.usage = _sum(self._before, self._relay.usage)
            self._attempt.abandon(usage=self._relay.usage)  # no event where it was ended above
            await self._response.aclose()

    async def _keep_within(self, held: Held) -> None:
        """Raises LimitReached where the answer has taken all that its limits allow."""
        if not self._relay.finished:
            before = 0 if self._before is None else self._before.output
            await held.grow(before + self._received.tokens(), self._received.came_bytes)

    def _hear(self, speaker: Speaker) -> None:
        self._attempt = speaker.attempt
        self._relay = speaker.relay
        self._response = speaker.response
        self._chunks = speaker.response.chunks()
        self._received = Received(speaker.attempt.candidate.protocol)
        speaker.attempt.record.received = self._received
        patience_ms = min(speaker.first_token_ms, speaker.attempt.patience_ms())
        self._deadline = asyncio.get_running_loop().time() + patience_ms / 1000
        self._ended = False
        self._heard = False

    async def _go_on(self, error: GatewayError) -> None:
        """Hear somebody else after ``error``, which is raised when nobody goes on."""
        if self._rescue is None:
            raise error
        took = self._relay.usage
        self._attempt.end(error, took)
        await self._response.aclose()
        speaker = await self._rescue(error, took)
        self._before = _sum(self._before, took)
        self._broke = error
        self._hear(speaker)

    def _withholds(self, head: bytearray) -> bool:
        """Whether ``head`` shall not go out yet."""
        if len(head) < self._hold_bytes or (self._attempt.more and not self._begun):
            return True
        return _says_nothing(head)

    @property
    def _begun(self) -> bool:
        return self._relay.started or self._relay.complete

    async def _piece(self) -> bytes:
        """What the next read gives the client, perhaps nothing yet; the last bytes at the end."""
        try:
            chunk = await self._next()
        except StopAsyncIteration:
            chunk = None
        except UpstreamError:
            if not self._relay.may_end:
                raise
            chunk = None  # the answer is whole: what breaks behind it takes nothing back
        if chunk == b"":  # it went straight
            left, self._left = self._left, b""
            return left
        return self._given(chunk)

    def _straight(self, chunk: bytes) -> bool:
        """What ``chunk`` gives goes out at once; False where `_rest`, which waits for the next, has to do something first."""
        data = self._given(chunk)
        held, offer = self._record.held, self._offer
        if offer is None or self._relay.finished or (held is not None and held.due(self._received.came_bytes)):
            self._left = data
            return False
        left = offer(data)
        if left is None:
            return True
        self._left = left
        return False

    def _given(self, chunk: bytes | None) -> bytes:
        """What ``chunk`` gives the client, perhaps nothing yet; the last bytes where there is none."""
        try:
            if chunk is None:
                self._ended = True
                return self._relay.close()
            self._received.note(chunk)
            return self._relay.feed(chunk)
        except DivergedError as diverged:
            self._attempt.abandon(DIVERGED, self._relay.usage)
            self._rescue = None
            assert self._broke is not None, "only who goes on can go another way"
            raise self._broke from diverged

    def _next(self) -> Awaitable[bytes]:
        """The next read. Raises StopAsyncIteration at the end."""
        if not self._heard:
            if not self._relay.started:
                return self._first()
            self._heard = True
            if self._offer is not None:
                self._response.go_straight(self._straight)
        return self._chunks.__anext__()

    async def _first(self) -> bytes:
        """A read before the answer has begun, for which the first-token limit holds."""
        left_s = self._deadline - asyncio.get_running_loop().time()
        try:
            return await within(left_s, self._chunks.__anext__())
        except TimeoutError as error:
            raise UpstreamTimeout("the provider sent no first token in time") from error

    def _note(self) -> None:
        if not self._noted and self._relay.started:
            self._noted = True
            self._recorder.first_token(self._record)


def _says_nothing(head: bytearray) -> bool:
    """Whether only comments came, with which a provider keeps a line open before it knows how the answer will go."""
    return _SAID.search(head) is None


def _sum(before: Usage | None, usage: Usage | None) -> Usage | None:
    return usage if before is None else before if usage is None else before + usage
