"""What the operator adds to requests: a system prompt and a thinking budget, as the provider gets them."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import RequestSettings, SystemPrompt, ThinkingBudget
from runtime.canonical import Message, ReasoningConfig, Request, Text, Tool
from runtime.catalog import Capability, Model, ReasoningFacts
from runtime.errors import InvalidRequest
from runtime.protocols import CODECS, codec
from runtime.protocols.system_prompt import Place, with_system_prompt
from runtime.shaping import Shaping, budget_tokens
from tests.support.dialect import DIALECT
from tests.support.pipeline import Pipeline, acts, pipeline, provider
from tests.support.raw_server import RawConnection, RawRequest, RawServer, answer, raw_server

OWN = "You are terse."
PROMPT = "Say nothing of Project Nine."
SYSTEM: dict[str, list[dict[str, Any]]] = {
    "openai_chat": [
        {},
        {"messages": [{"role": "system", "content": OWN}, {"role": "user", "content": "hi"}]},
        {
            "messages": [
                {"role": "developer", "content": [{"type": "text", "text": OWN}]},
                {"role": "system", "content": "Second."},
                {"role": "user", "content": "hi"},
            ]
        },
    ],
    "ollama_chat": [{}, {"messages": [{"role": "system", "content": OWN}, {"role": "user", "content": "hi"}]}],
    "openai_responses": [{}, {"instructions": OWN}, {"instructions": None}],
    "anthropic_messages": [
        {},
        {"system": OWN},
        {"system": [{"type": "text", "text": OWN, "cache_control": {"type": "ephemeral"}}]},
    ],
    "gemini": [
        {},
        {"systemInstruction": {"parts": [{"text": OWN}]}},
        {"system_instruction": {"parts": {"text": OWN}}},
        {"systemInstruction": OWN},
    ],
}
CASES = [(protocol, fields) for protocol, every in SYSTEM.items() for fields in every]


def shaping(**settings: Any) -> Shaping:
    return Shaping(RequestSettings(**settings))


def said(request: Request) -> list[str]:
    """What the system prompt says, in order."""
    leading = [message for message in request.messages if message.role in {"system", "developer"}]
    return "\n\n".join(
        part.text for message in leading for part in message.content if isinstance(part, Text)
    ).split("\n\n")  # fmt: skip


@pytest.mark.parametrize("place", ["first", "last"])
@pytest.mark.parametrize(("protocol", "fields"), CASES)
def test_passed_on_or_translated_the_system_prompt_says_the_same(
    protocol: str, fields: dict[str, Any], place: Place
) -> None:
    assert SYSTEM.keys() == CODECS.keys()
    speak, dialect = codec(protocol), DIALECT[protocol]
    body = json.dumps(dialect.body("m", stream=False, **fields)).encode()
    envelope = speak.peek(body, dialect.asked("m", stream=False))
    own = speak.decode_request(envelope, {})

    passed = speak.decode_request(with_system_prompt(protocol, envelope, PROMPT, place), {})
    translated = shaping(system_prompt=SystemPrompt(text=PROMPT, place=place)).request(own)

    assert said(passed) == said(translated)
    assert PROMPT == said(passed)[0 if place == "first" else -1]
    before = [] if said(own) == [""] else said(own)
    assert before == [text for text in said(passed) if text != PROMPT]
    rest = [message for message in own.messages if message.role not in {"system", "developer"}]
    assert rest == [message for message in passed.messages if message.role not in {"system", "developer"}]


@given(st.text(min_size=1), st.sampled_from(CASES), st.sampled_from(["first", "last"]))
def test_any_text_arrives_and_nothing_else_changes(text: str, case: tuple[str, dict[str, Any]], place: Place) -> None:
    protocol, fields = case
    speak, dialect = codec(protocol), DIALECT[protocol]
    body = json.dumps(dialect.body("m", stream=False, extra={"kept": [1.50]}, **fields)).encode()
    envelope = speak.peek(body, dialect.asked("m", stream=False))
    after = with_system_prompt(protocol, envelope, text, place)

    changed = {
        name
        for name, value in after.fields.items()
        if bytes(value) != bytes(envelope.fields.get(name, msgspec.Raw(b"")))
    }
    assert 1 == len(changed)
    assert envelope.fields.keys() - changed == after.fields.keys() - changed
    assert after.fields == msgspec.json.decode(after.body, type=dict[str, msgspec.Raw])
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        return
    assert encoded.decode() in json.dumps(json.loads(after.body), ensure_ascii=False) or json.dumps(
        text, ensure_ascii=False
    ).strip('"') in json.dumps(json.loads(after.body), ensure_ascii=False)


@pytest.mark.parametrize(
    ("protocol", "fields"),
    [
        ("openai_chat", {"messages": "hi"}),
        ("openai_chat", {"messages": [{"role": "system", "content": 7}]}),
        ("openai_responses", {"instructions": ["a"]}),
        ("anthropic_messages", {"system": 7}),
        ("gemini", {"systemInstruction": 7}),
    ],
)
def test_a_system_prompt_is_never_left_out_in_silence(protocol: str, fields: dict[str, Any]) -> None:
    dialect = DIALECT[protocol]
    body = json.dumps(dialect.body("m", stream=False, **fields)).encode()
    envelope = codec(protocol).peek(body, dialect.asked("m", stream=False))

    with pytest.raises(InvalidRequest) as refused:
        with_system_prompt(protocol, envelope, PROMPT, "first")
    assert next(iter(fields)) == refused.value.param


# -- thinking

THINKER = Model(id="m", reasoning=ReasoningFacts(style="budget", max_budget=20_000))


def asking(messages: int = 1, tools: int = 0, text: str = "hi", **fields: Any) -> Request:
    turns = tuple(Message(role="user", content=(Text(text=text),)) for _ in range(messages))
    return Request(model="m", messages=turns, tools=tuple(Tool(name=f"t{index}") for index in range(tools)), **fields)


@pytest.mark.parametrize(
    ("settings", "request_", "tokens"),
    [
        (ThinkingBudget(mode="custom", tokens=500), asking(), 500),
        (ThinkingBudget(mode="custom", tokens=100_000), asking(), 20_000),
        (ThinkingBudget(mode="adaptive", effort="low"), asking(), 1024),
        (ThinkingBudget(mode="adaptive", effort="none"), asking(20, 9), 0),
        (ThinkingBudget(mode="adaptive", effort="low"), asking(11), 1536),
        (ThinkingBudget(mode="adaptive", effort="low"), asking(11, 4), 2048),
        (ThinkingBudget(mode="adaptive", effort="low"), asking(11, 4, "x" * 2001), 2355),
        (ThinkingBudget(mode="adaptive", effort="medium"), asking(text="x" * 2001), 13_312),
        (ThinkingBudget(mode="adaptive", effort="high"), asking(), 20_000),
        (ThinkingBudget(mode="adaptive", base_tokens=100, complexity_multiplier=2.0), asking(11), 200),
    ],
)
def test_the_tokens_to_think_with(settings: ThinkingBudget, request_: Request, tokens: int) -> None:
    assert tokens == budget_tokens(settings, request_, THINKER)


def test_thinking_is_set_taken_out_or_left_alone() -> None:
    effort = ReasoningConfig(effort="high", display="summarized")
    asked = asking(reasoning=effort)
    lacks = Model(id="m", lacks=(Capability.REASONING,))
    custom = shaping(thinking_budget=ThinkingBudget(mode="custom", tokens=2048))

    assert asked is shaping().thinking(asked, THINKER)
    assert asked is shaping(thinking_budget=ThinkingBudget()).thinking(asked, THINKER)
    assert None is shaping(thinking_budget=ThinkingBudget(mode="auto")).thinking(asked, Model(id="m")).reasoning
    assert asked is custom.thinking(asked, lacks)
    assert (silent := asking()) is custom.thinking(silent, Model(id="unknown"))
    wanted = ReasoningConfig(mode="on", budget_tokens=2048, display="summarized")
    assert wanted == custom.thinking(asked, THINKER).reasoning
    off = shaping(thinking_budget=ThinkingBudget(mode="custom", tokens=0))
    assert "off" == getattr(off.thinking(asking(), THINKER).reasoning, "mode", None)


# -- what the provider gets


async def _refuse(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(answer(b'{"error":{"message":"no"}}', "content-type: application/json", status=400))


@asynccontextmanager
async def served(
    protocol: str, settings: str, models: str = "m: {}"
) -> AsyncGenerator[tuple[Pipeline, RawServer], None]:
    async with raw_server(acts(then=_refuse)) as server:
        config = f"requests: {settings}\nproviders:\n{provider('p', server, f'models: {{{models}}}', protocol)}"
        async with pipeline(config) as made:
            yield made, server


@pytest.mark.parametrize("client", list(SYSTEM))
@pytest.mark.parametrize("spoken", list(SYSTEM))
async def test_the_system_prompt_reaches_every_provider_from_every_client(client: str, spoken: str) -> None:
    async with served(spoken, f"{{system_prompt: {{text: '{PROMPT}'}}}}") as (made, server):
        call = await made.call("p/m", client=client)

        assert 1 == server.requests[0].body.count(PROMPT.encode())
        assert (client == spoken) == call.record.passed_through
        assert PROMPT.encode() not in call.body


@pytest.mark.parametrize("spoken", ["openai_chat", "anthropic_messages"])
async def test_a_thinking_budget_replaces_what_the_client_says_and_keeps_the_rest(spoken: str) -> None:
    model = (
        "m: {reasoning: {style: budget, max_budget: 30000}}"
        if spoken == "anthropic_messages"
        else "m: {has: [reasoning]}"
    )
    own = (
        {"thinking": {"type": "enabled", "budget_tokens": 9000}}
        if spoken == "anthropic_messages"
        else {"reasoning_effort": "high"}
    )
    async with served(spoken, "{thinking_budget: {mode: custom, tokens: 1100}}", model) as (made, server):
        await made.call("p/m", client=spoken, user="u", metadata={"user_id": "u"}, max_tokens=20_000, **own)

        sent = json.loads(server.requests[0].body)
        assert 20_000 == sent["max_tokens"]
        assert {"user_id": "u"} == sent["metadata"]
        if spoken == "anthropic_messages":
            assert {"type": "enabled", "budget_tokens": 1100} == sent["thinking"]
        else:
            assert sent["reasoning_effort"] in {"minimal", "low"}


@pytest.mark.parametrize(("limit", "budget"), [(20_000, 10_240), (4096, 3072), (1366, 1024), (1200, None)])
async def test_a_thinking_budget_leaves_a_quarter_of_the_clients_limit_to_the_answer(
    limit: int, budget: int | None
) -> None:
    """The limit is of both together: what the operator says would leave one token to say something."""
    model = "m: {reasoning: {style: budget}}"
    async with served("anthropic_messages", "{thinking_budget: {mode: custom}}", model) as (made, server):
        await made.call("p/m", client="anthropic_messages", max_tokens=limit)

        sent = json.loads(server.requests[0].body)
        assert limit == sent["max_tokens"]
        assert budget == sent.get("thinking", {}).get("budget_tokens")


@pytest.mark.parametrize("settings", ["{mode: auto}", "{mode: custom, tokens: 1100}"])
async def test_a_thinking_budget_holds_in_whatever_words_a_client_asks(settings: str) -> None:
    """Those of servers whose Chat is their own, too; of what else is unknown nothing is lost, or told to be."""
    words: dict[str, Any] = {"thinking": {"type": "enabled"}, "reasoning": {"effort": "high"}, "enable_thinking": True, "thinking_budget": 9}  # fmt: skip
    template = {"enable_thinking": True, "tone": "dry"}
    async with served("openai_chat", f"{{thinking_budget: {settings}}}", "m: {has: [reasoning]}") as (made, server):
        call = await made.call("p/m", **words, chat_template_kwargs=template, odd=1)

        sent = json.loads(server.requests[0].body)
        assert words.keys().isdisjoint(sent)
        assert ({"tone": "dry"}, 1) == (sent["chat_template_kwargs"], sent["odd"])
        assert {"odd", "chat_template_kwargs"}.isdisjoint(call.record.losses)
        assert words.keys() <= set(call.record.losses)


async def test_without_these_settings_a_request_passes_byte_for_byte() -> None:
    async with served(
        "openai_chat", "{system_prompt: {text: x, place: 'off'}, thinking_budget: {mode: passthrough}}"
    ) as (made, server):
        call = await made.call("p/m", reasoning_effort="high", odd={"x": 1.0})

        assert call.record.passed_through
        assert json.loads(server.requests[0].body) == {
            "model": "m",
            "max_tokens": 50,
            "messages": [{"role": "user", "content": "hi"}],
            "stream": False,
            "reasoning_effort": "high",
            "odd": {"x": 1.0},
        }


STREAM = (
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{"content":"hi"}}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    b'data: {"id":"c","object":"chat.completion.chunk","created":1,"model":"m","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":1,"total_tokens":6}}\n\n'
    b"data: [DONE]\n\n"
)


async def _stream(connection: RawConnection, request: RawRequest) -> None:
    await connection.send(answer(STREAM, "content-type: text/event-stream"))


@pytest.mark.parametrize("asked", [False, True])
async def test_a_stream_that_was_told_to_think_shows_its_usage_to_who_asked_for_it(asked: bool) -> None:
    async with raw_server(acts(then=_stream)) as server:
        settings = "{thinking_budget: {mode: custom, tokens: 1100}}"
        config = (
            f"requests: {settings}\nproviders:\n{provider('p', server, 'models: {m: {has: [reasoning, streaming]}}')}"
        )
        async with pipeline(config) as made:
            options = {"stream_options": {"include_usage": True}} if asked else {}
            call = await made.call("p/m", stream=True, **options)

            assert asked == (b'"usage"' in call.body)
            assert not call.record.passed_through
            assert call.record.usage is not None
            assert b"[DONE]" in call.body
