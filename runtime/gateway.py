"""The inference pipeline, top to bottom: choose a target, encode for it, send, and bring the answer back.

Names no protocol and no provider: codecs translate, `routing` chooses, `upstream` sends. What arrives here has been
authenticated and read no deeper than its model's name; what leaves is bytes in the client's own dialect, or a
`GatewayError` for the caller to render in it. Once a first byte is handed out, nothing is tried again: an error becomes
the dialect's error event, and only an upstream that said it was finished gives a success terminator.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping

import msgspec

from generated.config import TimeoutSettings
from runtime.canonical import Request
from runtime.catalog import Endpoint
from runtime.config.plan import Plan
from runtime.errors import GatewayError, InvalidRequest, PermissionDenied, UpstreamError, UpstreamTimeout
from runtime.estimate import Estimator
from runtime.protocols.base import Answer, ClientCodec, Codec, Envelope, Outgoing
from runtime.protocols.relay import Passing, Relay, Translating
from runtime.resilience import Door
from runtime.routing import Candidate, RouteTable
from runtime.telemetry import CallRecord, Recorder
from runtime.upstream.types import Limits, Upstream, UpstreamRequest, UpstreamResponse
from runtime.web.key import KeyRecord

__all__ = ["Call", "Complete", "Count", "Gateway", "Streaming"]

MAX_ERROR_BYTES = 1 << 20
MAX_ANSWER_BYTES = 256 << 20
FORWARDED_HEADERS = ("x-ratelimit-", "anthropic-ratelimit-", "retry-after", "x-gatewright-simulated")


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One client request: whose, in which dialect, and the record of it that grows. ``headers`` are lower-case."""

    codec: ClientCodec
    envelope: Envelope
    headers: Mapping[str, str]
    key: KeyRecord
    record: CallRecord


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    headers: tuple[tuple[str, str], ...]
    body: bytes


class Streaming(msgspec.Struct, frozen=True, kw_only=True):
    """``chunks`` must be closed by whoever iterates it: that closes the upstream and ends the record."""

    headers: tuple[tuple[str, str], ...]
    content_type: str
    keep_alive: bytes | None
    chunks: AsyncGenerator[bytes, None]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """``estimated``: by a tokenizer of ours, because the provider cannot count."""

    tokens: int
    estimated: bool


