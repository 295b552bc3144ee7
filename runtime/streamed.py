"""A streamed answer: its first bytes, up to which everything may be tried again, and the rest, for which nothing is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

from runtime.errors import GatewayError, UpstreamTimeout
from runtime.protocols.relay import Relay
from runtime.resilience import Door
from runtime.routing import Attempt
from runtime.telemetry import CallRecord, Recorder
from runtime.upstream.types import UpstreamResponse

__all__ = ["StreamedAnswer"]


class StreamedAnswer:
    """One answer on its way. ``first_token_ms`` is how long it may take to begin, from now on."""

    def __init__(
        self,
        attempt: Attempt,
        record: CallRecord,
        response: UpstreamResponse,
        relay: Relay,
        recorder: Recorder,
        door: Door,
        first_token_ms: int,
    ) -> None:
        self._attempt = attempt
        self._record = record
        self._response = response
        self._relay = relay
        self._recorder = recorder
        self._door = door
        self._chunks = response.chunks()
        self._deadline = asyncio.get_running_loop().time() + min(first_token_ms, attempt.patience_ms()) / 1000
        self._ended = False

    async def open(self) -> AsyncGenerator[bytes, None]:
        """Read up to the first bytes for the client, so that an upstream that fails at once still gives a status.

        While another target could be asked, up to the first piece of the answer: what a provider says before it may be
        all that ever comes. Whoever gets the generator must close it.
        """
        head = b""
        while not self._ended and (_says_nothing(head) or (self._attempt.more and not self._begun)):
            head += await self._read()
        self._attempt.answered()
        self._attempt.held = True
        rest = self._rest(head)
        await anext(rest)  # inside its `try`, so that closing it lets the upstream go even when nothing was read
        return rest

    async def _rest(self, head: bytes) -> AsyncGenerator[bytes, None]:
        """The client's bytes. Whatever ends it, the upstream is let go and the usage that was reported is kept."""
        record, relay, attempt = self._record, self._relay, self._attempt
        try:
            yield b""
            self._note()
            yield head
            while not self._ended:
                data = await self._read()
                self._note()
                if data:
                    yield data
            record.outcome = "ok"
            attempt.end(usage=relay.usage)
        except GatewayError as error:
            record.outcome, record.error = "error", error.kind
            attempt.end(error, relay.usage)
            yield relay.fail(error)
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                raise
            record.outcome, record.error = "error", farewell.kind
            yield relay.fail(farewell)
        finally:
            record.usage = relay.usage
            attempt.abandon(usage=relay.usage)  # no event where it was ended above
            await self._response.aclose()

    @property
    def _begun(self) -> bool:
        return self._relay.started or self._relay.complete

    async def _read(self) -> bytes:
        """What the next read gives the client, perhaps nothing yet; the last bytes at the end."""
        chunk = await self._next()
        if chunk is not None:
            return self._relay.feed(chunk)
        self._ended = True
        return self._relay.close()

    async def _next(self) -> bytes | None:
        """The next read, None at the end. Until the answer has begun, the first-token limit holds."""
        if self._relay.started:
            return await anext(self._chunks, None)
        try:
            async with asyncio.timeout_at(self._deadline):
                return await anext(self._chunks, None)
        except TimeoutError as error:
            raise UpstreamTimeout("the provider sent no first token in time") from error

    def _note(self) -> None:
        if self._relay.started:
            self._recorder.first_token(self._record)


def _says_nothing(head: bytes) -> bool:
    """Whether only comments came, with which a provider keeps a line open before it knows how the answer will go."""
    return all(not line or line.startswith(b":") for line in head.split(b"\n"))
