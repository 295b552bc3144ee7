"""What every inference operation does around the gateway: authenticate, read, ask, write, record.

Knows HTTP through `Exchange` and dialects through their codec; decides nothing about models. Errors are rendered here, in
the client's dialect, until a first byte was sent; after that the gateway's own error event has already said it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import aclosing
from functools import partial
from typing import Literal, TypeAlias

import orjson

from runtime.accounting.price import usd
from runtime.answering import let_go
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
from runtime.streamed import Flow
from runtime.telemetry import CallRecord, Recorder
from runtime.web.body import broken_off
from runtime.web.exchange import Exchange
from runtime.web.key import KeyRecord
from runtime.web.patience import cancelled

__all__ = ["Adapt", "Infer", "Inference", "Serve"]

JSON = ("content-type", "application/json")

Adapt: TypeAlias = Callable[[Envelope], Envelope]
"""A request as it was read, to the one that is meant; under another model's name, answers keep to the client's."""

Infer: TypeAlias = Callable[[Call], Awaitable[Complete | Streaming]]
"""Asks models; raises a GatewayError, always before anything was handed out."""

Serve: TypeAlias = Callable[[Exchange], Coroutine[object, object, None]]
"""Serves calls of one kind. What is the same for all calls of a path is made once."""

Answer: TypeAlias = Callable[[Exchange, CallRecord, KeyRecord, bytes], Awaitable[None]]
"""Answers a call whose key is good and whose body is there."""


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
        self._body_limit_bytes = plan.server.body_limit_bytes
        self._body_read_s = plan.timeouts.body_read_ms / 1000

    def chat(
        self,
        protocol: str,
        asked: Asked = Asked(),
        *,
        adapt: Adapt | None = None,
        at_hand: Callable[[Call], bytes | None] | None = None,
        infer: Infer | None = None,
    ) -> Serve:
        """Inference calls in ``protocol``; ``asked`` is what their URL says.

        ``at_hand`` may give an answer, in JSON, for which no model is needed. ``infer`` is how models are asked where that
        is not one call of the gateway.
        """
        asked_by = infer or self._gateway.infer

        def ask(exchange: Exchange, call: Call) -> Awaitable[None]:
            body = None if at_hand is None else at_hand(call)
            if body is None:
                return self.ask(exchange, call, asked_by)
            self._recorder.settle(call.record)
            return exchange.respond(200, (JSON, (call.codec.request_id_header, exchange.request_id)), body)

        return self.serve("chat", protocol, asked, ask, adapt)

    async def ask(self, exchange: Exchange, call: Call, infer: Infer) -> None:
        """Ask models by ``infer`` and write what they answer.

        A stream that is long in beginning is begun without them; a failure after that is an event of the stream.
        """
        reply: Complete | Streaming | None = None
        try:
            if not call.envelope.stream:
                reply = await self.replay.infer(call, infer)
            else:
                try:
                    async with self._early(exchange, call):
                        reply = await self.replay.infer(call, infer)
                except BaseException:
                    if reply is not None:  # it came while a comment was being sent
                        await let_go(reply)
                    raise
        except asyncio.CancelledError:
            farewell = self._door.farewell() if exchange.started else None
            if farewell is None:
                raise
            await self._fail_inside(exchange, call, farewell)
        except ClientClosed:
            raise
        except Exception as fault:
            if not exchange.started:
                raise
            await self._fail_inside(exchange, call, fault)
        else:
            if (rest := self.answer(exchange, call, reply)) is not None:
                await rest

    def answer(
        self, exchange: Exchange, call: Call, reply: Complete | Streaming
    ) -> Coroutine[object, object, None] | None:
        """Write an answer, whole or as it comes: None where that is done, else what is left of it, to be awaited."""
        if isinstance(reply, Streaming):
            return self._stream(exchange, call, reply)
        identity = (call.codec.request_id_header, exchange.request_id)
        return exchange.responded(200, (JSON, identity, *reply.headers, *self._cost(call.record)), reply.body)

    def count_tokens(
        self,
        protocol: str,
        asked: Asked = Asked(),
        *,
        adapt: Adapt | None = None,
        told: Callable[[Count], Mapping[str, object]] = input_tokens,
    ) -> Serve:
        """How requests are served that ask how many input tokens they have, which ``told`` says; an estimate says so in a header."""

        def ask(exchange: Exchange, call: Call) -> Awaitable[None]:
            return self.answer_count(exchange, call, told)

        return self.serve("count_tokens", protocol, asked, ask, adapt)

    async def answer_count(self, exchange: Exchange, call: Call, told: Callable[[Count], Mapping[str, object]]) -> None:
        """Count the input tokens of ``call`` and answer that."""
        count = await self._counter.count(call)
        source: Literal["estimate", "provider"] = "estimate" if count.estimated else "provider"
        headers = (JSON, ("x-gatewright-token-count", source), (call.codec.request_id_header, exchange.request_id))
        self._recorder.settle(call.record)
        await exchange.respond(200, headers, orjson.dumps(told(count)))

    def embed(self, protocol: str, asked: Asked = Asked(), adapt: Adapt | None = None) -> Serve:
        """How requests for the vectors of texts are served, in the embedder ``protocol``. ``adapt`` is what else the path means."""
        embedder = self._embedders[protocol]
        codec = self._codecs[embedder.dialect]

        async def answer(exchange: Exchange, record: CallRecord, key: KeyRecord, body: bytes) -> None:
            envelope, shown = self._meant(embedder.peek(body, asked), adapt, key, record)
            headers = exchange.headers
            call = EmbedCall(embedder=embedder, envelope=envelope, key=key, record=record, shown=shown, headers=headers)
            reply = await self.replay.embed(call, self._gateway.embed)
            identity = (codec.request_id_header, exchange.request_id)
            await exchange.respond(200, (JSON, identity, *reply.headers, *self._cost(record)), reply.body)

        return partial(self._frame, "embeddings", codec, answer)

    def serve(
        self,
        operation: str,
        protocol: str,
        asked: Asked,
        ask: Callable[[Exchange, Call], Awaitable[None]],
        adapt: Adapt | None = None,
    ) -> Serve:
        """How requests are served that are read as calls and handed to ``ask``, which answers; what it raises is answered here."""
        codec = self._codecs[protocol]

        def answer(exchange: Exchange, record: CallRecord, key: KeyRecord, body: bytes) -> Awaitable[None]:
            envelope, shown = self._meant(codec.peek(body, asked), adapt, key, record)
            headers = exchange.headers
            return ask(
                exchange, Call(codec=codec, envelope=envelope, headers=headers, key=key, record=record, shown=shown)
            )

        return partial(self._frame, operation, codec, answer)

    async def _frame(self, operation: str, codec: ClientCodec, answer: Answer, exchange: Exchange) -> None:
        """The frame of a call: its record is ended exactly once, however it goes."""
        record = self._recorder.begin(exchange.request_id, operation, codec.protocol)
        try:
            with self._door as visit:
                if (turn := self._door.turns.turn()) is not None:
                    await turn
                key = self._access.admitted(exchange.headers, exchange.query, exchange.required_scope)
                if not isinstance(key, KeyRecord):
                    key = await key
                record.key, record.tenant = key.id, key.tenant
                visit.owner = key.id
                if decision := self._recorder.admitted(record):
                    exchange.stamp(b"x-gatewright-decision", decision)
                body = await exchange.read_body(self._body_limit_bytes, self._body_read_s)
                with exchange.while_connected(visit.task):  # until here `read_body` sees who leaves
                    await answer(exchange, record, key, body)
            record.status = 200
        except GatewayError as error:
            await self._fail(exchange, codec, record, error)
        except ClientClosed:
            if exchange.body_read or exchange.left:
                record.outcome, record.status = "client_closed", 499
            else:  # of a body that breaks off the server says the same, and then its client may be there
                await self._fail(exchange, codec, record, broken_off())
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

    async def _stream(self, exchange: Exchange, call: Call, reply: Streaming) -> None:
        """Write a stream as it comes; in a silence, what the dialect allows to keep the line open."""
        async with aclosing(reply.chunks) as chunks:
            with exchange.keep_alive(reply.keep_alive, self._silence_s):
                if not exchange.started:
                    await exchange.start(200, (*self._head(exchange, call.codec, reply.content_type), *reply.headers))
                if isinstance(chunks, Flow):
                    chunks.at_once(exchange.offer)
                try:
                    async for data in chunks:
                        if (rest := exchange.pass_on(data)) is not None:
                            await rest
                except ClientClosed:
                    raise
                except Exception as fault:  # noqa: BLE001 — told by an event of the stream, and logged where it is ours
                    await self._fail_inside(exchange, call, fault)
                else:
                    self._recorder.settle(call.record)
                    await exchange.finish()

    async def _fail(self, exchange: Exchange, codec: ClientCodec, record: CallRecord, error: GatewayError) -> None:
        reply = codec.encode_error(error, exchange.request_id)
        record.outcome, record.error, record.status = "error", error.kind, reply.status
        self._recorder.settle(record)
        headers = reply.headers
        if isinstance(error, LimitReached):
            headers = (*headers, *limit_headers(codec.protocol, error.standings, error.at_s))
        if (rest := exchange.responded(reply.status, headers, reply.body)) is not None:
            await rest

    async def _fail_inside(self, exchange: Exchange, call: Call, fault: Exception) -> None:
        """The error of a stream that was begun, where nobody is left who makes its answer."""
        error = self._recorder.told(call.record, fault)
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
            (codec.request_id_header, exchange.request_id),
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
