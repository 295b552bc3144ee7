"""What a provider of this protocol is sent: the vendor's own types, nothing it refuses, nothing lost without a word."""

from __future__ import annotations

from functools import cache

import msgspec
import pytest
from anthropic.types import MessageCountTokensParams
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming, MessageCreateParamsStreaming
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from runtime.canonical import (
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    ReasoningConfig,
    Request,
    Sampling,
    Text,
    TextSource,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)  # fmt: skip
from runtime.catalog import ParameterRules, Provider, Surface
from runtime.catalog.capability import Capability
from runtime.errors import InvalidRequest
from runtime.protocols.base import Target
from tests.protocols.anthropic_messages.given import (
    ADAPTIVE,
    ALWAYS,
    BUDGET,
    CODEC,
    EFFORT,
    NO_HEADERS,
    contents,
    envelope,
    losses,
    saying,
    sent,
    target,
)  # fmt: skip
from tests.support.canonical import requests

TARGETS = (
    target(), target(version="2026-10-21"), target(reasoning=BUDGET), target(reasoning=ADAPTIVE), target(reasoning=ALWAYS),
    target(reasoning=EFFORT), target(system_anywhere=False, max_output=None), target(lacks=(Capability.PREFILL, Capability.JSON_SCHEMA)),
)  # fmt: skip


@cache
def vendors_own(type_: type[object]) -> TypeAdapter[object]:
    """Made when it is needed: it takes a good while, and every worker collects this file."""
    return TypeAdapter(type_)


# ---------------------------------------------------------------- any request


@given(requests(), st.sampled_from(TARGETS))
def test_any_request_fits_the_vendors_own_types(request: Request, to: Target) -> None:
    body = sent(request, to)

    sampling = {name: body.pop(name, None) for name in ("temperature", "top_p", "top_k")}  # the SDK's newest knows none
    asked = MessageCreateParamsStreaming if request.stream else MessageCreateParamsNonStreaming
    vendors_own(asked).validate_python(body)
    assert to.surface.version != "2026-10-21" or set(sampling.values()) == {None}
    assert body["max_tokens"] >= 1  # type: ignore[operator]
    assert body.get("thinking", {}).get("budget_tokens", 0) < body["max_tokens"]  # type: ignore[attr-defined]


@given(requests())
def test_a_request_comes_back_as_it_went_but_for_the_losses(request: Request) -> None:
    to = target(reasoning=ADAPTIVE, max_output=None)
    request = without_losses(request)
    outgoing = CODEC.encode_request(request, to, NO_HEADERS)
    again = CODEC.decode_request(CODEC.peek(outgoing.body), NO_HEADERS)

    expected = msgspec.structs.replace(
        request,
        model="claude-x",
        include_usage=request.stream,
        max_output_tokens=4096 if request.max_output_tokens is None else request.max_output_tokens,
        reasoning=request.reasoning and ReasoningConfig(mode="adaptive", effort=request.reasoning.effort),
    )
    assert expected == again
    assert not outgoing.losses or request.reasoning is not None


def without_losses(request: Request) -> Request:
    """``request`` without what `LOSSES` says this protocol cannot say, or says in other words."""

    def message(given: Message) -> Message:
        return msgspec.structs.replace(given, content=tuple(part(each) for each in given.content))

    def part(given: object) -> object:
        match given:
            case Image():
                return msgspec.structs.replace(given, detail=None)
            case ToolResult():
                return msgspec.structs.replace(given, name=None, content=given.content[:1])
            case _:
                return given

    tools = tuple(msgspec.structs.replace(tool, strict=None) for tool in request.tools)
    form = request.response_format
    thinks = request.reasoning is not None
    forced = isinstance(request.tool_choice, NamedTool | ToolSubset) or request.tool_choice == ToolMode(mode="required")
    return msgspec.structs.replace(
        request,
        messages=tuple(message(each) for each in _few_marks(request.messages)),
        tools=tools,
        tool_choice=ToolMode(mode="auto") if (forced and thinks) or isinstance(request.tool_choice, ToolSubset)
        or (request.tool_choice is None and request.parallel_tool_calls is False) else request.tool_choice,
        parallel_tool_calls=None if request.tool_choice == ToolMode(mode="none") else request.parallel_tool_calls,
        stop=tuple(word for word in request.stop if word.strip()),
        sampling=Sampling() if thinks else request.sampling,
        response_format=JsonSchema(schema='{"type":"object","properties":{},"additionalProperties":false}') if form else None,
    )  # fmt: skip


