"""OpenAI Responses: answer, keep, continue, and give back what was kept, to the key that made it and to no other."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from generated.types.responses import ResponseDeleted, ResponseItemList
from runtime.errors import InvalidRequest, NotFound
from runtime.gateway import Call, Complete, Count, Gateway, Streaming
from runtime.protocols.base import Asked
from runtime.services.access import Access
from runtime.services.background import Background
from runtime.services.inference import Adapt, Inference
from runtime.services.keeping import Keeping
from runtime.services.response_object import listed, with_fields
from runtime.services.response_request import Asking, Reader, stored_responses
from runtime.services.runs import Runs
from runtime.stores.base import RUNNING, ResponseStore, StoredResponse
from runtime.web.exchange import Exchange
from runtime.web.header import KEPT_BY_NOBODY

__all__ = ["Kept", "Responses"]

JSON: Final = ("content-type", "application/json")
DEFAULT_LIMIT: Final = 20
MAX_LIMIT: Final = 100


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """Where responses are kept, and those that are made in the background."""

    store: ResponseStore
    background: Background
    runs: Runs


class Responses:
    """Implements `generated.api.responses.ResponsesService`. Without ``kept`` nothing is kept, and nothing is found.

    ``now`` gives Unix seconds; ``on_fault`` is told of faults that the client need not know, with the request's id.
    """

    PROTOCOL: Final = "openai_responses"

    def __init__(
        self,
        inference: Inference,
        gateway: Gateway,
        access: Access,
        reader: Reader,
        kept: Kept | None,
        now: Callable[[], float],
        new_id: Callable[[], str],
        on_fault: Callable[[Exception, str], None],
    ) -> None:
        self._inference = inference
        self._gateway = gateway
        self._access = access
        self._reader = reader
        self._kept = kept
        self._now = now
        self._new_id = new_id
        self._on_fault = on_fault

    async def create_response(self, exchange: Exchange) -> None:
        await self.create(exchange)

    async def create(self, exchange: Exchange, adapt: Adapt | None = None) -> None:
        """Answer a request, and keep the answer where it says so. ``adapt`` is what else the path means."""

        async def infer(call: Call) -> Complete | Streaming:
            async with stored_responses():
                asking = await self._reader.read(call.envelope, call.key.id)
            call = msgspec.structs.replace(call, envelope=asking.envelope)
            if asking.background and self._kept is not None:
                async with stored_responses():
                    body = await self._kept.background.queue(call, asking)
                    return Complete(headers=(), body=body, ended=False)
            reply = await self._gateway.infer(call)
            if asking.keep or asking.previous is not None:
                reply = await self._keeping(exchange, call, asking).take(reply)
            return reply

        def ask(exchange: Exchange, call: Call) -> Awaitable[None]:
            return self._inference.ask(exchange, call, infer)

        await self._inference.serve("chat", self.PROTOCOL, Asked(), ask, adapt)(exchange)

    async def count_response_input_tokens(self, exchange: Exchange) -> None:
        async def ask(exchange: Exchange, call: Call) -> None:
            async with stored_responses():
                asking = await self._reader.read(call.envelope, call.key.id)
            await self._inference.answer_count(
                exchange, msgspec.structs.replace(call, envelope=asking.envelope), _counted
            )

        await self._inference.serve("count_tokens", self.PROTOCOL, Asked(), ask)(exchange)

    @stored_responses()
    async def get_response(self, exchange: Exchange) -> None:
        if exchange.query.get("stream") in {"true", "1"}:
            raise InvalidRequest(
                "Unsupported parameter: 'stream'. Ask again until the response has ended.",
                param="stream",
                code="unsupported_parameter",
            )
        _, found = await self._find(exchange)
        await self._respond(exchange, found.body)

    @stored_responses()
    async def delete_response(self, exchange: Exchange) -> None:
        kept, found = await self._find(exchange)
        if not await kept.store.delete(found.key):
            raise _not_found(found.id)
        kept.runs.stop(found.key)
        await self._respond(exchange, msgspec.json.encode(ResponseDeleted(id=found.id, deleted=True)))

    @stored_responses()
    async def cancel_response(self, exchange: Exchange) -> None:
        kept, found = await self._find(exchange)
        if not found.background:
            raise InvalidRequest("Cannot cancel a synchronous response; only one made in the background can be.")
        if found.status in RUNNING:
            cancelled = with_fields(found.body, {"status": "cancelled"})
            if await kept.store.set_status(found.key, "cancelled", cancelled):
                kept.runs.stop(found.key)
            _, found = await self._find(exchange)
        await self._respond(exchange, found.body)

    @stored_responses()
    async def list_input_items(self, exchange: Exchange) -> None:
        kept, found = await self._find(exchange)
        order = exchange.query.get("order") or "desc"
        if order not in {"asc", "desc"}:
            raise InvalidRequest(
                f"Invalid value: '{order}'. Supported values are: 'asc' and 'desc'.",
                param="order",
                code="invalid_value",
            )
        after = exchange.query.get("after") or None
        try:
            page = await kept.store.context(
                found.key, limit=_limit(exchange), newest_first=order == "desc", after=after
            )
        except LookupError:
            raise InvalidRequest(f"Item with id '{after}' not found.", param="after", code="invalid_value") from None
        if page is None:
            raise _not_found(found.id)
        items = page.items
        answer = ResponseItemList(
            data=[listed(item) for item in items],
            first_id=items[0].id if items else None,
            last_id=items[-1].id if items else None,
            has_more=page.more,
        )
        await self._respond(exchange, msgspec.json.encode(answer))

    # -- what these share

    async def _find(self, exchange: Exchange) -> tuple[Kept, StoredResponse]:
        """The response that the path names, if it is the key's own. Raises NotFound."""
        key = await self._access.admit(exchange.headers, exchange.query, exchange.required_scope)
        id_ = exchange.path_params["response_id"]
        found = await self._kept.runs.standing((key.id, id_)) if self._kept is not None else None
        if self._kept is None or found is None:
            raise _not_found(id_)
        return self._kept, found

    def _keeping(self, exchange: Exchange, call: Call, asking: Asking) -> Keeping:
        """An id that a client's own request id went into may come again; such a response gets another."""
        chosen = exchange.headers.get("x-request-id") == exchange.request_id
        return Keeping(
            self._kept.store if self._kept is not None else None,
            asking,
            owner=call.key.id,
            chosen=f"resp_{exchange.request_id}" if chosen else None,
            created_s=self._now(),
            new_id=self._new_id,
            on_fault=lambda error: self._on_fault(error, exchange.request_id),
        )

    async def _respond(self, exchange: Exchange, body: bytes) -> None:
        await exchange.respond(200, (JSON, KEPT_BY_NOBODY, ("x-request-id", exchange.request_id)), body)


def _counted(count: Count) -> dict[str, object]:
    told: dict[str, object] = {"object": "response.input_tokens", "input_tokens": count.tokens}
    return told | ({"estimated": True} if count.estimated else {})


def _limit(exchange: Exchange) -> int:
    given = exchange.query.get("limit") or str(DEFAULT_LIMIT)
    if not (given.isascii() and given.isdecimal() and len(given) < 9 and 1 <= int(given) <= MAX_LIMIT):
        raise InvalidRequest(
            f"Invalid 'limit': expected a whole number from 1 to {MAX_LIMIT}.", param="limit", code="invalid_value"
        )
    return int(given)


def _not_found(id_: str) -> NotFound:
    return NotFound(f"Response with id '{id_}' not found.")
