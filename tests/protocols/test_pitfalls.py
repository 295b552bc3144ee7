"""Faults that gateways had between protocols, held against every pair of protocols and every sound transcript we have.

The numbers are those of `pitfalls.yaml`. A protocol that joins `CODECS` is in all of this by itself.
"""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Choice,
    Ended,
    Finish,
    Image,
    JsonSchema,
    Message,
    Reasoning,
    ReasoningConfig,
    Request,
    Response,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UrlSource,
)
from runtime.catalog import Limits, Model, Provider, ReasoningFacts, Surface
from runtime.catalog.capability import Capability, Endpoint
from runtime.errors import UpstreamFailed
from runtime.protocols import CODECS, codec
from runtime.routing.candidate import spoken
from runtime.services.listing import DIALECTS, Listed
from tests.protocols.test_pairs import ANSWER, OUTGOING, again, crossings, read, said, target_of, through
from tests.support.canonical import events_of
from tests.support.each import each
from tests.support.stream import decode_stream, sse_data

TO_ANTHROPIC = [(upstream, case) for upstream, case, client in crossings() if client == "anthropic_messages"]
TO_CHAT = [(upstream, case) for upstream, case, client in crossings() if client == "openai_chat"]
ALL = sorted(CODECS)
KINDS = {
    "text_delta": "text", "citations_delta": "text", "thinking_delta": "thinking", "signature_delta": "thinking",
}  # fmt: skip
CALL = ToolCall(id="call_1", name="f", arguments='{"a":""}')


def told(upstream: str, case: str, client: str) -> list[dict[str, Any]]:
    """The payloads that a client gets for a transcript."""
    events, _ = read(upstream, case)
    return [msgspec.json.decode(data) for data in sse_data(through(codec(client), events)) if data != b"[DONE]"]


def answer(*parts: Any, reason: Any = "stop") -> Response:
    return Response(id="r", model="m", choices=(Choice(content=parts, finish=Finish(reason=reason)),))


def asking(*messages: Message, **fields: Any) -> Request:
    return Request(model="m", messages=messages, **{"max_output_tokens": 100, **fields})


def user(text: str) -> Message:
    return Message(role="user", content=(Text(text=text),))


@each(TO_ANTHROPIC)
def test_pitfall_001_to_007_blocks_are_opened_closed_and_numbered_one_after_the_other(upstream: str, case: str) -> None:
    """One start of the message; one block open at a time, of the kind of its deltas; indexes from 0 without gaps."""
    open_block: dict[str, Any] | None = None
    count = 0
    events = told(upstream, case, "anthropic_messages")
    for event in events:
        match event["type"]:
            case "content_block_start":
                assert open_block is None
                assert count == event["index"]
                open_block = event["content_block"]
            case "content_block_delta":
                assert open_block is not None
                assert count == event["index"]
                kind = KINDS.get(event["delta"]["type"])
                assert kind is None or kind == open_block["type"]
            case "content_block_stop":
                assert open_block is not None
                assert count == event["index"]
                open_block, count = None, count + 1
            case _:
                assert open_block is None

    assert ["message_start"] == [event["type"] for event in events if event["type"] == "message_start"]


