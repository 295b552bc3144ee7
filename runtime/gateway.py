"""The inference pipeline, top to bottom: order the targets, encode for one, send, and bring its answer back.

Names no protocol and no provider: codecs translate, `routing` orders the targets and goes on to the next where one fails,
`upstream` sends. What arrives here has been authenticated and read no deeper than its model's name; what leaves is bytes in
the client's own dialect, or a `GatewayError` for the caller to render in it. Once a first byte is handed out, nothing is
tried again unless the combo declares a rescue: an error becomes the dialect's error event, and only an upstream that said
it was finished gives a success terminator.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from functools import partial
from types import MappingProxyType
from typing import TypeAlias

import msgspec

from generated.config import HedgeSettings
from runtime.accounting.received import Received
from runtime.answering import answer_headers, let_go, relay_of, shown, translated, unsaid, whole_request
from runtime.call import Call, Complete, Count, EmbedCall, Streaming
from runtime.canonical import Request, Usage
from runtime.catalog import Capability, Certainty, Endpoint
from runtime.config.plan import Plan
from runtime.errors import (
    GatewayError,
    InvalidRequest,
    NotFound,
    PermissionDenied,
    RateLimited,
    RouteUnavailable,
    UpstreamError,
)
from runtime.estimate import Estimator
from runtime.guide import GUIDING, Guide, demand, session_of
from runtime.limiting import Limiting, permitted, stamped
from runtime.limits.admission import Admission
from runtime.protocols.base import Answer, Codec, Envelope, Outgoing, StreamEncoder
from runtime.protocols.embedding import Embedder
from runtime.protocols.field_name import field_name
from runtime.protocols.framing import readable
from runtime.protocols.relay import Relay, Translating
from runtime.rescue import Telling, extended, prefill_of
from runtime.resilience import Door, Step, judge
from runtime.routing import (
    Attempt,
    Attempts,
    Candidate,
    Needs,
    Prepared,
    Pursuit,
    Race,
    RouteTable,
    UnsayableError,
    read_needs,
)  # fmt: skip
from runtime.routing.steering import UNSTEERED, Steering
from runtime.sending import MAX_ERROR_BYTES, Sender, quarter_of_texts
from runtime.sessions import named_session
from runtime.shaping import Shaping
from runtime.streamed import Speaker, StreamedAnswer
from runtime.telemetry import CallRecord, Recorder
from runtime.upstream.types import Upstream, UpstreamResponse
from runtime.web.key import KeyRecord

__all__ = ["Call", "Complete", "Count", "EmbedCall", "Gateway", "Streaming"]

MAX_ANSWER_BYTES = 256 << 20
STREAMED = ("text/event-stream", "application/x-ndjson")

Replying: TypeAlias = Coroutine[object, object, Complete | Streaming]


class _Asking(msgspec.Struct, frozen=True, eq=False):
    """One chat call on its way from target to target."""

    gateway: Gateway
    call: Call
    prepared: Prepared
    pursuit: Pursuit

    def ask(self, attempt: Attempt) -> Replying:
        """Ask one target."""
        return self.gateway.ask(self, attempt)

    def tokens(self) -> int:
        """About how many a target is sent."""
        return self.gateway.estimate(self.call).tokens


class Gateway:
    """Serves one plan. ``now`` gives Unix seconds."""

    def __init__(
        self,
        plan: Plan,
        codecs: Mapping[str, Codec],
        embedders: Mapping[str, Embedder],
        routes: RouteTable,
        attempts: Attempts,
        upstream: Upstream,
        recorder: Recorder,
        estimator: Estimator,
        door: Door,
        now: Callable[[], float],
        guide: Guide,
        proxies: Mapping[str, str] = MappingProxyType({}),
        admission: Admission | None = None,
    ) -> None:
        self._codecs = codecs
        self._embedders = embedders
        self._routes = routes
        self._attempts = attempts
        self._sender = Sender(plan, upstream, recorder, proxies)
        self._recorder = recorder
        self._estimator = estimator
        self._door = door
        self._now = now
        self._guide = guide
        self._shaping = Shaping(plan.requests)
        self._strict = plan.requests.unknown_fields == "refuse"
        self._limiting = None if admission is None else Limiting(admission, estimator, self._shaping)

    def infer(self, call: Call) -> Replying:
        """Answer a chat call. Raises a GatewayError, always before anything was handed out."""
        prepared = self._prepared(call, call.codec.protocol, Endpoint.CHAT)
        if self._limiting is not None and self._limiting.concerns(call.key):
            return self._limited(self._limiting, call, prepared)
        return self._guided(call, prepared)

    async def _limited(self, limiting: Limiting, call: Call, prepared: Prepared) -> Complete | Streaming:
        """`infer` within the limits of its key."""
        limited = await limiting.chat(call, prepared)
        reply = await self._guided(call, prepared)
        return reply if limited is None else stamped(reply, limited, call.codec.protocol, self._now())

    def _guided(self, call: Call, prepared: Prepared) -> Replying:
        """`infer` where the call's session has a part in where it goes, if it has one."""
        call.record.let_in = True
        if call.record.session or prepared.conversational:
            return self._of_session(call, prepared)
        return self._asked(call, prepared, UNSTEERED)[1]

    async def _of_session(self, call: Call, prepared: Prepared) -> Complete | Streaming:
        record, decode = call.record, partial(call.codec.decode_request, call.envelope, call.headers)
        guided = await self._guide.begin(prepared, call.key.id, record, decode)
        pursuit, replying = self._asked(call, prepared, guided.steering)
        reply = await replying
        if guided.id and pursuit.served is not None:
            try:
                await self._guide.served(prepared, guided, record, pursuit.served[0].candidate)
            except BaseException:
                await let_go(reply)
                raise
        return reply

    def _asked(self, call: Call, prepared: Prepared, steering: Steering) -> tuple[Pursuit, Replying]:
        """The answer of one target after the other, or of those asked beside each other, and who looks for it."""
        needs = partial(self._needs, call) if prepared.only is None else None
        pursuit = self._attempts.pursue(prepared, needs, call.record, steering)
        ask = _Asking(self, call, prepared, pursuit).ask
        if prepared.hedge is None:
            return pursuit, pursuit.answer(ask)
        return pursuit, self._raced(call, pursuit, prepared.hedge, ask)

    async def _raced(
        self,
        call: Call,
        pursuit: Pursuit,
        hedge: HedgeSettings,
        ask: Callable[[Attempt], Awaitable[Complete | Streaming]],
    ) -> Complete | Streaming:
        reply = await Race(pursuit, hedge, call.record, ask, let_go).answer()
        if pursuit.served is not None:
            self._aim_again(call, pursuit.served[1])
        return reply

    def spelt(self, envelope: Envelope, key: KeyRecord) -> Envelope:
        """``envelope`` with its model's public name, if it says a bare one. Raises InvalidRequest for an ambiguous one."""
        name = self._routes.spelt(envelope.model, key.may_use)
        return envelope if name == envelope.model else msgspec.structs.replace(envelope, model=name)

    async def count(self, call: Call) -> Count:
        """Count a request's input tokens: a provider's own count where one has it, else an estimate."""
        prepared = self._chat(call)
        request = self._shaping.request(call.codec.decode_request(call.envelope, call.headers))
        first = prepared.candidates[0]
        if self._codecs[first.protocol].encode_count(request, first.target, call.headers) is not None:
            ask = partial(self._count, call, request)
            with suppress(UpstreamError, RateLimited, NotFound):
                found = await self._attempts.run(prepared, partial(self._needs, call), call.record, ask, casual=True)
                return Count(tokens=found, estimated=False)
        return Count(tokens=self._estimator.count(request), estimated=True)

    def estimate(self, call: Call) -> Count:
        """A request's input tokens without asking anybody."""
        request = self._shaping.request(call.codec.decode_request(call.envelope, call.headers))
        return Count(tokens=self._estimator.count(request), estimated=True)

    async def embed(self, call: EmbedCall) -> Complete:
        """Turn texts into vectors. Raises a GatewayError."""
        protocol, record = call.embedder.protocol, call.record
        prepared = self._prepared(call, protocol, Endpoint.EMBEDDINGS)
        limited = None
        if self._limiting is not None and self._limiting.concerns(call.key):
            limited = await self._limiting.embed(call, prepared)
        record.let_in = True
        guided = await self._guide.begin(prepared, call.key.id, record, None)
        needs = Needs(uses=frozenset(), input_tokens=len(call.envelope.body) // 4, key=call.key.id)

        async def ask(attempt: Attempt) -> tuple[Candidate, Complete]:
            return attempt.candidate, await self._embed(call, attempt)

        served, reply = await self._attempts.run(prepared, lambda: needs, record, ask, guided.steering)
        await self._guide.served(prepared, guided, record, served)
        return reply if limited is None else stamped(reply, limited, protocol, self._now())

    def permits(self, call: Call) -> bool:
        """Whether a chat call's key and the policies let it have an answer of the model it names; if not, `infer` says why."""
        return permitted(call, self._routes, self._limiting)

    def session(self, call: Call) -> str:
        """The id of the session that a chat call is of, whoever answers it; empty for none. Raises InvalidRequest."""
        protocol, name, named = call.codec.protocol, call.envelope.model, named_session(call.headers) or ""
        try:
            prepared = self._routes.prepared(name, protocol, Endpoint.CHAT)
        except (NotFound, RouteUnavailable):
            return named
        decode = partial(call.codec.decode_request, call.envelope, call.headers)
        return session_of(prepared, call.key.id, name, named, decode)

    def encoder(self, call: Call) -> StreamEncoder:
        """What the client of a stream is spoken to with before anybody answered."""
        return call.codec.stream_encoder(self._answer(call, None))

    # -- before anything is sent

    def check(self, call: Call) -> None:
        """Raise what `infer` would refuse before it sends anything: the name, the key, or what no target can be told."""
        refused: list[InvalidRequest] = []
        for candidate in self._chat(call).candidates:
            self._aim(call.record, candidate, call.codec.protocol)
            request = self._decode(call, candidate)
            try:
                self._encode(call, candidate, request)
            except InvalidRequest as error:
                refused.append(error)
            else:
                return
        raise refused[0]

    def choose(self, call: Call) -> Candidate:
        """The target of ``call`` that is written first. Raises what keeps its key from going there."""
        prepared = self._chat(call)
        self._aim(call.record, prepared.candidates[0], call.codec.protocol)
        return prepared.candidates[0]

    def _chat(self, call: Call) -> Prepared:
        """The targets of a call that is not to be answered now; it is refused like one that is."""
        prepared = self._prepared(call, call.codec.protocol, Endpoint.CHAT)
        if self._limiting is not None:
            self._limiting.allow(call, prepared)
        return prepared

    def _prepared(self, call: Call | EmbedCall, protocol: str, endpoint: Endpoint) -> Prepared:
        """All targets that the request may go to."""
        key, record, stream, name = call.key, call.record, call.envelope.stream, call.envelope.model
        if key.models and not key.may_use(name):
            record.note("resolve", f"the key may not use {name[:100]!r}")
            raise PermissionDenied(f"this key may not use the model {name!r}", param="model")
        try:
            prepared = self._routes.prepared(name, protocol, endpoint)
        except GatewayError:
            record.note("resolve", f"{name[:100]!r} leads to nothing that can be asked for {endpoint.value}")
            raise
        record.model, record.surface, record.endpoint = name, protocol, prepared.endpoint
        if record.combo != prepared.combo:
            record.combo = prepared.combo
        if record.stream is not stream:
            record.stream = stream
        if record.session:
            record.session = ""
        if GUIDING.isdisjoint(call.headers):
            return prepared
        record.session = named_session(call.headers) or ""
        demanded = demand(prepared, call.headers, key)
        if demanded.pin is not None:
            record.note("pin", "the request demands the connection", connection=demanded.pin)
        return demanded

    def _input_tokens(self, call: Call) -> int:
        return self.estimate(call).tokens

    def _needs(self, call: Call) -> Needs:
        """What conditions of targets ask for; read only where there are any."""
        request = call.codec.decode_request(call.envelope, call.headers)
        return read_needs(request, self._estimator.count(request), call.key.id)

    # -- one attempt

    async def ask(self, asking: _Asking, attempt: Attempt) -> Complete | Streaming:
        """Ask one target. Everything is made anew from the client's envelope: no attempt sees what another one made."""
        call, candidate = asking.call, attempt.candidate
        record, client = call.record, call.codec
        self._aim(record, candidate, client.protocol)
        request = self._decode(call, candidate)
        try:
            outgoing = self._encode(call, candidate, request)
        except InvalidRequest as error:
            raise UnsayableError(error) from error
        if outgoing.losses:
            attempt.losses = outgoing.losses
        attempt.record.measure = asking.tokens
        speaks, usage = self._codecs[candidate.protocol], None
        response = await self._sender.send(attempt, outgoing, record, speaks.decode_error)
        if call.envelope.stream:
            try:
                headers = answer_headers(record, candidate, outgoing, response)
                stream, relay = self._stream(asking, attempt, outgoing, request, response)
                chunks = await stream.open()
            except BaseException:
                await response.aclose()
                raise
            return Streaming(
                headers=headers, content_type=relay.content_type, keep_alive=relay.keep_alive, chunks=chunks
            )
        body = readable(await response.read(MAX_ANSWER_BYTES))
        attempt.answered()
        streamed = response.headers.get("content-type", "").startswith(STREAMED)
        try:
            if candidate.protocol == client.protocol and not streamed:
                whole, usage = speaks.splice_response(body, shown(call))
            else:
                whole, usage = translated(client, speaks, outgoing, body, self._answer(call, request), streamed)
        finally:
            if usage is None or not usage.output:  # what it took can only be read off what came
                attempt.record.received = Received(candidate.protocol, body)
        record.usage = usage
        attempt.end(usage=usage)
        headers, ended = answer_headers(record, candidate, outgoing, response), streamed or not call.keeps
        return Complete(headers=headers, body=whole, ended=ended or speaks.ended(body))

    def _stream(
        self,
        asking: _Asking,
        attempt: Attempt,
        outgoing: Outgoing,
        request: Request | None,
        response: UpstreamResponse,
    ) -> tuple[StreamedAnswer, Relay]:
        """The answer of one target as it comes, with whoever goes on where it breaks off."""
        call, prepared, candidate = asking.call, asking.prepared, attempt.candidate
        rescue, hold_bytes = None, prepared.buffer_limit_bytes if prepared.rescue == "buffer" else 0
        whole = whole_request(call, request) if prepared.rescue == "splice" else None
        if whole is not None:
            telling = Telling(call.codec.stream_encoder(self._answer(call, whole)))
            relay: Relay = Translating(self._codecs[candidate.protocol].stream_decoder(outgoing), telling)
            rescue = partial(self._rescue, call, asking.pursuit, telling, whole)
        else:
            relay = relay_of(call.codec, self._codecs[candidate.protocol], outgoing, self._answer(call, request))
        speaker = Speaker(attempt, response, relay, self._sender.timeouts(candidate).first_token_ms)
        return StreamedAnswer(speaker, call.record, self._recorder, self._door, hold_bytes, rescue), relay

    # -- after the first byte

    async def _rescue(
        self, call: Call, pursuit: Pursuit, telling: Telling, request: Request, error: GatewayError, took: Usage | None
    ) -> Speaker:
        """Who goes on where an answer broke off with ``error``, which is raised where nobody does."""
        if not telling.may_go_on or judge(error).step in {Step.STOP, Step.REFUSED}:
            raise error
        record = call.record
        text = f"the answer broke off ({error.kind}); another target is to go on"
        record.note("rescue", text, record.served, record.connection)
        telling.spent(took)
        try:
            speaker = await pursuit.instead(error, partial(self._go_on, call, telling, request))
        except GatewayError as nobody:
            raise error from nobody
        call.record.rescues += 1
        return speaker

    async def _go_on(self, call: Call, telling: Telling, request: Request, attempt: Attempt) -> Speaker:
        """Ask one target for the rest: with what was told as the beginning of its answer, where it takes that."""
        candidate, record = attempt.candidate, call.record
        self._aim(record, candidate, call.codec.protocol)
        takes_prefill = candidate.target.model.certainty(Capability.PREFILL) is Certainty.STATED
        prefill = prefill_of(telling.told, request) if takes_prefill else None
        asked = self._decode(call, candidate) if prefill is None else extended(request, prefill)
        try:
            outgoing = self._encode(call, candidate, asked)
        except InvalidRequest as invalid:
            raise UnsayableError(invalid) from invalid
        attempt.record.measure = partial(self._input_tokens, call)
        response = await self._sender.send(attempt, outgoing, record, self._codecs[candidate.protocol].decode_error)
        telling.again(prefill)
        attempt.held = True
        relay = Translating(self._codecs[candidate.protocol].stream_decoder(outgoing), telling)
        return Speaker(attempt, response, relay, self._sender.timeouts(candidate).first_token_ms)

    # -- the other calls

    async def _count(self, call: Call, request: Request, attempt: Attempt) -> int:
        """Let one target count."""
        candidate = attempt.candidate
        self._aim(call.record, candidate, call.codec.protocol)
        speak = self._codecs[candidate.protocol]
        outgoing = speak.encode_count(request, candidate.target, call.headers)
        if outgoing is None:
            raise UnsayableError(NotFound("this provider cannot count"))
        attempt.counted, attempt.record.free, call.record.admitted = False, True, 0
        response = await self._sender.send(attempt, outgoing, call.record, speak.decode_error)
        return speak.decode_count(readable(await response.read(MAX_ERROR_BYTES)))

    async def _embed(self, call: EmbedCall, attempt: Attempt) -> Complete:
        candidate, record = attempt.candidate, call.record
        self._aim(record, candidate, call.embedder.protocol)
        speak, request = self._embedders[candidate.protocol], None
        if record.passed_through and not self._strict:
            outgoing = speak.splice(call.envelope, candidate.target)
        else:
            request = call.embedder.decode_request(call.envelope)
            if request.unknown and self._strict:
                raise InvalidRequest(f"unknown field {request.unknown[0]!r}", param=request.unknown[0])
            try:
                outgoing = speak.encode_request(request, candidate.target)
            except InvalidRequest as error:
                raise UnsayableError(error) from error
            record.losses = tuple(dict.fromkeys(outgoing.losses + request.unknown))
        attempt.record.measure = partial(quarter_of_texts, call.embedder, call.envelope)
        response = await self._sender.send(attempt, outgoing, record, speak.decode_error)
        body = readable(await response.read(MAX_ANSWER_BYTES))
        attempt.answered()
        headers = answer_headers(record, candidate, msgspec.structs.replace(outgoing, losses=record.losses), response)
        asked = call.envelope if call.shown is None else msgspec.structs.replace(call.envelope, model=call.shown)
        if request is None:
            passed, record.usage = speak.splice_response(body, asked)
            return Complete(headers=headers, body=passed)
        vectors = speak.decode_response(body, request)
        record.usage = vectors.usage
        return Complete(headers=headers, body=call.embedder.encode_response(vectors, asked))

    # -- out

    def _aim(self, record: CallRecord, candidate: Candidate, protocol: str) -> None:
        """What the record says of the target that is asked now; nothing is left of the one before."""
        record.served = candidate.id
        record.provider = candidate.target.provider.id
        record.connection = candidate.connection
        record.upstream_protocol = candidate.protocol
        record.passed_through = candidate.protocol == protocol
        if record.upstream_status is not None:
            record.upstream_status = None
        if record.losses:
            record.losses = ()

    def _aim_again(self, call: Call, attempt: Attempt) -> None:
        """What the record says is of who was heard, whoever was asked last."""
        self._aim(call.record, attempt.candidate, call.codec.protocol)
        call.record.upstream_status, call.record.losses = attempt.record.status, attempt.losses
        call.record.usage = attempt.record.usage

    def _decode(self, call: Call, candidate: Candidate) -> Request | None:
        """The request to translate; None where nothing changes the body, so that it is passed on."""
        record, model = call.record, candidate.target.model
        strict = self._strict
        if record.passed_through and not strict and not self._shaping.may_rethink(model):
            return None
        request = call.codec.decode_request(call.envelope, call.headers)
        if strict and request.unknown:
            raise InvalidRequest(f"unknown field {request.unknown[0]!r}", param=request.unknown[0])
        shaped = self._shaping.thinking(request, model)
        if record.passed_through and shaped is request:
            return None
        record.passed_through = False
        return shaped

    def _encode(self, call: Call, candidate: Candidate, request: Request | None) -> Outgoing:
        """What a translation loses is recorded."""
        codec = self._codecs[candidate.protocol]
        if request is None:
            envelope = self._shaping.envelope(candidate.protocol, call.envelope)
            held = call.record.held
            target = candidate.counted if held is not None and held.measured else candidate.target
            return codec.splice(envelope, target, call.headers)
        try:
            outgoing = codec.encode_request(self._shaping.request(request), candidate.target, call.headers)
        except InvalidRequest as error:
            error.param = field_name(call.codec.protocol, error.param)
            raise
        call.record.losses = losses = tuple(dict.fromkeys(outgoing.losses + unsaid(request, codec.protocol)))
        return outgoing if losses == outgoing.losses else msgspec.structs.replace(outgoing, losses=losses)

    # -- and back

    def _answer(self, call: Call, request: Request | None) -> Answer:
        created = int(self._now())
        return Answer(shown(call), call.record.id, created, call.headers, request, call.envelope.variant)
