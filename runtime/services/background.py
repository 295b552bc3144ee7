"""Responses that are made while nobody waits: queued at once, run as a task, their end told by the store alone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from runtime.errors import GatewayError, InternalError, UpstreamProtocolError
from runtime.gateway import Call, Complete, Gateway
from runtime.protocols.base import Answer
from runtime.resilience import Door
from runtime.services.response_object import Changes, failed_object, first_object, name_items, read_head, with_fields
from runtime.services.response_request import Asking
from runtime.services.runs import Runs
from runtime.stores.base import Item, ResponseStore, Status, StoredResponse, StoreGoneError
from runtime.telemetry import Recorder

__all__ = ["Background"]

TRIES: Final = 120
"""How often the store is told how a response stands, while it does not answer."""


class _Run(msgspec.Struct, frozen=True, kw_only=True):
    """``changes`` are what the object says whichever way it ends."""

    call: Call
    answer: Answer
    stored: StoredResponse
    changes: Changes


class Background:
    """``now`` gives Unix seconds, ``new_id`` what tells one response from another."""

    def __init__(
        self,
        gateway: Gateway,
        recorder: Recorder,
        store: ResponseStore,
        runs: Runs,
        door: Door,
        now: Callable[[], float],
        new_id: Callable[[], str],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self._gateway = gateway
        self._recorder = recorder
        self._store = store
        self._runs = runs
        self._door = door
        self._now = now
        self._new_id = new_id
        self._on_fault = on_fault

    async def queue(self, call: Call, asking: Asking) -> bytes:
        """Begin a response and return its object. Raises what would refuse the call before anything is sent."""
        with self._runs.place():
            return await self._begin(call, asking)

    async def _begin(self, call: Call, asking: Asking) -> bytes:
        self._gateway.check(call)
        request = call.codec.decode_request(call.envelope, call.headers)
        id_, now_s = f"resp_{self._new_id()}", self._now()
        answer = Answer(
            model=call.shown or call.envelope.model,
            id=call.record.id,
            created=int(now_s),
            headers=call.headers,
            request=request,
        )
        changes: Changes = {"id": id_, "background": True, "store": True, "previous_response_id": asking.previous}
        stored = StoredResponse(
            owner=call.key.id,
            id=id_,
            status="queued",
            created_s=now_s,
            body=with_fields(first_object(call.codec, answer), {**changes, "status": "queued"}),
            background=True,
            lease_until_s=self._runs.lease(),
        )
        await self._store.put(stored, asking.context, ())
        record = self._recorder.begin(call.record.id, "chat", call.codec.protocol)
        record.key, record.tenant = call.key.id, call.key.tenant
        # The client was told it: it leads to the reasons, and to what it costs.
        record.decision = call.record.decision
        record.settlement, call.record.settlement = call.record.settlement, record.settlement
        self._recorder.admitted(record)
        call.record.operation = "queue"
        run = _Run(call=msgspec.structs.replace(call, record=record), answer=answer, stored=stored, changes=changes)
        self._runs.start(stored.key, self._run(run))
        return stored.body

    async def _run(self, run: _Run) -> None:
        """The whole life of one response after its first answer. Its record is ended exactly once, however it goes."""
        record = run.call.record
        record.status = 200
        try:
            with self._door:
                body = with_fields(run.stored.body, {"status": "in_progress"})
                if not await self._tell(run, "in_progress", body):
                    record.outcome = "cancelled"
                    return
                await self._infer(run)
        except GatewayError as error:
            await self._fail(run, error)
        except asyncio.CancelledError:
            farewell = self._door.farewell()
            if farewell is None:
                record.outcome = "cancelled"
                raise
            await self._fail(run, farewell)
        except Exception as error:  # noqa: BLE001 — nobody awaits this task: what is not told here is lost
            self._on_fault(error, record.id)
            await self._fail(run, InternalError("the gateway failed; its log tells more under the request's id"))
        finally:
            self._recorder.end(record)

    async def _infer(self, run: _Run) -> None:
        reply = await self._gateway.infer(run.call)
        assert isinstance(reply, Complete), "a background request asks for no stream"
        self._recorder.settle(run.call.record)
        head = read_head(reply.body)
        if head is None:
            raise UpstreamProtocolError("the provider's answer is no response object")
        await self._end(run, head.end, reply.body, name_items(head.output, self._new_id))

    async def _fail(self, run: _Run, error: GatewayError) -> None:
        record = run.call.record
        record.outcome, record.error, record.status = "error", error.kind, error.http_status
        try:
            await self._end(run, "failed", failed_object(run.call.codec, run.answer, error))
        except Exception as fault:  # noqa: BLE001 — the lease ends it for those who ask
            self._on_fault(fault, record.id)

    async def _end(self, run: _Run, status: Status, body: bytes, output: tuple[Item, ...] = ()) -> None:
        self._runs.let_finish(run.stored.key)
        told = with_fields(body, {**run.changes, "status": status})
        await self._tell(run, status, told, output)

    async def _tell(self, run: _Run, status: Status, body: bytes, output: tuple[Item, ...] = ()) -> bool:
        """Write down how a response stands, again and again while the store does not answer: nobody else has the answer.

        Whether it was still being made. Raises StoreError, at once where the gateway shuts down.
        """
        for _ in range(TRIES - 1):
            try:
                return await self._store.set_status(run.stored.key, status, body, output)
            except StoreGoneError:
                if self._door.closed:
                    raise
            await asyncio.sleep(self._runs.poll_s)
        return await self._store.set_status(run.stored.key, status, body, output)
