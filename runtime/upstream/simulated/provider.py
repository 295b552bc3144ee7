"""`Upstream` for `sim://local`: routes a call to a simulated model and plays its answer, or the fault that was asked for."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable
from urllib.parse import urlsplit

from runtime.upstream.simulated import script, wire
from runtime.upstream.simulated.models import MODELS, last_user_text, prompt_tokens
from runtime.upstream.simulated.refusal import Refused, envelope
from runtime.upstream.simulated.reply import Reply, limited
from runtime.upstream.simulated.request import ChatRequest, read
from runtime.upstream.simulated.response import Clock, SimulatedResponse, Sleep, Step
from runtime.upstream.types import UpstreamRequest

__all__ = ["CONTEXT_TOKENS", "MAX_OUTPUT_TOKENS", "SimulatedUpstream"]

CONTEXT_TOKENS = 200_000
MAX_OUTPUT_TOKENS = 65_536

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"
PAGE = b"<html><head><title>Bad gateway</title></head><body>A simulated proxy's page.</body></html>\n"
GARBAGE = b'{"id": "chatcmpl-broken", "choices": [{"index": 0, "mess\xff\xfe'


class SimulatedUpstream:
    """The same request gets the same bytes.

    Args:
        now: Unix seconds, for ``created``, the one thing in an answer that the request does not decide.
        sleep: waits for so many seconds, and gives other tasks a turn for zero; `asyncio.sleep`, or a test's own.
    """

    def __init__(self, *, now: Callable[[], float], sleep: Sleep) -> None:
        self._now = now
        self._sleep = sleep

    async def send(self, request: UpstreamRequest) -> SimulatedResponse:
        clock = Clock(request.limits, self._sleep)
        try:
            chat = _route(request)
            if chat is None:
                return _answer(200, JSON, [Step(data=wire.model_list(tuple(MODELS)))], clock)
            return await self._complete(chat, request.body, clock)
        except Refused as refused:
            headers = dict(refused.headers)
            return _answer(refused.status, JSON, [Step(data=envelope(refused))], clock, headers)

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _complete(self, chat: ChatRequest, body: bytes, clock: Clock) -> SimulatedResponse:
        facts = wire.Facts(
            seed=hashlib.sha256(body).hexdigest(),
            model=chat.model,
            created=int(self._now()),
            prompt_tokens=_within_context(prompt_tokens(chat)),
        )
        text = last_user_text(chat)
        fault = script.fault_in(text) if chat.model == "error" else None
        if fault is not None and fault.after is None:
            return await _fail(fault, chat.stream or False, clock)
        pace = script.pace_in(text) if chat.model == "slow" else script.Pace()
        reply = limited(MODELS[chat.model](chat), _max_tokens(chat))
        steps = _steps(chat, reply, facts, fault, pace)
        if not chat.stream:
            await clock.wait(pace.first_s + pace.every_s * max(reply.tokens - 1, 0), "first_byte")
        return _answer(200, EVENTS if chat.stream else JSON, steps, clock)


def _route(request: UpstreamRequest) -> ChatRequest | None:
    """The chat request; None for the list of models. Raises Refused."""
    path = urlsplit(request.to.url).path.removeprefix("/v1")
    expected = {"/chat/completions": "POST", "/models": "GET"}.get(path)
    if expected is None:
        raise Refused(404, f"Unknown path: {request.to.method} {path}.")
    if request.to.method != expected:
        raise Refused(405, f"Method {request.to.method} is not allowed here; use {expected}.")
    if path == "/models":
        return None
    chat = read(request.body)
    if chat.model not in MODELS:
        reason = f"The model '{chat.model}' does not exist; there are {', '.join(MODELS)}."
        raise Refused(404, reason, None, "model_not_found")
    return chat


def _within_context(tokens: int) -> int:
    if tokens <= CONTEXT_TOKENS:
        return tokens
    reason = f"This model's maximum context length is {CONTEXT_TOKENS} tokens. Your messages have {tokens} tokens."
    raise Refused(400, reason, "messages", "context_length_exceeded")


def _max_tokens(chat: ChatRequest) -> int | None:
    name = "max_tokens" if chat.max_completion_tokens is None else "max_completion_tokens"
    limit = chat.max_tokens if chat.max_completion_tokens is None else chat.max_completion_tokens
    if limit is not None and limit > MAX_OUTPUT_TOKENS:
        reason = f"{name} is too large: {limit}. This model supports at most {MAX_OUTPUT_TOKENS} completion tokens."
        raise Refused(400, reason, name, "invalid_value")
    return limit


async def _fail(fault: script.Fault, stream: bool, clock: Clock) -> SimulatedResponse:
    """A fault that comes instead of an answer."""
    if fault.kind == "stall":
        await clock.wait(math.inf, "first_byte")
    if fault.kind == "html":
        return _answer(fault.status, "text/html; charset=utf-8", [Step(data=PAGE)], clock)
    if fault.kind == "garbage":
        data = b"data: " + GARBAGE + b"\n\n" if stream else GARBAGE
        return _answer(200, EVENTS if stream else JSON, [Step(data=data)], clock)
    raise script.refusal_for(fault)


def _steps(
    chat: ChatRequest, reply: Reply, facts: wire.Facts, fault: script.Fault | None, pace: script.Pace
) -> list[Step]:
    if not chat.stream:
        whole = wire.body(reply, facts)
        return [Step(data=whole)] if fault is None else _broken_body(whole, fault)
    usage = chat.stream_options is not None and chat.stream_options.include_usage
    pieces, ending = wire.split_events(wire.events(reply, facts, usage=usage))
    if fault is not None:
        return [Step(data=data) for data in pieces[: 1 + (fault.after or 0)]] + _breakage(fault)
    opening, first, rest = pieces[:1], pieces[1:2], pieces[2:]
    return [
        *(Step(data=data) for data in opening),
        *(Step(data=data, pause_s=pace.first_s) for data in first),
        *(Step(data=data, pause_s=pace.every_s) for data in rest),
        *(Step(data=data) for data in ending),
    ]


def _broken_body(whole: bytes, fault: script.Fault) -> list[Step]:
    """A body that is not streamed breaks half-way: it has no pieces to count."""
    if fault.kind == "error":
        raise script.refusal_for(fault)
    return [Step(data=whole[: len(whole) // 2]), *_breakage(fault)]


def _breakage(fault: script.Fault) -> list[Step]:
    match fault.kind:
        case "cut":
            return [Step(cut=True)]
        case "stall":
            return [Step(pause_s=math.inf)]
        case "error":
            return [Step(data=wire.error_event(envelope(script.refusal_for(fault))))]
        case _:
            return []


def _answer(
    status: int, content_type: str, steps: list[Step], clock: Clock, headers: dict[str, str] | None = None
) -> SimulatedResponse:
    shown = {"content-type": content_type, "x-gatewright-simulated": "true"} | (headers or {})
    return SimulatedResponse(status, shown, steps, clock)