@each(TO_ANTHROPIC)
def test_pitfall_010_to_015_the_end_the_input_and_the_counts_are_whole(upstream: str, case: str) -> None:
    events = told(upstream, case, "anthropic_messages")
    starts = [event["content_block"] for event in events if event["type"] == "content_block_start"]
    usage = events[0]["message"]["usage"]

    assert ["message_delta", "message_stop"] == [event["type"] for event in events[-2:]]
    assert {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"} <= set(usage)
    assert all(count is not None for count in usage.values())
    assert isinstance(events[-2]["usage"]["input_tokens"], int)
    for block in starts:
        calls = block["type"] in {"tool_use", "server_tool_use", "mcp_tool_use"}
        assert block.get("input", {}) == {}
        assert calls or "input" not in block
    if any(block["type"] == "tool_use" for block in starts):
        assert "end_turn" != events[-2]["delta"]["stop_reason"]


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_pitfall_008_and_009_empty_texts_in_arguments_cross_every_pair(upstream: str, client: str) -> None:
    wire = through(codec(upstream), events_of(answer(CALL, reason="tool_calls")))
    events, _ = decode_stream(codec(upstream).stream_decoder(OUTGOING), [wire[at : at + 1] for at in range(len(wire))])
    (call,) = said(again(codec(client), through(codec(client), events)).choices[0])[2]

    assert isinstance(call, tuple)
    assert ("f", {"a": ""}) == call[1:]


@pytest.mark.parametrize("client", ALL)
def test_pitfall_016_a_failed_answer_ends_with_an_error_and_no_sign_of_success(client: str) -> None:
    whole = codec(client).stream_encoder(ANSWER)
    success = whole.feed(events_of(answer(Text(text="a"))))
    broken = codec(client).stream_encoder(ANSWER)
    events = events_of(answer(Text(text="a")))
    sent = broken.feed([event for event in events if not isinstance(event, Ended)][:3])
    sent += broken.fail(UpstreamFailed("It broke."))

    assert b"It broke." in sent
    assert not sent.endswith(success[-20:])


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_pitfall_018_and_029_and_028_marks_in_a_text_are_text(upstream: str, client: str) -> None:
    """No border of blocks is written as text, none is read out of it, and odd characters stay as they are."""
    text = "<think>a</think>\u200b\x1b[0m b \u2028\ufffe\uffff\U0010ffff\x7f</think>"
    parts = (Text(text=text),)
    wire = codec(upstream).encode_response(answer(*parts), ANSWER)
    whole = codec(client).encode_response(codec(upstream).decode_response(wire, OUTGOING), ANSWER)
    stream = through(codec(upstream), events_of(answer(*parts)))
    events, error = decode_stream(codec(upstream).stream_decoder(OUTGOING), [stream])

    assert error is None
    assert (text, "", []) == said(codec(client).decode_response(whole, OUTGOING).choices[0])
    assert (text, "", []) == said(again(codec(client), through(codec(client), events)).choices[0])


@each(TO_CHAT)
def test_pitfall_020_to_025_chunks_are_of_one_answer_and_say_each_thing_once(upstream: str, case: str) -> None:
    chunks = told(upstream, case, "openai_chat")
    seen: dict[int, list[dict[str, Any]]] = {}
    for chunk in chunks:
        for choice in chunk["choices"]:
            for call in choice["delta"].get("tool_calls", ()):
                known = seen.setdefault(choice["index"], [])
                if call["index"] == len(known):  # the first delta of a call
                    known.append(call)
                    named = call.get("function") or call.get("custom")
                    assert call["id"]
                    assert call["type"]
                    assert named["name"]
                else:
                    assert call["index"] < len(known)
                    assert {"index", "function"} == set(call) or {"index", "custom"} == set(call)
                    assert "name" not in (call.get("function") or call["custom"])

    assert 1 == len({(chunk["id"], chunk["created"], chunk["model"]) for chunk in chunks})


@each(TO_CHAT)
def test_pitfall_031_to_033_the_role_comes_first_and_the_finish_alone(upstream: str, case: str) -> None:
    ended: set[int] = set()
    begun: set[int] = set()
    for chunk in told(upstream, case, "openai_chat"):
        for choice in chunk["choices"]:
            index, delta = choice["index"], choice["delta"]
            assert index not in ended
            assert (index not in begun) == ("role" in delta)
            begun.add(index)
            assert 1 >= len({"reasoning_content", "content", "tool_calls"} & set(delta))
            if choice["finish_reason"] is not None:
                assert {} == delta
                ended.add(index)

    assert begun == ended


@pytest.mark.parametrize("client", ALL)
@pytest.mark.parametrize("upstream", ALL)
def test_pitfall_030_and_113_a_stream_and_a_whole_answer_say_the_same_on_every_pair(upstream: str, client: str) -> None:
    given = answer(Text(text="ab"), CALL, reason="tool_calls")
    wire = codec(upstream).encode_response(given, ANSWER)
    whole = codec(client).encode_response(codec(upstream).decode_response(wire, OUTGOING), ANSWER)
    events, _ = decode_stream(codec(upstream).stream_decoder(OUTGOING), [through(codec(upstream), events_of(given))])
    streamed = again(codec(client), through(codec(client), events))
    read_back = codec(client).decode_response(whole, OUTGOING)

    assert said(streamed.choices[0]) == said(read_back.choices[0])
    assert streamed.choices[0].finish == read_back.choices[0].finish
    assert streamed.usage.total == read_back.usage.total


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("name", ["glm-4", "glm-5", "claude-2", "claude-opus-5-5", "gpt-3.5"])
def test_pitfall_054_what_a_model_can_do_is_never_read_out_of_its_name(protocol: str, name: str) -> None:
    request = asking(Message(role="system", content=(Text(text="Be brief."),)), user("Hi."))
    one, other = (
        codec(protocol).encode_request(request, target_of(protocol, Model(id=id_)), {}).body for id_ in (name, "x")
    )

    assert one == other.replace(b'"x"', msgspec.json.encode(name)).replace(b"/x:", f"/{name}:".encode())


@pytest.mark.parametrize("protocol", ALL)
def test_pitfall_061_a_call_stays_in_the_turn_that_made_it(protocol: str) -> None:
    done = Message(role="tool", content=(ToolResult(call_id="call_1", name="f", content=(Text(text="ok"),)),))
    request = asking(
        user("a"), Message(role="assistant", content=(Text(text="first"),)),
        user("b"), Message(role="assistant", content=(Text(text="second"), CALL)), done,
        tools=(Tool(name="f", parameters='{"type":"object","properties":{}}'),),
    )  # fmt: skip
    body = codec(protocol).encode_request(request, target_of(protocol), {}).body
    first, second, call = body.index(b"first"), body.index(b"second"), body.rindex(b'"f"')

    assert first < body.index(b'"b"') < second
    assert second < call


@pytest.mark.parametrize("part", [
    {"type": "image_url", "image_url": {"url": "https://e.example/a.png"}},
    {"type": "image_url", "image_url": "https://e.example/a.png"},
])  # fmt: skip
def test_pitfall_071_every_spelling_of_an_image_is_read(part: object) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [part]}]}
    read_in = codec("openai_chat").decode_request(codec("openai_chat").peek(msgspec.json.encode(body)), {})

    assert (Image(source=UrlSource(url="https://e.example/a.png")),) == read_in.messages[0].content


