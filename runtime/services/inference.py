"""What every inference operation does around the gateway: authenticate, read, ask, write, record.

Knows HTTP through `Exchange` and dialects through their codec; decides nothing about models. Errors are rendered here, in
the client's dialect, until a first byte was sent; after that the gateway's own error event has already said it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from functools import partial
from typing import Literal, TypeAlias

import orjson

from runtime.accounting.price import usd
from runtime.config.plan import Plan
from runtime.errors import ClientClosed, GatewayError, InternalError
from runtime.gateway import Call, Complete, Count, EmbedCall, Gateway, Streaming
from runtime.limits.admission import LimitReached
from runtime.limits.headers import limit_headers
from runtime.protocols.base import Asked, ClientCodec, Envelope
from runtime.protocols.embedding import Embedder
from runtime.replay.replay import Replay
from runtime.resilience import Door
from runtime.services.access import Access
from runtime.services.counting import Counter
from runtime.services.early import EarlyHead
from runtime.telemetry import CallRecord, Recorder
from runtime.web.exchange import Exchange
from runtime.web.key import KeyRecord
from runtime.web.patience import cancelled

__all__ = ["Adapt", "Infer", "Inference"]

JSON = ("content-type", "application/json")

Adapt: TypeAlias = Callable[[Envelope], Envelope]
"""A request as it was read, to the one that is meant; under another model's name, answers keep to the client's."""

Infer: TypeAlias = Callable[[Call], Awaitable[Complete | Streaming]]
"""Asks models; raises a GatewayError, always before anything was handed out."""


def input_tokens(count: Count) -> Mapping[str, object]:
    """A count as Anthropic's clients read it."""
    return {"input_tokens": count.tokens} | ({"estimated": True} if count.estimated else {})


