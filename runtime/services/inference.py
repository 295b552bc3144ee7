"""What every inference operation does around the gateway: authenticate, read, ask, write, record.

Knows HTTP through `Exchange` and dialects through their codec; decides nothing about models. Errors are rendered here, in
the client's dialect, until a first byte was sent; after that the gateway's own error event has already said it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Literal

import orjson

from runtime.config.plan import Plan
from runtime.errors import ClientClosed, GatewayError, InternalError
from runtime.gateway import Call, Complete, Gateway, Streaming
from runtime.protocols.base import Asked, ClientCodec
from runtime.resilience import Door
from runtime.services.access import Access
from runtime.telemetry import CallRecord, Recorder
from runtime.web.exchange import Exchange

__all__ = ["Inference"]

JSON = ("content-type", "application/json")


class Inference:
    """Serves inference calls of one plan."""

    def __init__(
        self,
        plan: Plan,
        codecs: Mapping[str, ClientCodec],
        gateway: Gateway,
        access: Access,
        recorder: Recorder,
        door: Door,
    ) -> None:
        self._plan = plan
        self._codecs = codecs
        self._gateway = gateway
        self._access = access
        self._recorder = recorder
        self._door = door

    async def chat(self, exchange: Exchange, protocol: str, asked: Asked = Asked()) -> None:
        """One inference call in ``protocol``; ``asked`` is what its URL says."""

        async def ask(call: Call) -> None:
            reply = await self._gateway.infer(call)
            if isinstance(reply, Complete):
                await exchange.respond(200, (JSON, *self._ids(call.codec, exchange), *reply.headers), reply.body)
            else:
                await self._stream(exchange, call, reply)

        await self._serve(exchange, "chat", protocol, asked, ask)

    async def count_tokens(self, exchange: Exchange, protocol: str, asked: Asked = Asked()) -> None:
        """How many input tokens a request has; an estimate says that it is one, in a header and in the body."""

        async def ask(call: Call) -> None:
            count = await self._gateway.count(call)
            source: Literal["estimate", "provider"] = "estimate" if count.estimated else "provider"
            body = {"input_tokens": count.tokens} | ({"estimated": True} if count.estimated else {})
            headers = (JSON, ("x-gatewright-token-count", source), *self._ids(call.codec, exchange))
            await exchange.respond(200, headers, orjson.dumps(body))

        await self._serve(exchange, "count_tokens", protocol, asked, ask)

    async def _serve(
        self,
        exchange: Exchange,
        operation: str,
        protocol: str,
        asked: Asked,
        ask: Callable[[Call], Awaitable[None]],
    ) -> None:
        """The frame of a call: its record is ended exactly once, however it goes."""
        codec = self._codecs[protocol]
        record = self._recorder.begin(exchange.request_id, operation, protocol)
        try:
            with self._door:
                async with exchange.while_connected():
                    await ask(await self._call(exchange, codec, record, asked))
            record.status = 200
        except GatewayError as error:
            await self._fail(exchange, codec, record, error)
        except ClientClosed:
            record.outcome, record.status = "client_closed", 499
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None or exchange.started:
                record.outcome, record.status = "client_closed", 499
                raise
            await self._fail(exchange, codec, record, farewell)
        except Exception:
            record.outcome, record.error, record.status = "error", InternalError.kind, 500
            raise
        finally:
            self._recorder.end(record)

    async def _call(self, exchange: Exchange, codec: ClientCodec, record: CallRecord, asked: Asked) -> Call:
        key = self._access.check(exchange.headers, exchange.query, exchange.required_scope)
        record.key = key.id
        settings = self._plan.server
        body = await exchange.read_body(settings.body_limit_bytes, self._plan.timeouts.body_read_ms / 1000)
        envelope = codec.peek(body, asked)
        return Call(codec=codec, envelope=envelope, headers=exchange.headers, key=key, record=record)

    async def _stream(self, exchange: Exchange, call: Call, reply: Streaming) -> None:
        """Write a stream as it comes; in a silence, what the dialect allows to keep the line open."""
        headers = (
            ("content-type", reply.content_type),
            ("cache-control", "no-cache"),
            ("x-accel-buffering", "no"),
            *self._ids(call.codec, exchange),
            *reply.headers,
        )
        async with aclosing(reply.chunks) as chunks, exchange.keep_alive(reply.keep_alive, self._silence_s):
            await exchange.start(200, headers)
            async for data in chunks:
                await exchange.send(data)
            await exchange.finish()

    async def _fail(self, exchange: Exchange, codec: ClientCodec, record: CallRecord, error: GatewayError) -> None:
        reply = codec.encode_error(error, exchange.request_id)
        record.outcome, record.error, record.status = "error", error.kind, reply.status
        await exchange.respond(reply.status, reply.headers, reply.body)

    @property
    def _silence_s(self) -> float:
        return self._plan.timeouts.keep_alive_ms / 1000

    def _ids(self, codec: ClientCodec, exchange: Exchange) -> tuple[tuple[str, str], ...]:
        return ((codec.request_id_header, exchange.request_id),)
