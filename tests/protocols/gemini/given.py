"""What tests of this codec start from: targets, answers, ways to ask it, and the vendor's own types as judges."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from google.genai import types
from pydantic import BaseModel, ConfigDict

from runtime.canonical import Message, ReasoningConfig, Request, Text
from runtime.catalog import Capability, Limits, Model, ParameterRules, Provider, ReasoningFacts, Surface
from runtime.protocols.base import Answer, Asked, Envelope, Outgoing, Target
from runtime.protocols.gemini import Gemini

__all__ = [
    "ANSWER", "CODEC", "OUTGOING", "SIGNATURE", "Body", "ask", "assistant", "contents", "decoded", "envelope", "judged",
    "losses", "sent", "target", "user",
]  # fmt: skip

CODEC = Gemini()
OUTGOING = Outgoing("/", (), b"", stream=True)
SHOWN = Request(model="public/name", messages=(), reasoning=ReasoningConfig(display="summarized"))
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={}, request=SHOWN)
SIGNATURE = "Q2lnbmF0dXJlLTE="
NO_RULES = ParameterRules()
NO_HEADERS: Mapping[str, str] = {}


class Body(BaseModel):
    """A request's body, put together from the SDK's types as its converters do."""

    model_config = ConfigDict(extra="forbid")

    contents: list[types.Content]
    systemInstruction: types.Content | None = None  # noqa: N815 — the vendor's names
    tools: list[types.Tool] | None = None
    toolConfig: types.ToolConfig | None = None  # noqa: N815
    safetySettings: list[types.SafetySetting] | None = None  # noqa: N815
    generationConfig: types.GenerationConfig | None = None  # noqa: N815
    cachedContent: str | None = None  # noqa: N815
    labels: dict[str, str] | None = None
    serviceTier: types.ServiceTier | None = None  # noqa: N815
    store: bool | None = None


def judged(body: bytes) -> dict[str, Any]:
    """The body, which the vendor's types take."""
    Body.model_validate_json(body)
    return msgspec.json.decode(body, type=dict[str, Any])


def target(
    model: str = "gemini-3.5-flash",
    *,
    reasoning: ReasoningFacts | None = None,
    max_output: int | None = None,
    has: tuple[Capability, ...] = (),
    lacks: tuple[Capability, ...] = (),
    parameters: ParameterRules = NO_RULES,
) -> Target:
    surface = Surface(path="/v1beta/models/{model}:{action}", count_tokens="/v1beta/models/{model}:countTokens")
    provider = Provider(
        id="vendor", name="Vendor", base_url="https://v.example", surfaces={"gemini": surface}, parameters=parameters
    )
    known = Model(id=model, reasoning=reasoning, limits=Limits(max_output=max_output), has=has, lacks=lacks)
    return Target(provider, known, surface)


def envelope(body: object, *, stream: bool = False, variant: str = "") -> Envelope:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return CODEC.peek(data, Asked("models/gemini-x", stream, variant))


def decoded(**fields: Any) -> Request:
    """A client's body to its canonical request."""
    body = {"contents": [{"role": "user", "parts": [{"text": "Hi."}]}], **fields}
    return CODEC.decode_request(envelope(body), NO_HEADERS)


def contents(*given: dict[str, Any]) -> tuple[Message, ...]:
    return decoded(contents=list(given)).messages


def sent(request: Request, to: Target | None = None) -> dict[str, Any]:
    """The body that is sent for ``request``, which the vendor's types take."""
    return judged(CODEC.encode_request(request, to or target(), NO_HEADERS).body)


def losses(request: Request, to: Target | None = None) -> tuple[str, ...]:
    return CODEC.encode_request(request, to or target(), NO_HEADERS).losses


def ask(*messages: Message, **fields: Any) -> Request:
    return Request(model="gemini-x", messages=messages or (user("Hi."),), **fields)


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


def assistant(*parts: Any) -> Message:
    return Message(role="assistant", content=parts)
