"""Complete answers, both ways: a provider's to canonical, canonical to a client's."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from openai.types.chat import ChatCompletion

from runtime.canonical import (
    Choice,
    Citation,
    Finish,
    Native,
    Reasoning,
    Refusal,
    Response,
    Text,
    ToolCall,
    Usage,
)  # fmt: skip
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import Outgoing
from tests.protocols.openai_chat.support import CODEC, OUTGOING, ask, decode, reply_to
from tests.support.canonical import responses

USAGE = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}


def wire(message: dict[str, Any] | None = None, finish: str | None = "stop", **more: Any) -> bytes:
    choice = {"index": 0, "message": {"role": "assistant", **(message or {"content": "hi"})}, "finish_reason": finish}
    answer = {"id": "r1", "object": "chat.completion", "created": 9, "model": "up", "choices": [choice], "usage": USAGE}
    return msgspec.json.encode({**answer, **more})


def read(message: dict[str, Any], finish: str | None = "stop", outgoing: Outgoing = OUTGOING) -> Choice:
    return CODEC.decode_response(wire(message, finish), outgoing).choices[0]


def written(response: Response, **fields: Any) -> dict[str, Any]:
    """The client's answer, which the vendor's own types have taken."""
    data = CODEC.encode_response(response, reply_to(fields.get("request")))
    ChatCompletion.model_validate_json(data)
    return msgspec.json.decode(data, type=dict[str, Any])


def answer(*parts: Any, finish: Any = "stop", **more: Any) -> Response:
    return Response(id="r", model="up", choices=(Choice(content=parts, finish=Finish(reason=finish)),), **more)


@given(responses())
def test_what_is_encoded_is_decoded_again(response: Response) -> None:
    data = CODEC.encode_response(response, reply_to())
    again = CODEC.decode_response(data, OUTGOING)

    ChatCompletion.model_validate_json(data)
    assert response == msgspec.structs.replace(again, id=response.id, model=response.model)


def test_answer_has_the_client_s_model_and_the_gateway_s_id() -> None:
    sent = written(answer(Text(text="hi")))

    assert {
        "id": "chatcmpl-req1", "object": "chat.completion", "created": 1_795_305_600, "model": "public/name",
        "choices": [{
            "index": 0, "message": {"role": "assistant", "content": "hi", "refusal": None}, "logprobs": None,
            "finish_reason": "stop",
        }],
    }.items() <= sent.items()  # fmt: skip


def test_texts_are_one_content_and_citations_count_its_characters() -> None:
    cited = Citation(url="https://e.com", title="E")
    sent = written(
        answer(
            Text(text="Æ🐎 "),
            Text(text="so", citations=(cited, Citation(quote="no page"))),
            Text(text=".", citations=(Citation(url="u", start=1, end=2),)),
        )
    )["choices"][0]["message"]

    assert "Æ🐎 so." == sent["content"]
    assert [
        {"start_index": 3, "end_index": 5, "title": "E", "url": "https://e.com"},
        {"start_index": 1, "end_index": 2, "title": "", "url": "u"},
    ] == [annotation["url_citation"] for annotation in sent["annotations"]]


def test_calls_without_text_have_null_content() -> None:
    call = ToolCall(id="c", name="f", arguments='{"a":"é"}')
    sent = written(answer(call, ToolCall(id="d", name="g", arguments="free", custom=True), finish="tool_calls"))[
        "choices"
    ][0]

    assert ("tool_calls", None) == (sent["finish_reason"], sent["message"]["content"])
    assert [
        {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a":"é"}'}},
        {"id": "d", "type": "custom", "custom": {"name": "g", "input": "free"}},
    ] == sent["message"]["tool_calls"]


def test_old_client_gets_a_function_call() -> None:
    request = decode(functions=[{"name": "f"}])
    sent = written(answer(ToolCall(id="c", name="f", arguments="{}"), finish="tool_calls"), request=request)["choices"][
        0
    ]

    assert "function_call" == sent["finish_reason"]
    assert {"name": "f", "arguments": "{}"} == sent["message"]["function_call"]
    assert "tool_calls" not in sent["message"]


def test_sealed_thinking_goes_to_the_client_and_comes_back() -> None:
    thinking = (
        Reasoning(text="hm", seal="sig", sealed_by="anthropic_messages"),
        Reasoning(seal="xyz", sealed_by="anthropic_messages", redacted=True),
    )
    message = written(answer(*thinking, Text(text="a")))["choices"][0]["message"]
    again = decode(messages=[{"role": "user", "content": "x"}, message]).messages[1]

    assert "hm" == message["reasoning_content"]
    assert (*thinking, Text(text="a")) == again.content


def test_blocks_of_other_protocols_are_not_shown() -> None:
    audio = Native(protocol="openai_chat", block="audio", json='{"id":"a","data":"","expires_at":1,"transcript":"t"}')
    message = written(answer(audio, Native(protocol="gemini", block="executableCode", json="{}")))["choices"][0][
        "message"
    ]

    assert {"role", "content", "refusal", "audio"} == set(message)


@pytest.mark.parametrize(
    ("finish", "parts", "expected"),
    [
        ("stop", (Text(text="a"),), "stop"),
        ("stop_sequence", (Text(text="a"),), "stop"),
        ("length", (Text(text="a"),), "length"),
        ("context_full", (Text(text="a"),), "length"),
        ("content_filter", (), "content_filter"),
        ("refusal", (), "content_filter"),
        ("refusal", (Refusal(text="no"),), "stop"),
        ("pause", (Text(text="a"),), "stop"),
        ("tool_calls", (Text(text="a"),), "stop"),
        ("stop", (ToolCall(id="c", name="f", arguments="{}"),), "tool_calls"),
        ("length", (ToolCall(id="c", name="f", arguments="{}"),), "length"),
        ("content_filter", (ToolCall(id="c", name="f", arguments="{}"),), "content_filter"),
    ],
)
def test_finish_reason_is_one_the_vendor_s_types_know(finish: Any, parts: Any, expected: str) -> None:
    assert expected == written(answer(*parts, finish=finish))["choices"][0]["finish_reason"]


@pytest.mark.parametrize(
    ("tier", "sent"), [("flex", "flex"), ("standard", "default"), ("batch", "flex"), ("odd", None)]
)
def test_service_tier_is_one_the_vendor_s_types_know(tier: str, sent: str | None) -> None:
    assert sent == written(answer(Text(text="a"), service_tier=tier)).get("service_tier")


def test_what_only_chat_says_passes_through_the_middle() -> None:
    response = CODEC.decode_response(wire(system_fingerprint="fp_1", service_tier="default", moderation=None), OUTGOING)
    sent = written(response)

    assert ("fp_1", "default") == (sent["system_fingerprint"], sent["service_tier"])
    assert "moderation" not in sent


def test_several_choices_and_their_logprobs() -> None:
    tokens = [{"token": "a", "logprob": -0.5, "bytes": [97], "top_logprobs": []}]
    choices = [
        {"index": 1, "message": {"content": "b"}, "finish_reason": "length", "logprobs": None},
        {
            "index": 0,
            "message": {"content": "a"},
            "finish_reason": "stop",
            "logprobs": {"content": tokens, "refusal": None},
        },
    ]
    response = CODEC.decode_response(wire(choices=choices), OUTGOING)
    sent = written(response)["choices"]

    assert ["a", "b"] == [choice["message"]["content"] for choice in sent]
    assert tokens == sent[0]["logprobs"]["content"]
    assert sent[1]["logprobs"] is None


# -- what providers send


@pytest.mark.parametrize(
    ("message", "finish", "expected"),
    [
        ({"content": "a"}, "stop", Choice(content=(Text(text="a"),), finish=Finish(reason="stop"))),
        ({"content": None}, "stop", Choice(content=(), finish=Finish(reason="stop"))),
        ({"content": ""}, None, Choice(content=(), finish=Finish(reason="stop"))),
        ({"content": "a"}, "surprise", Choice(content=(Text(text="a"),), finish=Finish(reason="stop"))),
        ({"content": "a"}, "tool_calls", Choice(content=(Text(text="a"),), finish=Finish(reason="stop"))),
        ({"refusal": "no"}, "stop", Choice(content=(Refusal(text="no"),), finish=Finish(reason="refusal"))),
        (
            {"reasoning": "hm", "content": "a"}, "stop",
            Choice(content=(Reasoning(text="hm"), Text(text="a")), finish=Finish(reason="stop")),
        ),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}, {"type": "text", "text": "a"}]},
            "stop",
            Choice(content=(Reasoning(text="hm"), Text(text="a")), finish=Finish(reason="stop")),
        ),
        (
            {"content": "see", "annotations": [{"type": "url_citation", "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 3}}, {"type": "file"}]},
            "stop",
            Choice(content=(Text(text="see", citations=(Citation(url="u", title="t", start=0, end=3),)),), finish=Finish(reason="stop")),
        ),
        (
            {"content": None, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"a": 1.0}'}}]},
            "stop",
            Choice(content=(ToolCall(id="c", name="f", arguments='{"a": 1.0}'),), finish=Finish(reason="tool_calls")),
        ),
        (
            {"content": None, "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": {"a": 1}}}]},
            "length",
            Choice(content=(ToolCall(id="c", name="f", arguments='{"a":1}'),), finish=Finish(reason="length")),
        ),
        (
            {"tool_calls": [{"id": "c", "type": "custom", "custom": {"name": "g", "input": "x"}}]},
            "tool_calls",
            Choice(content=(ToolCall(id="c", name="g", arguments="x", custom=True),), finish=Finish(reason="tool_calls")),
        ),
    ],
)  # fmt: skip
def test_answers_of_all_kinds_are_read(message: dict[str, Any], finish: str | None, expected: Choice) -> None:
    assert expected == read(message, finish)


def test_tool_names_find_their_way_home() -> None:
    message = {"tool_calls": [{"id": "c", "function": {"name": "f_abc", "arguments": "{}"}}]}
    call = read(message, outgoing=Outgoing("/", (), b"", stream=False, tool_names={"f_abc": "f.long"})).content[0]

    assert ToolCall(id="c", name="f.long", arguments="{}") == call


def test_missing_ids_are_made_alike_in_every_reading() -> None:
    message = {
        "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}, {"function": {"name": "f", "arguments": "{}"}}]
    }
    first, second = [part.id for part in read(message).content if isinstance(part, ToolCall)]

    assert first != second
    assert first == read(message).content[0].id  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "(nothing)"),
        (b"<html><head><title>Bad Gateway</title></head><body>x</body></html>", "Bad Gateway"),
        (b"upstream connect error", "upstream connect error"),
        (b'{"id":"r","choices":[{"index":0,"mess', "not in its protocol"),
        (b'{"id":"r"}', "no choices"),
        (b'{"id":"r","choices":[]}', "no choices"),
        (b'{"id":"r","choices":null}', "no choices"),
        (b'{"choices":[{"index":0}]}', "not in its protocol"),
        (b'{"choices":[{"message":{"tool_calls":[{"id":"c"}]}}]}', "without a name"),
        (b"[1,2]", "not in its protocol"),
        (b'"x"', "something else"),
    ],
)
def test_what_is_no_answer_is_refused_in_words(body: bytes, said: str) -> None:
    with pytest.raises(UpstreamProtocolError) as caught:
        CODEC.decode_response(body, OUTGOING)
    assert said in caught.value.message


def test_a_long_page_is_shown_in_part() -> None:
    with pytest.raises(UpstreamProtocolError) as caught:
        CODEC.decode_response(b"no json " * 1000, OUTGOING)
    assert len(caught.value.message) < 600


@pytest.mark.parametrize(
    "read_it", [lambda body: CODEC.decode_response(body, OUTGOING), lambda body: CODEC.splice_response(body, "m")]
)
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"error":{"message":"Rate limit","type":"requests","code":"rate_limit_exceeded"}}', "rate_limit"),
        (b'{"error":{"message":"slow","code":429},"choices":[]}', "rate_limit"),
        (b'{"error":{"message":"maximum context length is 10"}}', "context_length"),
        (b'{"error":"boom"}', "server_error"),
        (b'{"object":"error","message":"no","code":400}', "invalid_request"),
        (b'[{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}]', "unavailable"),
        (wire({"content": "half"}, "error"), "server_error"),
        (wire({"content": "half"}, "insufficient_system_resource"), "overloaded"),
    ],
)
def test_an_error_behind_a_success_status_is_that_error(read_it: Any, body: bytes, kind: str) -> None:
    with pytest.raises(GatewayError) as caught:
        read_it(body)
    assert kind == caught.value.kind


# -- usage


def test_usage_is_read_and_written_by_the_same_arithmetic() -> None:
    counts = {
        "prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
        "prompt_tokens_details": {"cached_tokens": 40, "cache_write_tokens": 10, "audio_tokens": 3},
        "completion_tokens_details": {
            "reasoning_tokens": 20, "audio_tokens": 2, "accepted_prediction_tokens": 1, "rejected_prediction_tokens": 4,
        },
    }  # fmt: skip
    response = CODEC.decode_response(wire(usage=counts), OUTGOING)

    assert Usage(
        input=50, output=50, cache_read=40, cache_write_5m=10, reasoning=20, audio_input=3, audio_output=2,
        accepted_prediction=1, rejected_prediction=4,
    ) == response.usage  # fmt: skip
    assert counts == written(response)["usage"]


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        (None, Usage()),
        ({"prompt_tokens": None, "completion_tokens": None}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": None}, Usage(input=5, output=2)),
        ({"prompt_tokens": 5.0, "completion_tokens": 2.0, "total_tokens": 7e0}, Usage(input=5, output=2)),
        ({"prompt_tokens": 5.0, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 3.0}}, Usage(input=2, output=2, cache_read=3)),
        ({"prompt_tokens": -5, "completion_tokens": 1e300}, Usage()),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_cache_hit_tokens": 3}, Usage(input=2, output=2, cache_read=3)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "cached_tokens": 3}, Usage(input=2, output=2, cache_read=3)),
        ({"prompt_tokens": 5, "completion_tokens": 2, "prompt_tokens_details": {"cached_tokens": 9}}, Usage(input=5, output=2, cache_read=9)),
        (
            {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 10, "completion_tokens_details": {"reasoning_tokens": 3}},
            Usage(input=5, output=5, reasoning=3),
        ),
    ],
)  # fmt: skip
def test_usage_of_compatible_servers(counts: Any, expected: Usage) -> None:
    assert expected == CODEC.decode_response(wire(usage=counts), OUTGOING).usage
    assert (None if counts is None else expected) == CODEC.splice_response(wire(usage=counts), "m")[1]


def test_cache_writes_of_both_kinds_are_one_count() -> None:
    usage = Usage(input=1, output=2, cache_read=3, cache_write_5m=4, cache_write_1h=5)

    assert (13, 9) == (
        written(answer(usage=usage))["usage"]["prompt_tokens"],
        written(answer(usage=usage))["usage"]["prompt_tokens_details"]["cache_write_tokens"],
    )


def test_splice_response_changes_the_model_and_no_other_byte() -> None:
    body = b'{ "id": "r",\n "model" : "up/1", "choices":[{"message":{"content":"\\u00e9 \\"model\\":\\"up/1\\""},"x":1.0}] }'

    assert body.replace(b'"up/1",', b'"public/name",', 1) == CODEC.splice_response(body, "public/name")[0]


def test_request_is_not_needed_to_answer() -> None:
    assert written(answer(Text(text="a")), request=None) == written(answer(Text(text="a")), request=ask())