@pytest.mark.parametrize("protocol", ALL)
@pytest.mark.parametrize("part", [
    Reasoning(text="made up"), Reasoning(text="made up", seal="s", sealed_by="nobody"), Reasoning(seal="s", sealed_by="nobody", redacted=True),
])  # fmt: skip
def test_pitfall_101_and_102_no_thinking_is_replayed_that_the_vendor_did_not_seal(
    protocol: str, part: Reasoning
) -> None:
    request = asking(user("a"), Message(role="assistant", content=(part, Text(text="b"))), user("c"))
    body = codec(protocol).encode_request(request, target_of(protocol), {}).body

    assert b'"s"' not in body
    assert b"gw1." not in body
    assert b"redacted" not in body
    if protocol in {"anthropic_messages", "openai_chat"}:
        assert b"made up" not in body


@pytest.mark.parametrize("lacks", [(Capability.JSON_SCHEMA,), (Capability.JSON_SCHEMA, Capability.JSON_OBJECT)])
def test_pitfall_137_a_schema_becomes_words_where_the_model_takes_none(lacks: tuple[Capability, ...]) -> None:
    request = asking(user("a"), response_format=JsonSchema(schema='{"title":"told"}', name="n"))
    model = Model(id="x", lacks=lacks)
    outgoing = codec("openai_chat").encode_request(request, target_of("openai_chat", model), {})
    sent = msgspec.json.decode(outgoing.body)

    assert "told" in sent["messages"][0]["content"]
    assert (None if len(lacks) > 1 else {"type": "json_object"}) == sent.get("response_format")
    assert "response_format" in outgoing.losses