def _few_marks(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    def bare(given: object) -> object:
        return msgspec.structs.replace(given, cache=None) if isinstance(given, Text | Image | Document) else given

    return tuple(msgspec.structs.replace(each, content=tuple(bare(part) for part in each.content)) for each in messages)


@given(requests())
def test_encoding_changes_nothing_of_what_it_is_given(request: Request) -> None:
    before = msgspec.json.encode(request)
    first = CODEC.encode_request(request, target(system_anywhere=False), NO_HEADERS)
    second = CODEC.encode_request(request, target(system_anywhere=False), NO_HEADERS)

    assert before == msgspec.json.encode(request)
    assert first == second


# ---------------------------------------------------------------- settings


def test_sampling_is_clamped_and_zero_is_sent() -> None:
    assert 1 == sent(saying(sampling=Sampling(temperature=1.4)))["temperature"]
    body = sent(saying(sampling=Sampling(temperature=0.0, top_p=0.0, top_k=0)))
    assert (0, 0, 0) == (body["temperature"], body["top_p"], body["top_k"])


def test_sampling_is_not_sent_in_a_version_without_it() -> None:
    request = saying(sampling=Sampling(temperature=0.5))

    assert "temperature" not in sent(request, target(version="2026-10-21"))
    assert "sampling.temperature" in losses(request, target(version="2027-01-01"))
    assert 0.5 == sent(request, target(version="2023-06-01"))["temperature"]


@pytest.mark.parametrize(
    ("asked", "most", "expected"),
    [(None, 8192, 8192), (None, None, 4096), (100, 8192, 100), (99_999, 8192, 8192), (0, 8192, 0)],
)
def test_pitfall_121_the_output_limit_is_the_models_own_where_none_is_said(
    asked: int | None, most: int | None, expected: int
) -> None:
    assert expected == sent(saying(max_output_tokens=asked), target(max_output=most))["max_tokens"]


def test_blank_stop_texts_are_left_out_with_a_word() -> None:
    assert ["END"] == sent(saying(stop=("END", "\n\n")))["stop_sequences"]
    assert "stop_sequences" not in sent(saying(stop=(" ",)))
    assert "stop" in losses(saying(stop=(" ",)))


def test_a_schema_for_the_answer_is_forced_and_any_object_asked_for_in_words() -> None:
    schema = JsonSchema(schema='{"type":"object","properties":{},"additionalProperties":false}', name="x", strict=True)

    assert {"format": {"type": "json_schema", "schema": msgspec.json.decode(schema.schema)}} == (
        sent(saying(response_format=schema))["output_config"]
    )
    assert "output_config" not in sent(saying(response_format=JsonObject()))
    assert "JSON object" in sent(saying(response_format=JsonObject()))["system"][0]["text"]  # type: ignore[index]
    old = sent(saying(response_format=schema), target(lacks=(Capability.JSON_SCHEMA,)))
    assert "additionalProperties" in old["system"][-1]["text"]  # type: ignore[index]


def test_a_schema_that_cannot_be_forced_is_asked_for_in_words_and_the_client_is_told() -> None:
    schema = '{"type":"object","properties":{"m":{"type":"object","additionalProperties":{"type":"integer"}}}}'
    request = saying(response_format=JsonSchema(schema=schema))
    body = sent(request)

    assert "output_config" not in body
    assert body["system"][-1]["text"].endswith(schema)  # type: ignore[index]
    assert ("response_format.schema",) == losses(request)


def test_pitfall_110_json_beside_thinking_is_a_form_not_a_forced_tool() -> None:
    schema = JsonSchema(schema='{"type":"object","properties":{}}')
    request = saying(response_format=schema, reasoning=ReasoningConfig(effort="low"))
    body = sent(request, target(reasoning=ADAPTIVE))

    assert {"effort", "format"} == set(body["output_config"])  # type: ignore[call-overload]
    assert "tools" not in body


@pytest.mark.parametrize(
    ("tier", "expected"), [("auto", "auto"), ("priority", "auto"), ("default", "standard_only"), ("flex", None)]
)
def test_service_tiers_are_said_in_the_vendors_words(tier: str, expected: str | None) -> None:
    assert expected == sent(saying(service_tier=tier)).get("service_tier")


def test_the_user_is_named_unless_the_name_is_too_long() -> None:
    assert {"user_id": "u"} == sent(saying(user="u"))["metadata"]
    assert "metadata" not in sent(saying(user="u" * 257))
    assert "user" in losses(saying(user="u" * 257))


def test_what_the_vendor_has_no_field_for_is_named() -> None:
    request = saying(
        sampling=Sampling(presence_penalty=0.0, frequency_penalty=1.0, seed=0, min_p=0.1, logit_bias={"1": 2.0}),
        top_logprobs=0, verbosity="low", store=False, cache_key="k", metadata={"a": "b"},
    )  # fmt: skip

    assert {
        "sampling.presence_penalty", "sampling.frequency_penalty", "sampling.seed", "sampling.min_p",
        "sampling.logit_bias", "top_logprobs", "verbosity", "store", "cache_key", "metadata",
    } == set(losses(request))  # fmt: skip


def test_more_than_one_answer_is_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        sent(saying(choices=2))
    assert caught.value.param == "n"


def test_rules_of_provider_and_model_are_applied_to_the_sent_fields() -> None:
    provider = Provider(
        id="v", name="V", base_url="https://v.example", surfaces={"anthropic_messages": Surface(path="/x")},
        parameters=ParameterRules(drop=("metadata",), add={"speed": '"fast"'}, exclusive=(("temperature", "top_p"),)),
    )  # fmt: skip
    body = sent(saying(user="u", sampling=Sampling(temperature=0.5, top_p=0.5)), target(provider=provider))

    assert {"model", "max_tokens", "messages", "temperature", "speed"} == set(body)


# ---------------------------------------------------------------- headers, counting, passing on


def test_pitfall_129_version_and_betas_are_sent_once_however_they_were_spelt() -> None:
    client = {"Anthropic-Version": "2026-10-21", "anthropic-beta": "b, a,A", "Anthropic-Beta": "c,b"}
    translated = CODEC.encode_request(saying(), target(), client).headers
    passed = CODEC.splice(envelope({"model": "m"}), target(), client).headers

    assert (
        ("content-type", "application/json"),
        ("anthropic-version", "2023-06-01"),
        ("anthropic-beta", "b,A,c"),
    ) == translated
    assert (
        ("content-type", "application/json"),
        ("anthropic-version", "2026-10-21"),
        ("anthropic-beta", "b,A,c"),
    ) == passed
    assert ("anthropic-version", "2026-10-21") in CODEC.encode_request(
        saying(), target(version="2026-10-21"), {}
    ).headers
    assert ("anthropic-version", "2023-06-01") in CODEC.splice(envelope({"model": "m"}), target(), {}).headers


@given(requests())
def test_pitfall_122_counting_sends_the_whole_prompt_and_nothing_else(request: Request) -> None:
    outgoing = CODEC.encode_count(request, target(), NO_HEADERS)
    assert outgoing is not None
    body = msgspec.json.decode(outgoing.body)
    whole = sent(msgspec.structs.replace(request, stream=False))

    vendors_own(MessageCountTokensParams).validate_python(body)
    assert "/v1/messages/count_tokens" == outgoing.path
    assert {name: whole[name] for name in body} == body
    assert {"max_tokens", "stream", "metadata", "stop_sequences", "temperature", "top_p"}.isdisjoint(body)


def test_counting_is_none_where_the_provider_cannot() -> None:
    to = target()
    cannot = msgspec.structs.replace(to, surface=Surface(path="/v1/messages"))

    assert CODEC.encode_count(saying(), cannot, NO_HEADERS) is None
    assert 7 == CODEC.decode_count(b'{"input_tokens":7,"more":1}')


def test_passing_on_changes_the_model_and_no_other_byte() -> None:
    body = b'{ "max_tokens" : 5,"model":"public/name",  "messages":[{"role":"user","content":"a\\u00e9 1.0"}],"odd": {"x": 1.0 }}'
    outgoing = CODEC.splice(CODEC.peek(body), target(), NO_HEADERS)

    assert body.replace(b"public/name", b"claude-x") == outgoing.body
    assert "/v1/messages" == outgoing.path


def test_passing_on_takes_out_thinking_the_vendor_did_not_sign_and_nothing_else() -> None:
    keep = b'{"type":"thinking","thinking":"a","signature":"Eq+/=="}'
    body = (
        b'{"model":"p","messages":[{"role":"user","content":"gw1. \\"signature\\":\\"\\""},{"role":"assistant","content":['
        b'{"type":"thinking","thinking":"x","signature":""},'
        + keep
        + b',{"type":"redacted_thinking","data":"gw1.gemini.YQ=="},'
        b'{"type":"thinking","thinking":"b","signature":"gw1.anthropic_messages.Z3cxLng="},'
        b'{"type":"tool_use","id":"t","name":"n","input":{"signature":"","n":1.0}}]},'
        b'{"role":"assistant","content":[{"type":"thinking","thinking":"y","signature":"gw1.gemini.YQ=="}]}]}'
    )
    sent_body = CODEC.splice(CODEC.peek(body), target(), NO_HEADERS).body

    assert (
        b'{"model":"claude-x","messages":[{"role":"user","content":"gw1. \\"signature\\":\\"\\""},{"role":"assistant","content":['
        + keep
        + b',{"type":"thinking","thinking":"b","signature":"gw1.x"},'
        b'{"type":"tool_use","id":"t","name":"n","input":{"signature":"","n":1.0}}]}]}'
    ) == sent_body


def test_texts_documents_and_urls_go_as_they_came() -> None:
    document = Document(source=TextSource(text="Words."), title="T", context="C", citations=True)
    linked = Document(source=UrlSource(url="https://example.com/a.pdf"))
    body = sent(saying(Message(role="user", content=(document, linked))))

    assert [
        {"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Words."}, "title": "T",
         "context": "C", "citations": {"enabled": True}},
        {"type": "document", "source": {"type": "url", "url": "https://example.com/a.pdf"}},
    ] == contents(body)[0][1]  # fmt: skip
