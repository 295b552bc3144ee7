"""Several prompts in one request for completions: a call for each, and one answer of them all.

Either every prompt is answered or the request fails. All calls are in one record.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing
from typing import Final

import msgspec

from generated.config import RequestSettings
from runtime.canonical import Usage
from runtime.errors import GatewayError
from runtime.gateway import Call, Complete, Gateway, Streaming
from runtime.limits.admission import Together
from runtime.protocols.base import Answer
from runtime.protocols.openai_completions.answer import Share
from runtime.protocols.openai_completions.prompts import PromptCodec, join_answers, split_prompts, write_stream_end
from runtime.resilience import Door
from runtime.services.merging import Merging, all_of
from runtime.telemetry import CallRecord

__all__ = ["Prompts"]

_OF_A_TARGET: Final = (
    "model", "stream", "served", "provider", "connection", "upstream_protocol", "passed_through", "upstream_status",
    "surface", "endpoint", "needs", "session",
)  # fmt: skip


class Prompts:
    """``now`` gives Unix seconds."""

    def __init__(self, gateway: Gateway, door: Door, settings: RequestSettings, now: Callable[[], float]) -> None:
        self._gateway = gateway
        self._door = door
        self._settings = settings
        self._now = now

    async def infer(self, call: Call) -> Complete | Streaming:
        """Answer a call, whatever number of prompts it has. Raises a GatewayError before anything was handed out."""
        envelopes = split_prompts(call.envelope, self._settings.max_prompts)
        if len(envelopes) == 1:
            return await self._gateway.infer(call)
        request = call.codec.decode_request(envelopes[0], call.headers)
        answer = Answer(
            model=call.envelope.model if call.shown is None else call.shown,
            id=call.record.id,
            created=int(self._now()),
            headers=call.headers,
            request=request,
        )
        calls = [
            msgspec.structs.replace(
                call,
                codec=PromptCodec(Share(first=at * request.choices, size=request.choices, created=answer.created)),
                envelope=envelope,
                record=msgspec.structs.replace(call.record, attempts=[], skipped=[], part=True),
            )
            for at, envelope in enumerate(envelopes)
        ]
        return await (self._stream if call.envelope.stream else self._whole)(call, calls, answer)

    async def _whole(self, call: Call, calls: list[Call], answer: Answer) -> Complete:
        waiting, records = iter(enumerate(calls)), [one.record for one in calls]
        answered: dict[int, Complete] = {}

        async def work() -> None:
            for at, one in waiting:  # each worker takes the next; one that fails takes no other
                reply = await self._ask(one)
                assert isinstance(reply, Complete), "no stream was asked for"
                answered[at] = reply

        try:
            await all_of([work() for _ in calls[: self._settings.prompts_at_once]])
        finally:
            _gather(call.record, records)
        replies = [answered[at] for at in range(len(calls))]
        body = join_answers((reply.body for reply in replies), call.record.usage or Usage(), answer)
        ended = all(reply.ended for reply in replies)
        return Complete(headers=_headers(records, replies), body=body, ended=ended)

    async def _stream(self, call: Call, calls: list[Call], answer: Answer) -> Streaming:
        """The first prompts have all begun before a byte goes out, so that what fails at once gives a status."""
        merging = Merging(calls, self._settings.prompts_at_once, self._begin_stream)
        records = [one.record for one in calls]
        try:
            begun = await merging.begin()
        except BaseException:
            _gather(call.record, records)
            raise
        chunks = self._chunks(call, records, merging, answer)
        await anext(chunks)  # inside its `try`, so that closing it lets all upstreams go even when nothing was read
        return Streaming(
            headers=_headers(records, begun),
            content_type=begun[0].content_type,
            keep_alive=begun[0].keep_alive,
            chunks=chunks,
        )

    async def _chunks(
        self, call: Call, records: list[CallRecord], merging: Merging, answer: Answer
    ) -> AsyncGenerator[bytes, None]:
        try:
            yield b""
            async with aclosing(merging.chunks()) as chunks:
                async for data in chunks:
                    yield data
            if merging.complete:
                _gather(call.record, records)
                yield write_stream_end(call.record.usage or Usage(), answer)
        except GatewayError as error:
            yield call.codec.stream_encoder(answer).fail(error)
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                raise
            records[0].outcome, records[0].error = "error", farewell.kind
            yield call.codec.stream_encoder(answer).fail(farewell)
        finally:
            await merging.aclose()
            _gather(call.record, records)

    async def _begin_stream(self, one: Call) -> Streaming:
        reply = await self._ask(one)
        assert isinstance(reply, Streaming), "a stream was asked for"
        return reply

    async def _ask(self, one: Call) -> Complete | Streaming:
        try:
            return await self._gateway.infer(one)
        except GatewayError as error:
            one.record.outcome, one.record.error = "error", error.kind
            raise


def _gather(record: CallRecord, parts: Sequence[CallRecord]) -> None:
    """Put into ``record`` what its calls came to. What is said of a target is said of the one that failed, else the last."""
    failed = next((part for part in parts if part.outcome == "error"), None)
    if failed is not None:
        record.outcome, record.error = failed.outcome, failed.error
    told = failed or next((part for part in reversed(parts) if part.served), parts[0])
    for field in _OF_A_TARGET:
        setattr(record, field, getattr(told, field))
    record.attempts = sorted((row for part in parts for row in part.attempts), key=lambda row: row.started_s)
    record.skipped = [skipped for part in parts for skipped in part.skipped]
    record.admitted = sum(part.let_in for part in parts)
    record.let_in = record.admitted > 0
    record.counters = next((part.counters for part in parts if part.counters), ())
    held = [part.held for part in parts if part.held is not None]
    if held:
        record.held_by_parts = Together(held)
    record.losses = tuple(dict.fromkeys(loss for part in parts for loss in part.losses))
    record.first_token_s = min((part.first_token_s for part in parts if part.first_token_s is not None), default=None)
    usages = [part.usage for part in parts if part.usage is not None]
    record.usage = sum(usages, Usage()) if usages else None


def _headers(records: Sequence[CallRecord], replies: Sequence[Complete | Streaming]) -> tuple[tuple[str, str], ...]:
    """What the answers' headers say: of ours each thing once, of a provider's the last; and how many attempts there were."""
    headers: dict[str, str] = {}
    for name, value in (pair for reply in replies for pair in reply.headers):
        said = headers.get(name)
        if said is None or not name.startswith("x-gatewright-"):
            headers[name] = value
        elif value not in said.split(", "):
            headers[name] = f"{said}, {value}"
    return tuple({**headers, "x-gatewright-attempts": str(sum(len(each.attempts) for each in records))}.items())
