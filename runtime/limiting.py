"""Where calls meet limits: what one may take at most, read off its request and its targets, and what its client is told.

The decision is made in `runtime.limits`, which knows neither requests nor dialects.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeVar

import msgspec

from runtime.call import Call, Complete, EmbedCall, Streaming
from runtime.canonical import Request
from runtime.catalog import Endpoint, Tier
from runtime.errors import GatewayError
from runtime.estimate import Estimator
from runtime.guide import GUIDING, demand
from runtime.limits.admission import Admission, Reservation
from runtime.limits.bound import Bound, bound_of
from runtime.limits.headers import RATE_HEADERS, limit_headers
from runtime.routing import Prepared, RouteTable
from runtime.sending import sizes_of_texts
from runtime.shaping import Shaping
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord

__all__ = ["Limiting", "permitted", "stamped"]

_SPARE_TOKENS: Final = 32
_BYTES_PER_TOKEN: Final = 2
"""Of what is embedded, at least, on common scripts."""

_TOKENS_PER_TEXT: Final = 2
"""Where models put a sign before each text and one behind it, they are counted, too."""

_CACHE_MARKS: Final = (b"cache_control", b"prompt_cache_breakpoint")
"""How the dialects ask for a part to be written to a cache. Each may be sent on as the other."""
_HURRIED: Final = frozenset({"priority", "fast", "auto"})
"""Tiers that a request asks for and that may cost more than usual."""

_SPEEDS: Final = ("speed", "fallbacks")
"""Where a request of Messages may ask to be served fast."""

Reply = TypeVar("Reply", bound=Complete | Streaming)


class Limiting:
    """Of one plan.

    Attributes:
        concerns: whether limits may hold for calls with a key; none of the rest is asked otherwise.
    """

    def __init__(self, admission: Admission, estimator: Estimator, shaping: Shaping) -> None:
        self._admission = admission
        self.concerns = admission.concerns
        self._estimator = estimator
        self._shaping = shaping

    def bars(self, call: Call, prepared: Prepared) -> bool:
        """Whether a policy forbids the model to a call's key, whatever its limits leave."""
        return self._admission.bars(call.key, call.envelope.model, prepared.combo, _sole(prepared))

    def allow(self, call: Call, prepared: Prepared) -> None:
        """Refuse a model that a policy forbids to a call's key, as `chat` does, and keep nothing aside."""
        if self.concerns(call.key):
            self._admission.allow(call.record, call.key, _sole(prepared))

    async def chat(self, call: Call, prepared: Prepared) -> Reservation | None:
        """What is kept aside for a chat call, None where nothing limits it. Raises what it is refused with."""
        return await self._admit(call.record, call.key, prepared, partial(self._bound, call, prepared))

    async def embed(self, call: EmbedCall, prepared: Prepared) -> Reservation | None:
        """The same for one that asks for vectors, which have no length.

        One that is made aside is kept aside for and counted, but is no request; without a price it is let in all the same.
        """
        sizes = sizes_of_texts(call.embedder, call.envelope)
        most = len(call.envelope.body) if sizes is None else sum(sizes)
        tokens = most // _BYTES_PER_TOKEN + _TOKENS_PER_TEXT * len(sizes or ())
        bound = bound_of([(each.id, each.target.model) for each in prepared.candidates], tokens, 0)
        if not call.aside:
            return await self._admit(call.record, call.key, prepared, lambda: bound)
        free = msgspec.structs.replace(bound, unpriced=None)
        await self._admission.admit(call.record, call.key, _sole(prepared), lambda: free, request=False)
        return None

    async def _admit(
        self, record: CallRecord, key: KeyRecord, prepared: Prepared, bound: Callable[[], Bound]
    ) -> Reservation | None:
        return await self._admission.admit(record, key, _sole(prepared), bound)

    def _bound(self, call: Call, prepared: Prepared) -> Bound:
        """Tokens are estimated, so a quarter is added to them."""
        request = self._shaping.request(call.codec.decode_request(call.envelope, call.headers))
        tokens = self._estimator.count(request)
        return bound_of(
            ((each.id, each.target.model) for each in prepared.candidates),
            tokens + tokens // 4 + _SPARE_TOKENS,
            request.max_output_tokens,
            answers=request.choices,
            at_once=1 if prepared.hedge is None else prepared.hedge.at_once,
            caches=any(mark in call.envelope.body for mark in _CACHE_MARKS),
            unasked=[each.id for each in prepared.candidates if each.target.provider.quirks.caches_unasked],
            searches=any(tool.search is not None for tool in request.tools),
            tiers=_dearer_tiers(request),
        )


def _dearer_tiers(request: Request) -> tuple[Tier, ...]:
    """Those in which it may be served and that may cost more than usual."""
    found: tuple[Tier, ...] = ("priority",) if request.service_tier in _HURRIED else ()
    for fields in request.extensions.values():
        if any(b'"fast"' in bytes(fields[name]) for name in _SPEEDS if name in fields):
            found = (*found, "fast")
    return found


def _sole(prepared: Prepared) -> str:
    """The only model that could answer; empty for a combo."""
    return "" if prepared.combo else prepared.candidates[0].id


def permitted(call: Call, routes: RouteTable, limiting: Limiting | None) -> bool:
    """Whether a chat call would get past its key and the policies, whatever its limits leave."""
    key, name = call.key, call.envelope.model
    if not key.may_use(name):
        return False
    limited = limiting is not None and limiting.concerns(key)
    if not limited and GUIDING.isdisjoint(call.headers):
        return True
    try:
        prepared = demand(routes.prepared(name, call.codec.protocol, Endpoint.CHAT), call.headers, key)
    except GatewayError:
        return False
    return limiting is None or not limiting.bars(call, prepared)


def stamped(reply: Reply, limited: Reservation, protocol: str, now_s: float) -> Reply:
    """``reply`` with how the client's own limits stand, in place of what the provider says of its own."""
    kept = [pair for pair in reply.headers if not pair[0].startswith(RATE_HEADERS)]
    stand = limit_headers(protocol, limited.standings(), now_s)
    return msgspec.structs.replace(reply, headers=(*kept, *stand))
