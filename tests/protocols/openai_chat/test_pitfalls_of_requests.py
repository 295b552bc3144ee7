"""Pitfalls of the protocol in requests, by their numbers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    CacheMark,
    Choice,
    Document,
    Finish,
    Finished,
    Image,
    Message,
    Reasoning,
    ReasoningConfig,
    Response,
    Sampling,
    Started,
    Text,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.catalog import Capability, Model, ReasoningFacts
from tests.protocols.openai_chat.support import (
    CODEC,
    OUTGOING,
    ask,
    body,
    decode,
    encode,
    reply_to,
    target,
    user,
    vendor_accepts,
)
from tests.protocols.openai_chat.test_pitfalls import STOP, F, call, chunk, events
from tests.support.stream import decode_stream, transcript


def sent(*messages: Message, **quirks: Any) -> list[dict[str, Any]]:
    return body(ask(*messages), target(**quirks))["messages"]


# -- requests


def test_pitfall_052_developer_is_system_where_it_must_be() -> None:
    assert "system" == sent(Message(role="developer", content=(Text(text="x"),)), developer_role=False)[0]["role"]


def test_pitfall_055_to_057_calls_and_results_are_paired() -> None:
    orphan = Message(role="tool", content=(ToolResult(call_id="z", content=(Text(text="?"),)),))
    late = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="!"),)),))
    unanswered = Message(role="assistant", content=(ToolCall(id="b", name="f", arguments="{}"),))
    turns = sent(user("x"), orphan, Message(role="assistant", content=(F,)), user("y"), late, unanswered, user("z"))

    assert ["user", "user", "assistant", "tool", "user", "assistant", "tool", "user"] == [
        turn["role"] for turn in turns
    ]
    assert [("a", "!"), ("b", "No result of this call was recorded.")] == [
        (turn["tool_call_id"], turn["content"]) for turn in turns if turn["role"] == "tool"
    ]


def test_pitfall_058_results_and_texts_keep_their_order() -> None:
    answered = Message(role="tool", content=(ToolResult(call_id="a", content=(Text(text="1"),)),))
    turns = sent(user("x"), Message(role="assistant", content=(F,)), answered, user("y"))

    assert ["user", "assistant", "tool", "user"] == [turn["role"] for turn in turns]


def test_pitfall_062_text_or_calls_where_both_are_refused() -> None:
    both = Message(role="assistant", content=(Text(text="x"), F))

    assert sent(user("x"), both, content_xor_tool_calls=True)[1]["content"] is None


def test_pitfall_064_empty_texts_never_reach_a_provider() -> None:
    request = decode(
        messages=[{"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "x"}]}]
    )

    assert "x" == body(request)["messages"][0]["content"]


def test_pitfall_065_empty_lists_are_left_out() -> None:
    request = decode(
        tools=[],
        stop=[],
        messages=[{"role": "user", "content": "x"}, {"role": "assistant", "content": "y", "tool_calls": []}],
    )
    told = body(request)

    assert not {"tools", "stop", "tool_choice", "metadata"} & set(told)
    assert "tool_calls" not in told["messages"][1]


def test_pitfall_066_zero_false_and_empty_survive() -> None:
    zeros = {
        "temperature": 0,
        "top_p": 0,
        "seed": 0,
        "presence_penalty": 0,
        "frequency_penalty": 0,
        "store": False,
        "top_k": 0,
    }

    assert zeros.items() <= body(decode(**zeros)).items()


def test_pitfall_070_content_is_flattened_where_it_must_be() -> None:
    assert (
        "a\nb"
        == sent(Message(role="user", content=(Text(text="a"), Text(text="b"))), text_only_content=True)[0]["content"]
    )


def test_pitfall_072_and_073_all_images_survive_in_order_also_those_of_results() -> None:
    shots = tuple(Image(source=UrlSource(url=f"https://e.com/{n}")) for n in range(3))
    result = Message(role="tool", content=(ToolResult(call_id="a", content=shots[1:]),))
    turns = sent(Message(role="user", content=shots), Message(role="assistant", content=(F,)), result)
    urls = [
        [part["image_url"]["url"][-1] for part in turn["content"] if part["type"] == "image_url"]
        for turn in (turns[0], turns[3])
    ]

    assert [["0", "1", "2"], ["1", "2"]] == urls


def test_pitfall_074_encoding_twice_gives_the_same() -> None:
    request = ask(user("a"), user("b"), Message(role="assistant", content=(F,)), user("c"))

    assert encode(request, target(system_anywhere=False)).body == encode(request, target(system_anywhere=False)).body


def test_pitfall_076_fields_of_other_vendors_are_not_sent() -> None:
    request = ask(
        extensions={"openai_responses": {"client_metadata": msgspec.Raw(b"{}"), "truncation": msgspec.Raw(b'"auto"')}}
    )

    assert {"model", "messages"} == set(body(request))


def test_pitfall_088_no_tool_is_cut_off() -> None:
    assert 300 == len(body(ask(tools=tuple(Tool(name=f"f{n}") for n in range(300))))["tools"])


def test_pitfall_090_long_names_come_home() -> None:
    long = "n" * 100
    outgoing = encode(ask(tools=(Tool(name=long),)))
    wire = msgspec.json.decode(outgoing.body)["tools"][0]["function"]["name"]
    got, _ = decode_stream(CODEC.stream_decoder(outgoing), [transcript(call(0, "{}", id="x", name=wire), STOP)])

    assert long == collect(got).choices[0].content[0].name  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "choice", [ToolMode(mode="none"), ToolMode(mode="auto"), ToolSubset(names=("f",), required=True)]
)
def test_pitfall_091_choices_of_tools_are_kept(choice: Any) -> None:
    request = ask(tools=(Tool(name="f"),), tool_choice=choice, parallel_tool_calls=False)
    again = CODEC.decode_request(CODEC.peek(encode(request).body), {})

    assert (choice, False) == (again.tool_choice, again.parallel_tool_calls)


def test_pitfall_098_and_099_seals_reach_only_their_own_protocol() -> None:
    foreign = Message(
        role="assistant",
        content=(Reasoning(text="hm", seal="SIGNATURE", sealed_by="anthropic_messages"), Text(text="a")),
    )
    for quirks in ({}, {"replay_reasoning": True}):
        assert b"SIGNATURE" not in encode(ask(foreign, user("x")), target(**quirks)).body


def test_pitfall_104_thinking_goes_back_where_it_is_wanted() -> None:
    turn = Message(role="assistant", content=(Reasoning(text="hm"), F))

    assert "hm" == sent(user("x"), turn, replay_reasoning=True)[1]["reasoning_content"]
    assert "reasoning_content" not in sent(user("x"), turn)[1]


def test_pitfall_106_and_109_effort_is_not_sent_to_models_without_it() -> None:
    wanted = ask(reasoning=ReasoningConfig(mode="adaptive", effort="high"))

    assert "reasoning_effort" not in body(wanted, target(Model(id="m", lacks=(Capability.REASONING,))))
    assert "reasoning_effort" not in body(wanted)


@pytest.mark.parametrize(
    ("model", "lost"),
    [
        (Model(id="m"), ("reasoning",)),
        (Model(id="m", lacks=(Capability.REASONING,)), ()),
        (Model(id="m", reasoning=ReasoningFacts(can_disable=True)), ()),
    ],
)
def test_pitfall_106_thinking_that_cannot_be_turned_off_is_named(model: Model, lost: tuple[str, ...]) -> None:
    """Nothing is lost where there is no thinking, or where the model knows how to be told."""
    assert lost == encode(ask(reasoning=ReasoningConfig(mode="off")), target(model)).losses


def test_pitfall_106_thinking_beside_tools_is_named_where_nothing_can_be_said_of_it() -> None:
    model = Model(id="m", reasoning=ReasoningFacts(with_tools="omit", can_disable=True))
    request = ask(reasoning=ReasoningConfig(mode="off"), tools=(Tool(name="f"),))

    assert ("reasoning",) == encode(request, target(model)).losses


def test_pitfall_107_unknown_effort_words_become_the_nearest() -> None:
    model = Model(id="m", reasoning=ReasoningFacts(efforts=("low", "high")))

    assert "high" == body(ask(reasoning=ReasoningConfig(effort="max")), target(model))["reasoning_effort"]


def test_pitfall_112_and_114_cached_tokens_are_neither_lost_nor_counted_twice() -> None:
    usage = Usage(input=10, output=5, cache_read=90, cache_write_5m=20)
    made = CODEC.encode_response(
        Response(id="r", model="m", choices=(Choice(content=(), finish=Finish(reason="stop")),), usage=usage),
        reply_to(),
    )
    counts = msgspec.json.decode(made)["usage"]

    assert (120, 125, 90, 20) == (
        counts["prompt_tokens"],
        counts["total_tokens"],
        counts["prompt_tokens_details"]["cached_tokens"],
        counts["prompt_tokens_details"]["cache_write_tokens"],
    )
    assert usage == CODEC.decode_response(made, OUTGOING).usage


@pytest.mark.parametrize("said", ["max_tokens", "max_completion_tokens"])
@pytest.mark.parametrize("wanted", ["max_tokens", "max_completion_tokens"])
def test_pitfall_120_both_spellings_of_the_limit_reach_the_provider(said: str, wanted: str) -> None:
    assert 9 == body(decode(**{said: 9}), target(max_tokens_field=wanted))[wanted]


def test_pitfall_121_no_limit_is_invented() -> None:
    assert not {"max_tokens", "max_completion_tokens"} & set(body(ask()))


def test_pitfall_123_cache_marks_of_clients_are_understood() -> None:
    marked = [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}}]

    assert (
        Text(text="x", cache=CacheMark())
        == decode(messages=[{"role": "system", "content": marked}]).messages[0].content[0]
    )


def test_pitfall_125_and_126_failed_answers_keep_their_status_whatever_their_body() -> None:
    assert (404, "not_found") == ((error := CODEC.decode_error(404, {}, b"<html>")).upstream_status, error.kind)


def test_pitfall_127_rate_limit_in_words_is_a_rate_limit() -> None:
    assert (
        "rate_limit" == CODEC.decode_error(400, {}, b'{"error":{"message":"Too many requests, rate limit hit"}}').kind
    )


def test_pitfall_132_and_131_only_the_protocol_s_own_headers_are_sent() -> None:
    outgoing = CODEC.encode_request(
        ask(), target(), {"x-stainless-os": "Linux", "user-agent": "x", "accept-encoding": "br"}
    )

    assert {"content-type", "accept"} == {name for name, _ in outgoing.headers}


def test_pitfall_133_a_request_can_be_encoded_again_after_it_was_sent() -> None:
    envelope = CODEC.peek(b'{"model":"m","messages":[{"role":"user","content":"x"}]}')

    assert CODEC.splice(envelope, target(), {}).body == CODEC.splice(envelope, target(), {}).body


def test_documents_and_sampling_of_other_protocols_reach_the_vendor_s_types() -> None:
    pdf = Document(source=Base64Source(media_type="application/pdf", data="JVBERi0="), title="a.pdf")

    vendor_accepts(
        encode(ask(Message(role="user", content=(pdf, Text(text="x"))), sampling=Sampling(temperature=0.0))).body
    )


def test_events_hold_usage_and_service_tier() -> None:
    got = events(
        chunk({"content": "a"}, service_tier="flex"),
        {**STOP, "usage": {"prompt_tokens": 1, "completion_tokens": 2}, "service_tier": "default"},
    )

    assert Started(id="c1", model="up", created=1, service_tier="flex") == got[0]
    assert UsageReported(usage=Usage(input=1, output=2), service_tier="default") in got
    assert Finished(finish=Finish(reason="stop")) in got
