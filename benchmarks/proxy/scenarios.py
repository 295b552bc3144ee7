"""What is asked of every gateway: the requests, how many at once, and the targets."""

from __future__ import annotations

import json
from typing import Final, Literal

import msgspec

__all__ = ["MOST_START_S", "MOST_WORKER_MB", "QUICK", "SCENARIOS", "Held", "Scenario", "Target", "request_body"]

Kind = Literal["chat", "messages", "embeddings"]

MOST_START_S: Final = 1.0
"""To the first answer."""
MOST_WORKER_MB: Final = 120


class Target(msgspec.Struct, frozen=True):
    """The most CPU in ms a request may take here; the most against nginx; the least that LiteLLM takes against us."""

    ms: float
    nginx: float | None = None
    litellm: float | None = None


class Held(msgspec.Struct, frozen=True):
    """The most MB that a worker may hold meanwhile, and the most ms that a piece of a stream may be late by us."""

    worker_mb: float
    stall_ms: float


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of load.

    Attributes:
        client: the dialect that is spoken to the gateway.
        upstream: the dialect of the provider behind it; another one than ``client`` means translation.
        model: says to the provider what to answer, see `provider.c`.
        requests: of the gateway in one round; others get as many as their `Contender.share` of it.
        expected: what a complete answer holds near its end.
        status: what a good answer to this request has.
        crowd: so many streams that gateways which take a fifth of a core for each second of one are left out, and a round
            takes so long that there are few.
    """

    name: str
    client: Kind = "chat"
    upstream: Kind = "chat"
    model: str = "json-600"
    prompt_bytes: int = 850
    stream: bool = False
    connections: int = 16
    requests: int = 2000
    expected: str = ""
    status: int = 200
    key: Literal["good", "refused"] = "good"
    malformed: bool = False
    target: Target | None = None
    held: Held | None = None
    least: int = 8
    crowd: bool = False

    @property
    def yardstick(self) -> str:
        """The scenario of the same kind that everybody serves: what our own others are compared with."""
        return "stream of 100, 10 ms apart" if self.stream else "chat 1 KB"


SCENARIOS: Final = (
    Scenario(name="chat 1 KB", expected='"usage"', target=Target(0.20, 6, 80)),
    Scenario(name="chat 1 KB, 1 in flight", expected='"usage"', connections=1, requests=1000),
    Scenario(name="chat 1 KB, 64 in flight", expected='"usage"', connections=64),
    Scenario(name="chat 1 KB, 256 in flight", expected='"usage"', connections=256, requests=2560),
    Scenario(
        name="chat 100 KB prompt", prompt_bytes=100_000, expected='"usage"', requests=1000, target=Target(0.30, 5, 60)
    ),
    Scenario(name="chat 1 MB prompt", prompt_bytes=1_000_000, expected='"usage"', requests=200),
    Scenario(name="embeddings, 8 × 1536", client="embeddings", upstream="embeddings", model="embed-8x1536", requests=400),
    Scenario(
        name="Anthropic client, OpenAI provider", client="messages", upstream="chat", expected='"usage"', requests=1500,
        target=Target(0.25, None, 80),
    ),
    Scenario(
        name="OpenAI client, Anthropic provider", client="chat", upstream="messages", expected='"usage"', requests=1500,
        target=Target(0.25, None, 80),
    ),
    Scenario(
        name="stream of 100, at once", model="stream-100-0", stream=True, expected="[DONE]", requests=400,
        target=Target(1.0, 2.5, 90),
    ),
    Scenario(
        name="stream of 100, at once, Anthropic client, OpenAI provider", model="stream-100-0", stream=True,
        client="messages", expected="message_stop", requests=300,
    ),
    Scenario(
        name="stream of 100, 10 ms apart", model="stream-100-10", stream=True, expected="[DONE]", requests=64, least=16,
        target=Target(4.5, 2.5, 20),
    ),
    Scenario(
        name="stream of 100, 10 ms apart, Anthropic client, OpenAI provider", model="stream-100-10", stream=True,
        client="messages", expected="message_stop", requests=64, least=16, target=Target(5.0, None, 20),
    ),
    Scenario(
        name="stream of 100, 10 ms apart, OpenAI client, Anthropic provider", model="stream-100-10", stream=True,
        upstream="messages", expected="[DONE]", requests=64, least=16, target=Target(5.0, None, 20),
    ),
    Scenario(name="refused key", key="refused", status=401, connections=64, requests=2000, target=Target(0.06, 5, 60)),
    Scenario(name="malformed body", malformed=True, status=400, requests=3000),
    Scenario(
        name="500 streams, 100 ms apart", crowd=True, model="stream-50-100", stream=True, expected="[DONE]", connections=500,
        requests=500, least=500, held=Held(MOST_WORKER_MB, 250),
    ),
    Scenario(
        name="500 streams, 10 ms apart", crowd=True, model="stream-300-10", stream=True, expected="[DONE]", connections=500,
        requests=500, least=500, held=Held(MOST_WORKER_MB, 250),
    ),
    Scenario(
        name="1,000 streams, 100 ms apart", crowd=True, model="stream-50-100", stream=True, expected="[DONE]", connections=1000,
        requests=1000, least=1000,
    ),
)  # fmt: skip

QUICK: Final = (
    "chat 1 KB",
    "chat 100 KB prompt",
    "Anthropic client, OpenAI provider",
    "stream of 100, at once",
    "stream of 100, 10 ms apart",
    "stream of 100, 10 ms apart, Anthropic client, OpenAI provider",
    "refused key",
    "malformed body",
)
"""What the daily check measures."""


def request_body(scenario: Scenario, model: str) -> bytes:
    """The request's body; ``model`` is how the gateway at hand calls `Scenario.model`."""
    words = ("Say in plain words what this sentence means. " * (scenario.prompt_bytes // 45 + 1))[
        : scenario.prompt_bytes
    ]
    body: dict[str, object]
    match scenario.client:
        case "embeddings":
            body = {"model": model, "input": [words[:100]] * 8}
        case "messages":
            body = {"model": model, "max_tokens": 1024, "messages": [{"role": "user", "content": words}]}
        case "chat":
            system = {"role": "system", "content": "You are a terse assistant."}
            body = {"model": model, "messages": [system, {"role": "user", "content": words}], "temperature": 0.2}
            if scenario.upstream == "messages":
                body["max_tokens"] = 1024
    if scenario.stream:
        body["stream"] = True
        if scenario.client == "chat":
            body["stream_options"] = {"include_usage": True}  # as agents and SDKs that count do
    written = json.dumps(body).encode()
    return written[:-1] if scenario.malformed else written