@pytest.mark.parametrize("protocol", ALL)
def test_pitfall_130_betas_reach_the_protocol_that_they_belong_to_only(protocol: str) -> None:
    client = {"anthropic-beta": "a-1, b-2", "anthropic-version": "2023-06-01", "x-stainless-lang": "js"}
    headers = codec(protocol).encode_request(asking(user("Hi.")), target_of(protocol), client).headers
    theirs = {name: value for name, value in headers if name.startswith(("anthropic", "x-stainless"))}

    if protocol == "anthropic_messages":
        assert {"anthropic-version": "2023-06-01", "anthropic-beta": "a-1,b-2"} == theirs
    else:
        assert {} == theirs


def test_pitfall_135_a_model_is_called_where_the_catalogue_says_that_it_answers() -> None:
    surface = Surface(path="/v1/x")
    provider = Provider(
        id="p", name="P", base_url="https://p.example", surfaces={"openai_chat": surface, "anthropic_messages": surface}
    )

    assert "anthropic_messages" == spoken(provider, Model(id="x", protocol="anthropic_messages"), "openai_chat")
    assert "openai_chat" == spoken(provider, Model(id="x"), "openai_chat")


def test_pitfall_124_the_most_input_is_told_apart_from_the_context() -> None:
    facts = Model(id="x", limits=Limits(context=200, max_input=150, max_output=50))
    listed = Listed(id="p/x", kind="model", provider="p", endpoint=Endpoint.CHAT, facts=facts, promises=())
    told = msgspec.to_builtins(DIALECTS["anthropic_messages"].render_one(listed))

    assert (150, 50) == (told["max_input_tokens"], told["max_tokens"])


@pytest.mark.parametrize("client", ["anthropic_messages", "openai_chat"])
@pytest.mark.parametrize("upstream", ALL)
def test_pitfall_136_a_form_for_the_answer_crosses_every_pair(client: str, upstream: str) -> None:
    schema = {"type": "object", "properties": {"inside": {"type": "string"}}, "additionalProperties": False}
    body: dict[str, Any] = {"model": "m", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi."}]}
    if client == "openai_chat":
        body["response_format"] = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    else:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    request = codec(client).decode_request(codec(client).peek(msgspec.json.encode(body)), {})

    assert b'"inside"' in codec(upstream).encode_request(request, target_of(upstream), {}).body


@pytest.mark.skipif("gemini" not in CODECS, reason="the protocol is not spoken")
def test_pitfall_078_a_keyword_stands_only_where_the_vendor_takes_json_schema() -> None:
    schema = '{"$schema":"https://json-schema.org/draft/2020-12/schema","type":"object","properties":{}}'
    request = asking(user("Hi."), tools=(Tool(name="f", parameters=schema),))
    sent = msgspec.json.decode(codec("gemini").encode_request(request, target_of("gemini"), {}).body)
    (declared,) = sent["tools"][0]["functionDeclarations"]

    assert "$schema" not in declared.get("parameters", {})
    assert "$schema" not in declared.get("parametersJsonSchema", {})


@pytest.mark.skipif("gemini" not in CODECS, reason="the protocol is not spoken")
@pytest.mark.parametrize("style", ["budget", "effort", "adaptive"])
@pytest.mark.parametrize("wanted", [
    ReasoningConfig(mode="on", budget_tokens=2000, effort="high"), ReasoningConfig(effort="low"), ReasoningConfig(mode="off"),
])  # fmt: skip
def test_pitfall_108_a_model_gets_a_level_or_a_budget_never_both(style: Any, wanted: ReasoningConfig) -> None:
    facts = ReasoningFacts(style=style, efforts=("low", "medium", "high"))
    request = asking(user("Hi."), reasoning=wanted)
    sent = msgspec.json.decode(
        codec("gemini").encode_request(request, target_of("gemini", Model(id="x", reasoning=facts)), {}).body
    )
    config = sent.get("generationConfig", {}).get("thinkingConfig", {})

    assert not {"thinkingLevel", "thinkingBudget"} <= set(config)


def test_the_rules_are_held_against_something() -> None:
    assert TO_ANTHROPIC
    assert TO_CHAT
