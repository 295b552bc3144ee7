"""Sending one attempt's request, under the limits of its provider and of its whole request."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Final

import msgspec

from generated.config import TimeoutSettings
from runtime.config.plan import Plan
from runtime.errors import GatewayError, InvalidRequest
from runtime.protocols.base import Envelope, Outgoing
from runtime.protocols.embedding import Embedder
from runtime.resilience import judge
from runtime.routing import Attempt, Candidate
from runtime.routing.planting import input_limit
from runtime.telemetry import AttemptRecord, CallRecord, Recorder
from runtime.upstream.address import Headers
from runtime.upstream.types import Destination, Limits, Upstream, UpstreamRequest, UpstreamResponse

__all__ = ["MAX_ERROR_BYTES", "Sender", "quarter", "quarter_of_texts", "sizes_of_texts"]

MAX_ERROR_BYTES: Final = 1 << 20
MAX_WAYS: Final = 4096
MAX_KEPT_CHARS: Final = 1024
"""Of a request's own headers, with which its way is kept: some of them are of the clients' making."""

MIN_SECRET: Final = 8
"""So long is a credential at least that is told from other words."""

MOST_REPEATED: Final = 8
APART: Final = "\u2060"
"""A sign without width that keeps words from being read as one."""

_REACHED: Final = frozenset({"", "cancelled", "diverged", "timeout"})
"""How attempts stand, without a status, whose request may have arrived."""


class _Way(msgspec.Struct, frozen=True):
    """What requests of one kind for one candidate have in common. ``most`` input tokens it takes, None when not known."""

    to: Destination
    timeouts: TimeoutSettings
    most: int | None


class Sender:
    """Asks targets of one plan. ``proxies`` maps a connection to the URL of the proxy that it is reached through."""

    def __init__(self, plan: Plan, upstream: Upstream, recorder: Recorder, proxies: Mapping[str, str]) -> None:
        self._plan = plan
        self._upstream = upstream
        self._recorder = recorder
        self._proxies = proxies
        self._ways: dict[tuple[Candidate, str, Headers], _Way] = {}

    async def send(
        self,
        attempt: Attempt,
        outgoing: Outgoing,
        record: CallRecord,
        decode_error: Callable[[int, Mapping[str, str], bytes], GatewayError],
    ) -> UpstreamResponse:
        """Send and wait for the status line. A status that is no success becomes the error it stands for."""
        candidate = attempt.candidate
        way = self._ways.get((candidate, outgoing.path, outgoing.headers)) or self._new_way(candidate, outgoing)
        timeouts, most, tokens = way.timeouts, way.most, quarter(outgoing.body)
        left_ms = attempt.left_ms()
        patience_ms = attempt.patience_ms(left_ms)
        if record.held is not None:
            await record.held.again(sum(map(_may_charge, record.attempts[:-1])))
        self._recorder.asking(record, attempt.record, tokens if most is None else min(tokens, most))
        attempt.sent()
        first_byte_ms = timeouts.first_byte_ms if outgoing.stream else timeouts.first_byte_unstreamed_ms
        limits = Limits(
            min(timeouts.connect_ms, patience_ms),
            min(first_byte_ms, patience_ms),
            timeouts.idle_ms,
            min(timeouts.total_ms, left_ms),
        )
        response = await self._upstream.send(UpstreamRequest(way.to, outgoing.body, limits))
        record.upstream_status = attempt.record.status = response.status
        attempt.heard(response.headers)
        if response.status == 200:
            return response
        body = (await response.read(MAX_ERROR_BYTES)).decode("utf-8", "replace").encode()
        decode = partial(decode_error, response.status, response.headers)
        raise _refusal(decode, _silent(body, candidate), outgoing, candidate)

    def timeouts(self, candidate: Candidate) -> TimeoutSettings:
        """The provider's own limits, else everybody's."""
        return self._plan.provider_timeouts.get(candidate.target.provider.id, self._plan.timeouts)

    def _new_way(self, candidate: Candidate, outgoing: Outgoing) -> _Way:
        """Of the protocol's own headers and the connection's the latter count where both have one."""
        headers = tuple((dict(outgoing.headers) | dict(candidate.headers)).items())
        url, pool = candidate.base_url + outgoing.path, candidate.connection
        to = Destination("POST", url, headers, pool, self._proxies.get(pool, ""))
        way = _Way(to, self.timeouts(candidate), input_limit(candidate.target.model))
        if sum(len(value) for _, value in outgoing.headers) <= MAX_KEPT_CHARS:
            if len(self._ways) >= MAX_WAYS:
                del self._ways[next(iter(self._ways))]  # the oldest
            self._ways[candidate, outgoing.path, outgoing.headers] = way
        return way


def _silent(body: bytes, candidate: Candidate) -> bytes:
    """``body`` without the credential that went with the request: some providers repeat it in their complaints."""
    auth = candidate.target.provider.auth
    secret = dict(candidate.headers).get(auth.header.lower(), "").removeprefix(auth.prefix)
    if len(secret) < MIN_SECRET:
        return body
    for written in {secret, secret.replace("/", "\\/"), json.dumps(secret)[1:-1]}:
        body = body.replace(written.encode(), b"***")
    return body


def _refusal(
    decode: Callable[[bytes], GatewayError], body: bytes, outgoing: Outgoing, candidate: Candidate
) -> GatewayError:
    """What ``body`` says. Words that it may only repeat from the request say nothing against the account.

    Providers name what they do not take. Without this a client could have an account left alone, for all others too, by a
    field that is called as they call an account without credit.
    """
    error = decode(body)
    for _ in range(MOST_REPEATED):
        words = error.told_by
        if not words or judge(error).rests is None or not _holds(outgoing, candidate, words):
            break
        body, found = re.subn(re.escape(words.encode()), _apart, body, flags=re.IGNORECASE)
        if not found:
            break
        error = decode(body)
    if APART not in error.message:
        return error
    message = error.message.replace(APART, "")
    return type(error)(
        message,
        param=error.param,
        retry_after_s=error.retry_after_s,
        code=error.code,
        upstream_status=error.upstream_status,
    )


def _apart(words: re.Match[bytes]) -> bytes:
    return words[0][:1] + APART.encode() + words[0][1:]


def _holds(outgoing: Outgoing, candidate: Candidate, words: str) -> bool:
    """Whether a request has ``words`` somewhere, in whatever way they are written."""
    body, said = outgoing.body, words.encode()
    if said in body.lower() or words in candidate.target.model.id.lower():
        return True
    if any(words in value.lower() for _, value in outgoing.headers):
        return True
    if b"\\" not in body:
        return False
    try:
        return said in msgspec.json.encode(msgspec.json.decode(body)).lower()
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return True


def _may_charge(attempt: AttemptRecord) -> bool:
    """Whether its provider may want money for it: it answered, or may be at it."""
    if attempt.status is None:
        return attempt.number > 0 and attempt.outcome in _REACHED
    return attempt.status < 300


def quarter(body: bytes) -> int:
    """About how many tokens ``body`` has, without a look at it."""
    return len(body) // 4


def quarter_of_texts(embedder: Embedder, envelope: Envelope) -> int:
    """The same of the texts that are to become vectors, whatever is written around them and however it is escaped."""
    sizes = sizes_of_texts(embedder, envelope)
    return quarter(envelope.body) if sizes is None else sum(-(-size // 4) for size in sizes)


def sizes_of_texts(embedder: Embedder, envelope: Envelope) -> list[int] | None:
    """How many bytes each text has that is to become a vector; None for what only its provider can read."""
    try:
        return [len(text.encode("utf-8", "surrogatepass")) for text in embedder.decode_request(envelope).inputs]
    except InvalidRequest:
        return None
