"""Defects that other gateways had with this protocol, each kept out by a test. Names carry the pitfall's number."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    Delta,
    Ended,
    Finish,
    Finished,
    Image,
    JsonSchema,
    Message,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UrlSource,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.errors import InvalidRequest, UpstreamFailed
from runtime.protocols import codec
from tests.protocols.openai_responses.support import (
    CODEC,
    OUTGOING,
    ask,
    body,
    decode,
    encode,
    reply_to,
    user,
)
from tests.support.stream import decode_stream, sse_data, transcript

STARTED = Started(id="x", model="up-1", created=1_795_219_200)


def events(*given: Any, reason: Any = "stop") -> list[dict[str, Any]]:
    """What a client gets for canonical events."""
    encoder = CODEC.stream_encoder(reply_to())
    data = encoder.feed(
        [STARTED, *given, Finished(finish=Finish(reason=reason)), UsageReported(usage=Usage()), Ended()]
    )
    return [msgspec.json.decode(payload) for payload in sse_data(data)]


def said(index: int, part: Any, *texts: str) -> list[Any]:
    return [
        PartStarted(index=index, part=part),
        *(Delta(index=index, text=text) for text in texts),
        PartEnded(index=index),
    ]


def answer(*frames: dict[str, object]) -> Any:
    read, error = decode_stream(CODEC.stream_decoder(OUTGOING), [transcript(*frames)])
    assert error is None
    return collect(read).choices[0]


def completed(**fields: object) -> dict[str, object]:
    return {"type": "response.completed", "response": {"id": "resp_1", "status": "completed", **fields}}


def test_pitfall_010_deltas_and_done_are_not_both_told() -> None:
    got = answer(
        {"type": "response.output_text.delta", "item_id": "m", "output_index": 0, "content_index": 0, "delta": "Hi"},
        {"type": "response.output_text.done", "item_id": "m", "output_index": 0, "content_index": 0, "text": "Hi"},
        completed(output=[{"type": "message", "id": "m", "content": [{"type": "output_text", "text": "Hi"}]}]),
    )

    assert got.content == (Text(text="Hi"),)


def test_pitfall_036_and_037_every_item_has_its_whole_ladder() -> None:
    names = [event["type"].removeprefix("response.") for event in events(*said(0, Text(text=""), "a", "b"))]

    assert names == [
        "created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta",
        "output_text.done", "content_part.done", "output_item.done", "completed",
    ]  # fmt: skip


def test_pitfall_038_an_open_item_is_done_before_the_end() -> None:
    got = events(PartStarted(index=0, part=Text(text="")), Delta(index=0, text="a"))

    assert [event["type"] for event in got[-2:]] == ["response.output_item.done", "response.completed"]


def test_pitfall_039_nothing_follows_the_last_event() -> None:
    encoder = CODEC.stream_encoder(reply_to())
    encoder.feed([STARTED])
    failed = sse_data(encoder.fail(UpstreamFailed("Broken.")))

    assert [msgspec.json.decode(payload)["type"] for payload in failed] == ["response.failed"]


def test_pitfall_040_unknown_events_of_a_vendor_reach_no_client() -> None:
    got = answer({"type": "codex.rate_limits", "limits": {}}, {"type": "response.future", "x": 1}, completed(output=[]))

    assert got.content == ()


def test_pitfall_041_an_item_has_one_id_in_all_its_events() -> None:
    got = events(*said(0, ToolCall(id="call_1", name="f"), "{}"), reason="tool_calls")
    items = [event["item"] for event in got if "item" in event] + got[-1]["response"]["output"]

    assert {(item["id"], item["call_id"]) for item in items} == {("fc_req1_0", "call_1")}


def test_pitfall_042_a_call_and_its_result_are_joined_by_id_and_kind() -> None:
    request = decode(input=[
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "custom_tool_call", "call_id": "d", "name": "g", "input": "x"},
        {"type": "custom_tool_call_output", "call_id": "d", "output": "D"},
        {"type": "function_call_output", "call_id": "c", "output": "C"},
    ])  # fmt: skip
    sent = body(request)["input"]

    assert [result.name for result in request.messages[1].content if isinstance(result, ToolResult)] == ["g", "f"]
    assert [item["type"] for item in sent] == [
        "function_call", "custom_tool_call", "custom_tool_call_output", "function_call_output",
    ]  # fmt: skip


def test_pitfall_043_output_is_in_the_order_of_its_indexes() -> None:
    first, second = ToolCall(id="a", name="f"), ToolCall(id="b", name="g")
    got = events(
        PartStarted(index=0, part=first), PartStarted(index=1, part=second), Delta(index=1, text="{}"), PartEnded(index=1),
        Delta(index=0, text="{}"), PartEnded(index=0), reason="tool_calls",
    )  # fmt: skip

    assert [item["call_id"] for item in got[-1]["response"]["output"]] == ["a", "b"]


def test_pitfall_044_and_046_thinking_is_closed_before_the_message_and_told_once() -> None:
    got = events(*said(0, Reasoning(), "h", "m"), *said(1, Text(text=""), "a"))
    names = [event["type"].removeprefix("response.") for event in got][2:]

    assert names[:8] == [
        "output_item.added", "reasoning_summary_part.added", "reasoning_summary_text.delta",
        "reasoning_summary_text.delta", "reasoning_summary_text.done", "reasoning_summary_part.done",
        "output_item.done", "output_item.added",
    ]  # fmt: skip


def test_pitfall_045_calls_of_an_answer_that_was_cut_are_done_as_incomplete() -> None:
    got = events(*said(0, ToolCall(id="a", name="f"), '{"a"'), reason="length")

    assert got[-2]["item"]["status"] == "incomplete"
    assert got[-1]["type"] == "response.incomplete"
    assert got[-1]["response"]["incomplete_details"] == {"reason": "max_output_tokens"}


def test_pitfall_047_output_text_is_understood_and_never_told() -> None:
    response = CODEC.decode_response(b'{"id":"r","status":"completed","output":[],"output_text":"Hi"}', OUTGOING)

    assert response.choices[0].content == (Text(text="Hi"),)
    assert b'"output_text":' not in CODEC.encode_response(response, reply_to())


def test_pitfall_048_an_empty_answer_is_an_answer() -> None:
    response = CODEC.decode_response(b'{"id":"r","status":"completed","output":[]}', OUTGOING)

    assert (response.choices[0].content, response.choices[0].finish.reason) == ((), "stop")


def test_pitfall_050_silence_is_filled_with_comments() -> None:
    assert CODEC.stream_encoder(reply_to()).keep_alive == b": keep-alive\n\n"


@pytest.mark.parametrize("given", ["hi", {"role": "user", "content": "hi"}, [{"role": "user", "content": "hi"}]])
def test_pitfall_067_input_is_a_text_one_item_or_a_list(given: object) -> None:
    assert decode(input=given).messages == (user("hi"),)


def test_pitfall_068_an_unknown_item_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(input=[{"role": "user", "content": "a"}] * 3 + [{"type": "brain_wave", "id": "x"}])

    assert caught.value.param == "input[3].type"
    assert "brain_wave" in caught.value.message


def test_pitfall_069_a_result_may_hold_parts() -> None:
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_image", "image_url": "https://e.com/a.png"}]
    request = decode(input=[
        {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": parts},
    ])  # fmt: skip

    assert request.messages[1].content == (
        ToolResult(call_id="c", name="f", content=(Text(text="a"), Image(source=UrlSource(url="https://e.com/a.png")))),
    )
    assert body(request)["input"][1]["output"] == [parts[0], {**parts[1], "detail": "auto"}]


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo="},
        {"type": "input_image", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}},
        {"type": "image_url", "image_url": {"url": "data:;base64,iVBORw0KGgo="}},
    ],
)
def test_pitfall_071_images_in_every_spelling(part: dict[str, Any]) -> None:
    request = decode(input=[{"role": "user", "content": [part]}])

    assert request.messages[0].content == (Image(source=Base64Source(media_type="image/png", data="iVBORw0KGgo=")),)


def test_pitfall_076_fields_of_this_protocol_go_to_no_other() -> None:
    request = decode(client_metadata={"a": "b"}, truncation="auto", max_tool_calls=3)
    from tests.protocols.openai_chat.support import target as chat_target

    sent = codec("openai_chat").encode_request(request, chat_target(), {})

    assert set(msgspec.json.decode(sent.body)) == {"model", "messages"}
    assert {"client_metadata", "truncation", "max_tool_calls"} <= set(sent.losses)
    assert {"client_metadata", "truncation", "max_tool_calls"} <= set(body(request))


@pytest.mark.parametrize("tool", [{"type": "function"}, {"type": "function", "name": ""}, {"type": "custom"}])
def test_pitfall_086_a_nameless_tool_is_refused(tool: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(tools=[tool])

    assert caught.value.param == "tools[0].name"


def test_pitfall_086_tools_that_a_vendor_runs_stay_whole_for_it() -> None:
    search = {"type": "web_search", "external_web_access": True}
    request = decode(tools=[search, {"type": "mcp", "server_label": "x", "server_url": "https://x.example"}])

    assert body(request)["tools"] == [
        search, {"type": "mcp", "server_label": "x", "server_url": "https://x.example"},
    ]  # fmt: skip


def test_pitfall_092_equal_names_in_several_groups_stay_apart() -> None:
    def tool(name: str) -> dict[str, Any]:
        return {"type": "function", "name": name, "parameters": None, "strict": False}

    tools = [
        {"type": "namespace", "name": "a", "description": "A", "tools": [tool("run")]},
        {"type": "namespace", "name": "b", "description": "B", "tools": [tool("run")]},
        tool("a__run"),
    ]
    request = decode(tools=tools)

    assert len({tool.name for tool in request.tools}) == 3
    assert body(request)["tools"] == tools
    frame = {"type": "function_call", "id": "f", "call_id": "c", "name": "run", "namespace": "b", "arguments": "{}"}
    outgoing = encode(request)
    read, _ = decode_stream(CODEC.stream_decoder(outgoing), [transcript(completed(output=[frame]))])
    call = collect(read).choices[0].content[0]
    assert isinstance(call, ToolCall)
    assert call.name == request.tools[1].name
    item = msgspec.json.decode(CODEC.encode_response(collect(read), reply_to(request)))["output"][0]
    assert (item["namespace"], item["name"]) == ("b", "run")


def test_pitfall_090_long_names_are_shortened_and_come_back() -> None:
    name = "mcp.server/" + "x" * 80
    outgoing = encode(ask(tools=(Tool(name=name),)))
    short = msgspec.json.decode(outgoing.body)["tools"][0]["name"]
    item = {"type": "function_call", "id": "f", "call_id": "c", "name": short, "arguments": "{}"}
    read, _ = decode_stream(CODEC.stream_decoder(outgoing), [transcript(completed(output=[item]))])

    assert len(short) <= 64
    assert collect(read).choices[0].content == (ToolCall(id="c", name=name, arguments="{}"),)


def test_pitfall_136_a_wanted_schema_is_flat_here() -> None:
    schema = '{"type":"object","properties":{},"additionalProperties":false}'
    sent = body(ask(response_format=JsonSchema(schema=schema, name="n", strict=True)))

    assert sent["text"] == {
        "format": {"type": "json_schema", "name": "n", "schema": msgspec.json.decode(schema), "strict": True}
    }


def test_pitfall_055_and_056_orphans_are_mended() -> None:
    request = ask(
        Message(role="tool", content=(ToolResult(call_id="z", content=(Text(text="lost"),)),)),
        Message(role="assistant", content=(ToolCall(id="a", name="f", arguments="{}"),)),
        user("go on"),
    )
    kinds = [item["type"] for item in body(request)["input"]]

    assert kinds == ["message", "function_call", "function_call_output", "message"]


def test_pitfall_055_a_chain_s_results_are_no_orphans() -> None:
    request = decode(
        previous_response_id="resp_1", input=[{"type": "function_call_output", "call_id": "c", "output": "ok"}]
    )
    sent = body(request)

    assert sent["input"] == [{"type": "function_call_output", "call_id": "c", "output": "ok"}]
    assert sent["previous_response_id"] == "resp_1"
    assert "store" not in sent


def test_pitfall_066_zero_is_said() -> None:
    assert body(decode(temperature=0, top_p=0))["temperature"] == 0


def test_pitfall_065_nothing_is_said_of_no_tools() -> None:
    assert not {"tools", "tool_choice", "parallel_tool_calls"} & set(body(decode(tools=[], tool_choice="auto")))


def test_pitfall_020_several_answers_are_refused() -> None:
    with pytest.raises(InvalidRequest):
        encode(ask(choices=2))
