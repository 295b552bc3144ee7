"""A request that comes twice with the same key is made once, whichever worker it comes to.

In one process a duplicate joins the first one's `Run` and gets its bytes as they come. Between processes the shared state
says who makes the answer: a claim with a short lease that is renewed while the work goes on, so that a worker that dies
gives it up; then the answer itself for as long as the window is. Where the shared state cannot be reached a request is
made without it: a duplicate costs less than a refusal.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, TypeVar

import msgspec

from generated.config import IdempotencySettings
from runtime.call import Call, Complete, EmbedCall, Streaming
from runtime.errors import Conflict, GatewayError, InvalidRequest
from runtime.replay.kept import Kept, Origin
from runtime.replay.run import Run
from runtime.resilience import Door
from runtime.shared import SharedError, SharedState

__all__ = ["Once"]

TOPIC: Final = "idempotency"
WAITING: Final = "idempotency.waiting"
LEASE_S: Final = 3.0
RENEW_S: Final = 1.0
POLL_S: Final = 0.05
WAITING_S: Final = 1.0
TELL_EVERY: Final = 8
FAILED_S: Final = 2.0
MAX_KEY: Final = 255
REPLAYED: Final = (("x-omniroute-idempotent", "true"),)

Made = TypeVar("Made", bound=Call | EmbedCall)


class State(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What is known of a key. ``stage``: `running`, `kept`, `long` (made, and too long to keep), `failed`."""

    stage: str
    fingerprint: bytes
    owner: str
    kept: Kept | None = None
    error: tuple[str, str, str | None, float | None, str | None] | None = None


