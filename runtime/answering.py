"""What becomes of a provider's answer on its way to the client: passed on or translated, whole or as it comes."""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import msgspec

from runtime.call import Call, Complete, Streaming
from runtime.canonical import Request, Usage, collect
from runtime.errors import InvalidRequest
from runtime.protocols.base import Answer, ClientCodec, Codec, Outgoing
from runtime.protocols.relay import Passing, Relay, Translating
from runtime.routing import Candidate
from runtime.telemetry import CallRecord
from runtime.upstream.types import UpstreamResponse

__all__ = ["answer_headers", "let_go", "relay_of", "shown", "translated", "unsaid", "whole_request"]

FORWARDED: Final = ("x-ratelimit-", "anthropic-ratelimit-", "retry-after", "x-gatewright-simulated")


def translated(
    client: ClientCodec, speaks: Codec, outgoing: Outgoing, body: bytes, answer: Answer, streamed: bool
) -> tuple[bytes, Usage | None]:
    """A whole answer of a provider that ``speaks`` another protocol, as ``client`` reads it, and what it took.

    ``streamed``: its provider streams whether asked to or not.
    """
    if streamed:
        decoder = speaks.stream_decoder(outgoing)
        response = collect([*decoder.feed(body), *decoder.close()])
    else:
        response = speaks.decode_response(body, outgoing)
    return client.encode_response(response, answer), response.usage


def relay_of(client: ClientCodec, speaks: Codec, outgoing: Outgoing, answer: Answer) -> Relay:
    """What turns the reads of a stream into the client's bytes."""
    encoder = client.stream_encoder(answer)
    if speaks.protocol == client.protocol:
        if outgoing.unasked_usage or outgoing.choices > 1:
            answer = msgspec.structs.replace(answer, hides_usage=outgoing.unasked_usage, choices=outgoing.choices)
        return Passing(speaks.stream_tap(answer), encoder)
    return Translating(speaks.stream_decoder(outgoing), encoder)


def answer_headers(
    record: CallRecord, candidate: Candidate, outgoing: Outgoing, response: UpstreamResponse
) -> tuple[tuple[str, str], ...]:
    """Who served, after how many attempts, what was lost, and the limits the provider reported."""
    told = response.headers
    headers = [("x-gatewright-served", candidate.id)]
    if record.session:
        headers.append(("x-omniroute-session-id", record.session))
    if len(record.attempts) > 1:
        headers.append(("x-gatewright-attempts", str(len(record.attempts))))
    if outgoing.losses:
        headers.append(("x-gatewright-dropped", ", ".join(outgoing.losses)))
    headers += [(name, told[name]) for name in _forwarded(tuple(told))]
    return tuple(headers)


@lru_cache(maxsize=256)
def _forwarded(names: tuple[str, ...]) -> tuple[str, ...]:
    """Those of a provider's headers that its answers' clients get. Remembered: a provider sends the same ones every time."""
    return tuple(name for name in names if name.startswith(FORWARDED))


def shown(call: Call) -> str:
    """What the answer calls its model."""
    return call.envelope.model if call.shown is None else call.shown


def unsaid(request: Request, protocol: str) -> tuple[str, ...]:
    """What of a client's unknown fields a provider that speaks ``protocol`` is not told: those of its own go along."""
    carried = request.extensions.get(protocol, {})
    return tuple(name for name in request.unknown if name not in carried)


def whole_request(call: Call, request: Request | None) -> Request | None:
    """The request that others are asked to go on with; None for one that is passed on and only its provider can read."""
    try:
        return request or call.codec.decode_request(call.envelope, call.headers)
    except InvalidRequest:
        return None


async def let_go(reply: Complete | Streaming) -> None:
    """End an answer that nobody reads."""
    if isinstance(reply, Streaming):
        await reply.chunks.aclose()