class Gateway:
    """Serves one plan. ``now`` gives Unix seconds."""

    def __init__(
        self,
        plan: Plan,
        codecs: Mapping[str, Codec],
        routes: RouteTable,
        upstream: Upstream,
        recorder: Recorder,
        estimator: Estimator,
        door: Door,
        now: Callable[[], float],
    ) -> None:
        self._plan = plan
        self._codecs = codecs
        self._routes = routes
        self._upstream = upstream
        self._recorder = recorder
        self._estimator = estimator
        self._door = door
        self._now = now

    async def infer(self, call: Call) -> Complete | Streaming:
        """Answer a chat call. Raises a GatewayError, always before anything was handed out."""
        candidate = self._choose(call)
        request, outgoing = self._encode(call, candidate)
        response = await self._send(candidate, outgoing, call.record)
        try:
            answer = self._answer(call, request)
            headers = self._headers(candidate, outgoing, response)
            if call.envelope.stream:
                return await self._open_stream(call, candidate, outgoing, response, answer, headers)
            body = await response.read(MAX_ANSWER_BYTES)
            complete = self._translate(call, candidate, outgoing, body, answer)
        except BaseException:
            await response.aclose()
            raise
        await response.aclose()
        return Complete(headers=headers, body=complete)

    async def count(self, call: Call) -> Count:
        """Count a request's input tokens: the provider's own count where it has one, else an estimate."""
        candidate = self._choose(call)
        request = call.codec.decode_request(call.envelope, call.headers)
        outgoing = self._codecs[candidate.protocol].encode_count(request, candidate.target, call.headers)
        if outgoing is None:
            return Count(tokens=self._estimator.count(request), estimated=True)
        try:
            response = await self._send(candidate, outgoing, call.record)
            try:
                body = await response.read(MAX_ERROR_BYTES)
            finally:
                await response.aclose()
            return Count(tokens=self._codecs[candidate.protocol].decode_count(body), estimated=False)
        except UpstreamError:
            return Count(tokens=self._estimator.count(request), estimated=True)

    # -- before the answer

    def _choose(self, call: Call) -> Candidate:
        """The first target that can be called; order is priority."""
        name = call.envelope.model
        if not call.key.may_use(name):
            raise PermissionDenied(f"this key may not use the model {name!r}", param="model")
        candidate = self._routes.candidates(name, call.codec.protocol, Endpoint.CHAT)[0]
        record = call.record
        record.model = name
        record.stream = call.envelope.stream
        record.served = candidate.id
        record.provider = candidate.target.provider.id
        record.connection = candidate.connection
        record.upstream_protocol = candidate.protocol
        record.passed_through = candidate.protocol == call.codec.protocol
        return candidate

    def _encode(self, call: Call, candidate: Candidate) -> tuple[Request | None, Outgoing]:
        """Pass on when nothing changes the body, translate otherwise. What a translation loses is recorded."""
        strict = self._plan.requests.unknown_fields == "refuse"
        if call.record.passed_through and not strict:
            return None, self._codecs[candidate.protocol].splice(call.envelope, candidate.target, call.headers)
        request = call.codec.decode_request(call.envelope, call.headers)
        if strict and request.unknown:
            raise InvalidRequest(f"unknown field {request.unknown[0]!r}", param=request.unknown[0])
        if call.record.passed_through:
            return None, self._codecs[candidate.protocol].splice(call.envelope, candidate.target, call.headers)
        outgoing = self._codecs[candidate.protocol].encode_request(request, candidate.target, call.headers)
        call.record.losses = tuple(dict.fromkeys(outgoing.losses + request.unknown))
        return request, msgspec.structs.replace(outgoing, losses=call.record.losses)

    async def _send(self, candidate: Candidate, outgoing: Outgoing, record: CallRecord) -> UpstreamResponse:
        """Send and wait for the status line. A status that is no success becomes the error it stands for."""
        timeouts = self._timeouts(candidate)
        first_byte_ms = timeouts.first_byte_ms if outgoing.stream else timeouts.first_byte_unstreamed_ms
        headers = dict(outgoing.headers) | dict(candidate.headers)
        response = await self._upstream.send(
            UpstreamRequest(
                method="POST",
                url=candidate.base_url + outgoing.path,
                headers=tuple(headers.items()),
                body=outgoing.body,
                limits=Limits(
                    connect_ms=timeouts.connect_ms,
                    first_byte_ms=first_byte_ms,
                    idle_ms=timeouts.idle_ms,
                    total_ms=timeouts.total_ms,
                ),
                pool=candidate.connection,
            )
        )
        record.upstream_status = response.status
        if response.status == 200:
            return response
        try:
            body = await response.read(MAX_ERROR_BYTES)
        finally:
            await response.aclose()
        raise self._codecs[candidate.protocol].decode_error(response.status, response.headers, body)

    def _timeouts(self, candidate: Candidate) -> TimeoutSettings:
        """The provider's own limits, else everybody's."""
        return self._plan.provider_timeouts.get(candidate.target.provider.id, self._plan.timeouts)

    # -- a complete answer

    def _translate(self, call: Call, candidate: Candidate, outgoing: Outgoing, body: bytes, answer: Answer) -> bytes:
        if call.record.passed_through:
            passed, call.record.usage = self._codecs[candidate.protocol].splice_response(body, answer.model)
            return passed
        response = self._codecs[candidate.protocol].decode_response(body, outgoing)
        call.record.usage = response.usage
        return call.codec.encode_response(response, answer)

    # -- a streamed answer

    async def _open_stream(
        self,
        call: Call,
        candidate: Candidate,
        outgoing: Outgoing,
        response: UpstreamResponse,
        answer: Answer,
        headers: tuple[tuple[str, str], ...],
    ) -> Streaming:
        """Read up to the first bytes for the client, so that an upstream that fails at once still gives a status."""
        relay = self._relay(call, candidate, outgoing, answer)
        chunks = response.chunks()
        deadline = asyncio.get_running_loop().time() + self._timeouts(candidate).first_token_ms / 1000
        head = b""
        while _says_nothing(head):
            chunk = await self._next(chunks, relay, deadline)
            if chunk is None:
                head += relay.close()
                break
            head += relay.feed(chunk)
        return Streaming(
            headers=headers,
            content_type=relay.content_type,
            keep_alive=relay.keep_alive,
            chunks=self._stream(call.record, response, chunks, relay, head, deadline),
        )

    async def _stream(
        self,
        record: CallRecord,
        response: UpstreamResponse,
        chunks: AsyncIterator[bytes],
        relay: Relay,
        head: bytes,
        deadline: float,
    ) -> AsyncGenerator[bytes, None]:
        """The client's bytes. Whatever ends it, the upstream is let go and the usage that was reported is kept."""
        try:
            self._note(record, relay)
            yield head
            while (chunk := await self._next(chunks, relay, deadline)) is not None:
                data = relay.feed(chunk)
                self._note(record, relay)
                if data:
                    yield data
            if data := relay.close():
                self._note(record, relay)
                yield data
            record.outcome = "ok"
        except GatewayError as error:
            record.outcome, record.error = "error", error.kind
            yield relay.fail(error)
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                raise
            record.outcome, record.error = "error", farewell.kind
            yield relay.fail(farewell)
        finally:
            record.usage = relay.usage
            await response.aclose()

    async def _next(self, chunks: AsyncIterator[bytes], relay: Relay, deadline: float) -> bytes | None:
        """The next read, None at the end. Until the answer has begun, the first-token limit holds."""
        if relay.started:
            return await anext(chunks, None)
        try:
            async with asyncio.timeout_at(deadline):
                return await anext(chunks, None)
        except TimeoutError as error:
            raise UpstreamTimeout("the provider sent no first token in time") from error

    def _note(self, record: CallRecord, relay: Relay) -> None:
        if relay.started:
            self._recorder.first_token(record)

    def _relay(self, call: Call, candidate: Candidate, outgoing: Outgoing, answer: Answer) -> Relay:
        encoder, codec = call.codec.stream_encoder(answer), self._codecs[candidate.protocol]
        if call.record.passed_through:
            return Passing(codec.stream_tap(answer), encoder)
        return Translating(codec.stream_decoder(outgoing), encoder)

    # -- what goes with an answer

    def _answer(self, call: Call, request: Request | None) -> Answer:
        return Answer(
            model=call.envelope.model,
            id=call.record.id,
            created=int(self._now()),
            headers=call.headers,
            request=request,
            variant=call.envelope.variant,
        )

    def _headers(
        self, candidate: Candidate, outgoing: Outgoing, response: UpstreamResponse
    ) -> tuple[tuple[str, str], ...]:
        """Who served, what was lost, and the limits the provider reported."""
        headers = [("x-gatewright-served", candidate.id)]
        if outgoing.losses:
            headers.append(("x-gatewright-dropped", ", ".join(outgoing.losses)))
        headers += [(name, value) for name, value in response.headers.items() if name.startswith(FORWARDED_HEADERS)]
        return tuple(headers)


def _says_nothing(head: bytes) -> bool:
    """Whether only comments came, with which a provider keeps a line open before it knows how the answer will go."""
    return all(not line or line.startswith(b":") for line in head.split(b"\n"))