class Once:
    """``now`` gives Unix seconds, ``total_s`` bounds the wait for another worker, ``on_fault`` hears of a failing shared state."""

    def __init__(
        self,
        settings: IdempotencySettings,
        total_s: float,
        shared: SharedState,
        door: Door,
        now: Callable[[], float],
        new_id: Callable[[], str],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self._settings = settings
        self._total_s = total_s
        self._shared = shared
        self._door = door
        self._now = now
        self._new_id = new_id
        self._on_fault = on_fault
        self._runs: dict[str, Run] = {}

    def configure(self, settings: IdempotencySettings, total_s: float) -> None:
        """From now on by other settings; answers under way are joined as before."""
        self._settings = settings
        self._total_s = total_s

    @property
    def running(self) -> int:
        """How many keys are being answered here now."""
        return len(self._runs)

    def concerns(self, headers: Mapping[str, str]) -> bool:
        """Whether a call with these headers says that it may be a repeated one; `infer` only asks for any other."""
        if not self._settings.window_ms:
            return False
        return "idempotency-key" in headers or (
            self._settings.request_ids == "deduplicate" and "x-request-id" in headers
        )

    async def infer(self, call: Made, ask: Callable[[Made], Awaitable[Complete | Streaming]]) -> Complete | Streaming:
        """``ask``'s answer to ``call``, or that to the request it repeats. Raises Conflict for a key that asked otherwise."""
        name = self._named(call)
        if name is None:
            return await ask(call)
        record = call.record
        key, fingerprint = _digest(call.key.id, record.protocol, record.operation, name).hex(), _print(call)
        run = self._runs.get(key)
        if run is None or run.over:
            run = self._runs[key] = self._start(call, partial(ask, call), key, fingerprint)
            return await run.follow(record)
        if run.fingerprint != fingerprint:
            raise _reused()
        _mark(call)
        reply = await run.follow(record)
        return reply if _is_marked(reply) else msgspec.structs.replace(reply, headers=(*reply.headers, *REPLAYED))

    def _named(self, call: Call | EmbedCall) -> str | None:
        if not self.concerns(call.headers):
            return None
        header, name = "idempotency-key", call.headers.get("idempotency-key")
        if name is None and self._settings.request_ids == "deduplicate":
            header, name = "x-request-id", call.headers.get("x-request-id")
        if name is not None and not 0 < len(name) <= MAX_KEY:
            raise InvalidRequest(
                f"{header} has {len(name)} characters; an idempotency key has 1 to {MAX_KEY}",
                param=header,
                code="invalid_idempotency_key",
            )
        return name

    def _start(
        self, call: Call | EmbedCall, ask: Callable[[], Awaitable[Complete | Streaming]], key: str, fingerprint: bytes
    ) -> Run:
        claim = _Claim(
            self._shared, key, fingerprint, self._new_id(), lambda error: self._on_fault(error, call.record.id)
        )

        async def obtain() -> Complete | Streaming:
            kept = await claim.take(self._total_s)
            if kept is None:
                return await ask()
            _mark(call)
            kept.origin.tell(call.record)
            return await kept.reply(REPLAYED)

        async def settle(reply: Complete | Streaming | None, body: bytes | None, fault: BaseException | None) -> None:
            try:
                await claim.settle(self._state(claim, call, reply, body, fault), self._settings.window_ms / 1000)
            finally:
                if self._runs.get(key) is run:
                    del self._runs[key]

        run = Run(call.record, fingerprint, obtain, settle, claim.wanted, self._door, self._settings.max_answer_bytes)
        return run

    def _state(
        self,
        claim: _Claim,
        call: Call | EmbedCall,
        reply: Complete | Streaming | None,
        body: bytes | None,
        fault: BaseException | None,
    ) -> State | None:
        """What is left behind; None for nothing, so that the next request with this key is made."""
        if isinstance(fault, GatewayError):
            told = (type(fault).__name__, fault.message, fault.param, fault.retry_after_s, fault.code)
            return State(stage="failed", fingerprint=claim.fingerprint, owner=claim.owner, error=told)
        if reply is None or fault is not None or call.record.outcome != "ok":
            return None
        if body is None:
            return State(stage="long", fingerprint=claim.fingerprint, owner=claim.owner)
        streamed = isinstance(reply, Streaming)
        kept = Kept(
            headers=reply.headers,
            body=body,
            streamed=streamed,
            content_type=reply.content_type if isinstance(reply, Streaming) else "",
            keep_alive=reply.keep_alive if isinstance(reply, Streaming) else None,
            made_s=self._now(),
            origin=Origin.of(call.record),
        )
        return State(stage="kept", fingerprint=claim.fingerprint, owner=claim.owner, kept=kept)


class _Claim:
    """One key as this worker holds it, or waits for it."""

    def __init__(
        self, shared: SharedState, key: str, fingerprint: bytes, owner: str, on_fault: Callable[[Exception], None]
    ) -> None:
        self.fingerprint = fingerprint
        self.owner = owner
        self._shared = shared
        self._key = key
        self._on_fault = on_fault
        self._mine = msgspec.msgpack.encode(State(stage="running", fingerprint=fingerprint, owner=owner))
        self._renewing: asyncio.Task[None] | None = None

    async def take(self, limit_s: float) -> Kept | None:
        """None once the key is ours; else the answer that another request got. Raises its error, or Conflict."""
        try:
            async with asyncio.timeout(limit_s):
                kept = await self._take()
        except TimeoutError:
            raise Conflict("a request with this idempotency key is still being answered", retry_after_s=1) from None
        except SharedError as error:
            self._on_fault(error)
            return None
        if kept is None:
            self._renewing = asyncio.create_task(self._renew())
        return kept

    async def _take(self) -> Kept | None:
        waited_for, polled = "", 0
        while True:
            found = await self._shared.claim(TOPIC, self._key, self._mine, LEASE_S)
            if found is None:
                return None
            state = msgspec.msgpack.decode(found, type=State)
            if state.stage == "failed":
                if state.owner == waited_for and state.error is not None:
                    raise _raised(state.error)
                if await self._shared.replace(TOPIC, self._key, found, self._mine, LEASE_S):
                    return None
                continue
            if state.fingerprint != self.fingerprint:
                raise _reused()
            if state.stage == "long":
                raise Conflict("a request with this idempotency key was answered, at too great a length to repeat")
            if state.kept is not None:
                return state.kept
            waited_for = state.owner
            if polled % TELL_EVERY == 0:
                await self._shared.put(WAITING, self._key, b"", WAITING_S)
            polled += 1
            await asyncio.sleep(POLL_S)

    async def wanted(self) -> bool:
        """Whether somebody waits for our answer in another process."""
        try:
            return self._renewing is not None and await self._shared.get(WAITING, self._key) is not None
        except SharedError as error:
            self._on_fault(error)
            return False

    async def _renew(self) -> None:
        while True:
            await asyncio.sleep(RENEW_S)
            try:
                if not await self._shared.replace(TOPIC, self._key, self._mine, self._mine, LEASE_S):
                    return
            except SharedError as error:
                self._on_fault(error)

    async def settle(self, state: State | None, window_s: float) -> None:
        """The work is over: leave ``state`` for the duplicates, if the key still is ours."""
        if self._renewing is None:
            return
        self._renewing.cancel()
        try:
            if state is None:
                await self._shared.remove(TOPIC, self._key, self._mine)
                return
            ttl_s = FAILED_S if state.stage == "failed" else window_s
            await self._shared.replace(TOPIC, self._key, self._mine, msgspec.msgpack.encode(state), ttl_s)
        except SharedError as error:
            self._on_fault(error)


def _mark(call: Call | EmbedCall) -> None:
    record = call.record
    record.model, record.stream, record.replay = call.envelope.model, call.envelope.stream, "idempotent"


def _is_marked(reply: Complete | Streaming) -> bool:
    return REPLAYED[0] in reply.headers


def _digest(*texts: str) -> bytes:
    return hashlib.sha256("".join(f"{len(text)}:{text}" for text in texts).encode("utf-8", "surrogateescape")).digest()


def _print(call: Call | EmbedCall) -> bytes:
    """What a repeated request must have in common with the first."""
    envelope = call.envelope
    head = _digest(envelope.model, str(envelope.stream), envelope.variant)
    return hashlib.sha256(head + envelope.body).digest()


def _reused() -> Conflict:
    return Conflict(
        "this idempotency key was used for another request; a new request needs a key of its own",
        code="idempotency_key_reused",
    )


def _raised(told: tuple[str, str, str | None, float | None, str | None]) -> GatewayError:
    """The error another worker met."""
    name, message, param, retry_after_s, code = told
    return _kind(name)(message, param=param, retry_after_s=retry_after_s, code=code)


def _kind(name: str) -> type[GatewayError]:
    """The class of errors that is called so, wherever it is made; limits have some of their own."""
    kinds = [GatewayError]
    for kind in kinds:
        if kind.__name__ == name:
            return kind
        kinds += kind.__subclasses__()
    return GatewayError