class Inference:
    """Serves inference calls of one plan."""

    def __init__(
        self,
        plan: Plan,
        codecs: Mapping[str, ClientCodec],
        embedders: Mapping[str, Embedder],
        gateway: Gateway,
        access: Access,
        recorder: Recorder,
        door: Door,
        replay: Replay,
    ) -> None:
        self._plan = plan
        self._codecs = codecs
        self._embedders = embedders
        self._gateway = gateway
        self._access = access
        self._recorder = recorder
        self._door = door
        self.replay = replay
        self._counter = Counter(gateway)

    async def chat(
        self,
        exchange: Exchange,
        protocol: str,
        asked: Asked = Asked(),
        *,
        adapt: Adapt | None = None,
        at_hand: Callable[[Call], bytes | None] = lambda _: None,
        infer: Infer | None = None,
    ) -> None:
        """One inference call in ``protocol``; ``asked`` is what its URL says.

        ``at_hand`` may give an answer, in JSON, for which no model is needed. ``infer`` is how models are asked where that
        is not one call of the gateway.
        """
        infer = infer or self._gateway.infer

        async def ask(call: Call) -> None:
            body = at_hand(call)
            if body is not None:
                self._recorder.settle(call.record)
                await exchange.respond(200, (JSON, *self._ids(call.codec, exchange)), body)
                return
            await self.ask(exchange, call, infer)

        await self.serve(exchange, "chat", protocol, asked, ask, adapt)

    async def ask(self, exchange: Exchange, call: Call, infer: Infer) -> None:
        """Ask models by ``infer`` and write what they answer.

        A stream that is long in beginning is begun without them; a failure after that is an event of the stream.
        """
        try:
            if not call.envelope.stream:
                reply = await self.replay.infer(call, infer)
            else:
                async with self._early(exchange, call):
                    reply = await self.replay.infer(call, infer)
        except GatewayError as error:
            if not exchange.started:
                raise
            await self._fail_inside(exchange, call, error)
        except asyncio.CancelledError:
            farewell = self._door.farewell() if exchange.started else None
            if farewell is None:
                raise
            await self._fail_inside(exchange, call, farewell)
        else:
            await self.answer(exchange, call, reply)

    async def answer(self, exchange: Exchange, call: Call, reply: Complete | Streaming) -> None:
        """Write an answer, whole or as it comes."""
        if isinstance(reply, Complete):
            cost = self._cost(call.record)
            await exchange.respond(200, (JSON, *self._ids(call.codec, exchange), *reply.headers, *cost), reply.body)
        else:
            await self._stream(exchange, call, reply)

    async def count_tokens(
        self,
        exchange: Exchange,
        protocol: str,
        asked: Asked = Asked(),
        *,
        adapt: Adapt | None = None,
        told: Callable[[Count], Mapping[str, object]] = input_tokens,
    ) -> None:
        """How many input tokens a request has, as ``told`` says it; an estimate says that it is one in a header, too."""

        async def ask(call: Call) -> None:
            await self.answer_count(exchange, call, told)

        await self.serve(exchange, "count_tokens", protocol, asked, ask, adapt)

    async def answer_count(self, exchange: Exchange, call: Call, told: Callable[[Count], Mapping[str, object]]) -> None:
        """Count the input tokens of ``call`` and answer that."""
        count = await self._counter.count(call)
        source: Literal["estimate", "provider"] = "estimate" if count.estimated else "provider"
        headers = (JSON, ("x-gatewright-token-count", source), *self._ids(call.codec, exchange))
        self._recorder.settle(call.record)
        await exchange.respond(200, headers, orjson.dumps(told(count)))

    async def embed(
        self, exchange: Exchange, protocol: str, asked: Asked = Asked(), adapt: Adapt | None = None
    ) -> None:
        """Vectors for texts, in the embedder ``protocol``. ``adapt`` is what else the path means."""
        embedder = self._embedders[protocol]

        async def answer(record: CallRecord) -> None:
            key, body = await self._admit(exchange, record)
            envelope, shown = self._meant(embedder.peek(body, asked), adapt, key, record)
            headers = exchange.headers
            call = EmbedCall(embedder=embedder, envelope=envelope, key=key, record=record, shown=shown, headers=headers)
            reply = await self._gateway.embed(call)
            codec = self._codecs[embedder.dialect]
            cost = self._cost(record)
            await exchange.respond(200, (JSON, *self._ids(codec, exchange), *reply.headers, *cost), reply.body)

        await self._frame(exchange, "embeddings", self._codecs[embedder.dialect], answer)

    async def serve(
        self,
        exchange: Exchange,
        operation: str,
        protocol: str,
        asked: Asked,
        ask: Callable[[Call], Awaitable[None]],
        adapt: Adapt | None = None,
    ) -> None:
        """Authenticate, read, and hand the call to ``ask``, which answers; what it raises is answered here."""
        codec = self._codecs[protocol]

        async def answer(record: CallRecord) -> None:
            key, body = await self._admit(exchange, record)
            envelope, shown = self._meant(codec.peek(body, asked), adapt, key, record)
            headers = exchange.headers
            await ask(Call(codec=codec, envelope=envelope, headers=headers, key=key, record=record, shown=shown))

        await self._frame(exchange, operation, codec, answer)

    async def _frame(
        self, exchange: Exchange, operation: str, codec: ClientCodec, answer: Callable[[CallRecord], Awaitable[None]]
    ) -> None:
        """The frame of a call: its record is ended exactly once, however it goes."""
        record = self._recorder.begin(exchange.request_id, operation, codec.protocol)
        try:
            with self._door:
                await self._door.turns.take()
                async with exchange.while_connected():
                    await answer(record)
            record.status = 200
        except GatewayError as error:
            await self._fail(exchange, codec, record, error)
        except ClientClosed:
            record.outcome, record.status = "client_closed", 499
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None and not cancelled():
                record.outcome, record.error, record.status = "error", InternalError.kind, 500
                raise
            if farewell is None or exchange.started:
                record.outcome, record.status = "client_closed", 499
                raise
            await self._fail(exchange, codec, record, farewell)
        except Exception:
            record.outcome, record.error, record.status = "error", InternalError.kind, 500
            raise
        finally:
            self._recorder.end(record)

    def _meant(
        self, envelope: Envelope, adapt: Adapt | None, key: KeyRecord, record: CallRecord
    ) -> tuple[Envelope, str | None]:
        """What ``envelope`` means, and how its answer calls the model where that is not its public name."""
        adapted = envelope if adapt is None else adapt(envelope)
        meant = self._gateway.spelt(adapted, key)
        if meant is not adapted:
            record.note("resolve", f"{adapted.model} is a bare name of {meant.model}")
        return meant, envelope.model if meant.model != envelope.model else None

    async def _admit(self, exchange: Exchange, record: CallRecord) -> tuple[KeyRecord, bytes]:
        """Whose call it is, and its body."""
        key = await self._access.admit(exchange.headers, exchange.query, exchange.required_scope)
        record.key, record.tenant = key.id, key.tenant
        self._door.owned(key.id)
        if decision := self._recorder.admitted(record):
            exchange.stamp("x-gatewright-decision", decision)
        settings = self._plan.server
        body = await exchange.read_body(settings.body_limit_bytes, self._plan.timeouts.body_read_ms / 1000)
        return key, body

    async def _stream(self, exchange: Exchange, call: Call, reply: Streaming) -> None:
        """Write a stream as it comes; in a silence, what the dialect allows to keep the line open."""
        async with aclosing(reply.chunks) as chunks, exchange.keep_alive(reply.keep_alive, self._silence_s):
            if not exchange.started:
                await exchange.start(200, (*self._head(exchange, call.codec, reply.content_type), *reply.headers))
            async for data in chunks:
                await exchange.send(data)
            self._recorder.settle(call.record)
            await exchange.finish()

    async def _fail(self, exchange: Exchange, codec: ClientCodec, record: CallRecord, error: GatewayError) -> None:
        reply = codec.encode_error(error, exchange.request_id)
        record.outcome, record.error, record.status = "error", error.kind, reply.status
        self._recorder.settle(record)
        headers = reply.headers
        if isinstance(error, LimitReached):
            headers = (*headers, *limit_headers(codec.protocol, error.standings, error.at_s))
        await exchange.respond(reply.status, headers, reply.body)

    async def _fail_inside(self, exchange: Exchange, call: Call, error: GatewayError) -> None:
        """The error of a stream that was begun before anybody answered."""
        call.record.outcome, call.record.error = "error", error.kind
        self._recorder.settle(call.record)
        await exchange.send(self._gateway.encoder(call).fail(error))
        await exchange.finish()

    def _early(self, exchange: Exchange, call: Call) -> EarlyHead:
        return EarlyHead(
            exchange,
            partial(self._gateway.encoder, call),
            partial(self._head, exchange, call.codec),
            self._plan.timeouts.early_head_ms / 1000,
            self._silence_s,
        )

    def _head(self, exchange: Exchange, codec: ClientCodec, content_type: str) -> tuple[tuple[str, str], ...]:
        return (
            ("content-type", content_type),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
            *self._ids(codec, exchange),
        )

    @property
    def _silence_s(self) -> float:
        return self._plan.timeouts.keep_alive_ms / 1000

    def _cost(self, record: CallRecord) -> tuple[tuple[str, str], ...]:
        """Settle the call of a whole answer, and say what it cost; nothing where some of it has no price."""
        self._recorder.settle(record)
        if not record.settled or record.unpriced:
            return ()
        return (("x-gatewright-cost", usd(record.cost_nano_usd)),)

    def _ids(self, codec: ClientCodec, exchange: Exchange) -> tuple[tuple[str, str], ...]:
        return ((codec.request_id_header, exchange.request_id),)
