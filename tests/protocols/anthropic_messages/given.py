"""What tests of this codec start from: targets, answers, and ways to ask it."""

from __future__ import annotations

import random
from collections.abc import Mapping

import msgspec

from runtime.canonical import (
    Delta,
    Ended,
    Event,
    Finished,
    Message,
    PartEnded,
    PartStarted,
    Reasoning,
    Refusal,
    Request,
    Response,
    Started,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UsageReported,
)  # fmt: skip
from runtime.catalog import Limits, Model, Provider, Quirks, ReasoningFacts, Surface
from runtime.catalog.capability import Capability
from runtime.protocols.anthropic_messages import AnthropicMessages
from runtime.protocols.base import Answer, Envelope, Outgoing, Target

CODEC = AnthropicMessages()
OUTGOING = Outgoing("/v1/messages", (), b"", stream=True)
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={})
NO_HEADERS: Mapping[str, str] = {}

BUDGET = ReasoningFacts(style="budget", efforts=("low", "medium", "high"))
ADAPTIVE = ReasoningFacts(style="adaptive", efforts=("low", "medium", "high", "max"))
ALWAYS = ReasoningFacts(style="adaptive", efforts=("low", "high"), can_disable=False)
EFFORT = ReasoningFacts(style="effort", efforts=("low", "medium", "high"))

F = Tool(name="f", parameters='{"type":"object","properties":{}}')


def target(
    *,
    version: str | None = None,
    reasoning: ReasoningFacts | None = None,
    max_output: int | None = 8192,
    has: tuple[Capability, ...] = (),
    lacks: tuple[Capability, ...] = (),
    system_anywhere: bool = True,
    provider: Provider | None = None,
) -> Target:
    surface = Surface(path="/v1/messages", count_tokens="/v1/messages/count_tokens", version=version)
    return Target(
        provider=provider
        or Provider(
            id="vendor",
            name="Vendor",
            base_url="https://vendor.example",
            surfaces={"anthropic_messages": surface},
            quirks=Quirks(system_anywhere=system_anywhere),
        ),
        model=Model(id="claude-x", reasoning=reasoning, limits=Limits(max_output=max_output), has=has, lacks=lacks),
        surface=surface,
    )


def envelope(body: object) -> Envelope:
    return CODEC.peek(body if isinstance(body, bytes) else msgspec.json.encode(body))


def decoded(body: dict[str, object]) -> Request:
    return CODEC.decode_request(envelope({"model": "m", "max_tokens": 100, **body}), NO_HEADERS)


def sent(request: Request, to: Target | None = None, headers: Mapping[str, str] = NO_HEADERS) -> dict[str, object]:
    """The body that is sent for ``request``."""
    body: dict[str, object] = msgspec.json.decode(CODEC.encode_request(request, to or target(), headers).body)
    return body


def saying(*messages: Message, **fields: object) -> Request:
    return Request(model="m", messages=messages or (user("Hi."),), **fields)  # type: ignore[arg-type]


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def assistant(text: str) -> Message:
    return Message(role="assistant", content=(Text(text=text),))


def system(text: str) -> Message:
    return Message(role="system", content=(Text(text=text),))


def told(response: Response, draw: random.Random | None = None) -> list[Event]:
    """``response`` as a stream: in order, or with its calls interleaved by ``draw`` as some upstreams send them."""
    (choice,) = response.choices
    lanes: list[list[Event]] = []
    for index, part in enumerate(choice.content):
        match part:
            case Text(text=text):
                first: Text | Refusal | Reasoning | ToolCall = Text(text="")
            case Refusal(text=text):
                first = Refusal(text="")
            case Reasoning(text=text):
                first = Reasoning(sealed_by=part.sealed_by)
            case ToolCall(arguments=text):
                first = msgspec.structs.replace(part, arguments="")
            case _:
                raise AssertionError(part)
        half = len(text) // 2
        seal = [Delta(index=index, seal=part.seal)] if isinstance(part, Reasoning) and part.seal else []
        pieces = [Delta(index=index, text=piece) for piece in (text[:half], text[half:]) if piece]
        lanes.append([PartStarted(index=index, part=first), *pieces, *seal, PartEnded(index=index)])
    body = [event for lane in lanes for event in lane] if draw is None else _shuffled(lanes, draw)
    return [
        Started(id=response.id, model=response.model, created=response.created),
        *body,
        Finished(finish=choice.finish),
        UsageReported(usage=response.usage),
        Ended(),
    ]


def _shuffled(lanes: list[list[Event]], draw: random.Random) -> list[Event]:
    """Parts start in order; beyond that anything may come between anything."""
    started = 0
    out: list[Event] = []
    while any(lanes):
        ready = [lane for place, lane in enumerate(lanes) if lane and place <= started]
        lane = draw.choice(ready)
        event = lane.pop(0)
        started = max(started, event.index + 1) if isinstance(event, PartStarted) else started
        out.append(event)
    return out


def contents(body: dict[str, object]) -> list[tuple[str, object]]:
    return [(turn["role"], turn["content"]) for turn in body["messages"]]  # type: ignore[attr-defined]


def losses(request: Request, to: Target | None = None) -> tuple[str, ...]:
    return CODEC.encode_request(request, to or target(), NO_HEADERS).losses


TURN = (
    user("What is it like in Brno?"),
    Message(role="assistant", content=(ToolCall(id="a", name="f", arguments='{"x":1}'),)),
    Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="Cold."),)),)),
)
