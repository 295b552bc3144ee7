"""The simulated models as a client of the vendor sees them."""

import asyncio
import json
from collections.abc import AsyncIterator

import jsonschema
import pytest
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from runtime.errors import UpstreamProtocolError, UpstreamTimeout, UpstreamUnavailable
from runtime.upstream.types import Limits
from tests.upstream.simulated.conftest import LIMITS, NOW, Caller, events

NOTICE = "This is Gatewright's simulated provider; no model was asked."

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather of a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer", "minimum": 1}},
            "required": ["city", "days"],
            "additionalProperties": False,
        },
    },
}
CLOCK = {"type": "function", "function": {"name": "get_time"}}


async def complete(caller: Caller, model: str, text: str = "Hello", **fields: object) -> ChatCompletion:
    """A complete answer, as the vendor's own types read it, strictly."""
    status, headers, body = await caller.ask(model, text, **fields)
    assert (status, headers["content-type"]) == (200, "application/json")
    return ChatCompletion.model_validate_json(body, strict=True)


async def streamed(caller: Caller, model: str, text: str = "Hello", **fields: object) -> list[ChatCompletionChunk]:
    chunks, failure = await caller.stream(model, text, **fields)
    assert failure is None
    for event in events(chunks):
        ChatCompletionChunk.model_validate_json(json.dumps(event), strict=True)
    return [ChatCompletionChunk.model_validate(event) for event in events(chunks)]


def content(chunks: list[ChatCompletionChunk]) -> str:
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


def refusal(answer: tuple[int, dict[str, str], bytes]) -> tuple[int, str | None, str | None]:
    """Status, param and code of an error answer, whose envelope must be the vendor's."""
    status, headers, body = answer
    error = json.loads(body)["error"]
    assert headers["content-type"] == "application/json"
    assert list(error) == ["message", "type", "param", "code"]
    assert error["message"]
    return status, error["param"], error["code"]


# -- what all models have in common

MODELS = ["echo", "tools", "thinking", "slow"]


@pytest.mark.parametrize("model", MODELS)
async def test_the_same_request_gets_the_same_bytes(model: str) -> None:
    first = await Caller().ask(model, "Hello", tools=[WEATHER])
    again = await Caller().ask(model, "Hello", tools=[WEATHER])
    other = await Caller().ask(model, "Hello!", tools=[WEATHER])

    assert first == again
    assert json.loads(first[2])["id"] != json.loads(other[2])["id"]
    assert await Caller().stream(model, "Hello") == await Caller().stream(model, "Hello")


@pytest.mark.parametrize("model", MODELS)
async def test_a_stream_says_what_the_complete_answer_says(caller: Caller, model: str) -> None:
    answer = await complete(caller, model, "Tell me")
    chunks = await streamed(caller, model, "Tell me", stream_options={"include_usage": True})

    message = answer.choices[0].message
    assert content(chunks) == message.content
    thoughts = "".join(getattr(chunk.choices[0].delta, "reasoning_content", "") for chunk in chunks if chunk.choices)
    assert thoughts == (message.model_extra or {}).get("reasoning_content", "")
    assert chunks[-1].usage == answer.usage
    assert chunks[-2].choices[0].finish_reason == answer.choices[0].finish_reason


@pytest.mark.parametrize("model", MODELS)
async def test_every_answer_says_that_no_model_was_asked(caller: Caller, model: str) -> None:
    answer = await complete(caller, model)

    assert NOTICE in (answer.choices[0].message.content or "")
    assert answer.system_fingerprint == "fp_gatewright_simulated"


async def test_the_official_parser_reads_the_stream(caller: Caller) -> None:
    """The SDK's own event reader, byte by byte, gives the chunks in order and stops at the terminator."""
    chunks, _ = await caller.stream("echo", "wörld 🌍")

    async def single_bytes() -> AsyncIterator[bytes]:
        for byte in b"".join(chunks):
            yield bytes([byte])

    data = [event.data async for event in SSEDecoder().aiter_bytes(single_bytes())]

    assert data.pop() == "[DONE]"
    parsed = [ChatCompletionChunk.model_validate_json(event) for event in data]
    assert content(parsed) == f"{NOTICE} You said: wörld 🌍"


async def test_chunks_share_id_time_and_model_and_begin_with_the_role(caller: Caller) -> None:
    chunks = await streamed(caller, "echo")

    assert {(chunk.created, chunk.model, chunk.object) for chunk in chunks} == {(NOW, "echo", "chat.completion.chunk")}
    assert len({chunk.id for chunk in chunks}) == 1
    assert [chunk.choices[0].delta.role for chunk in chunks] == ["assistant"] + [None] * (len(chunks) - 1)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]


async def test_usage_is_streamed_only_when_asked_for(caller: Caller) -> None:
    plain, _ = await caller.stream("echo")
    counted, _ = await caller.stream("echo", stream_options={"include_usage": True})

    assert all("usage" not in event for event in events(plain))
    *others, last = events(counted)
    assert {event["usage"] for event in others} == {None}
    assert (last["choices"], set(last["usage"])) == (
        [],
        {"prompt_tokens", "completion_tokens", "total_tokens", "prompt_tokens_details", "completion_tokens_details"},
    )


async def test_pieces_are_short(caller: Caller) -> None:
    chunks = await streamed(caller, "echo", "incomprehensibilities " * 20)

    assert max(len(chunk.choices[0].delta.content or "") for chunk in chunks) <= 16


async def test_other_tasks_get_their_turn_between_pieces(caller: Caller) -> None:
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counter = asyncio.create_task(count())
    chunks, _ = await caller.stream("echo", "word " * 100)
    counter.cancel()

    assert turns >= len(chunks)


# -- echo


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
async def test_the_output_limit_cuts_the_answer(caller: Caller, field: str) -> None:
    answer = await complete(caller, "echo", **{field: 4})
    chunks = await streamed(caller, "echo", **{field: 4})

    assert (answer.choices[0].message.content, answer.choices[0].finish_reason) == ("This is Gatewright", "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4
    assert (content(chunks), chunks[-1].choices[0].finish_reason) == ("This is Gatewright", "length")


@pytest.mark.parametrize(("stop", "end"), [("no model", "; "), (["zzz", "simulated"], "Gatewright's ")])
async def test_stop_strings_end_the_answer_before_them(caller: Caller, stop: object, end: str) -> None:
    answer = await complete(caller, "echo", stop=stop)

    text = answer.choices[0].message.content or ""
    assert (text.endswith(end), answer.choices[0].finish_reason) == (True, "stop")
    assert NOTICE.startswith(text)


async def test_images_and_files_are_noticed(caller: Caller) -> None:
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    file = {"type": "file", "file": {"file_id": "file-1"}}
    parts = [{"type": "text", "text": "Look"}, image, image, file]

    answer = await complete(caller, "echo", messages=[{"role": "user", "content": parts}])

    assert answer.choices[0].message.content == f"{NOTICE} You said: Look (with 2 images and 1 file)"


async def test_json_mode_gives_an_object_that_says_what_it_is(caller: Caller) -> None:
    answer = await complete(caller, "echo", "Answer in JSON", response_format={"type": "json_object"})

    expected = {"simulated": True, "notice": NOTICE, "echo": "Answer in JSON"}
    assert json.loads(answer.choices[0].message.content or "") == expected


async def test_a_json_schema_is_kept(caller: Caller) -> None:
    schema = WEATHER["function"]["parameters"]
    wanted = {"type": "json_schema", "json_schema": {"name": "weather", "schema": schema, "strict": True}}

    answer = await complete(caller, "echo", response_format=wanted)

    jsonschema.validate(json.loads(answer.choices[0].message.content or ""), schema)


async def test_a_schema_that_cannot_be_filled_is_refused(caller: Caller) -> None:
    schema = {"type": "string", "pattern": "^[αβγ]{7}$"}
    wanted = {"type": "json_schema", "json_schema": {"name": "greek", "schema": schema}}

    refused = await caller.ask("echo", response_format=wanted)

    assert refusal(refused) == (400, "response_format.json_schema.schema", "invalid_value")


async def test_offered_tools_are_no_reason_to_refuse_but_forced_ones_are(caller: Caller) -> None:
    answer = await complete(caller, "echo", tools=[WEATHER], tool_choice="auto")
    refused = await caller.ask("echo", tools=[WEATHER], tool_choice="required")

    assert answer.choices[0].finish_reason == "stop"
    assert refusal(refused) == (400, "tool_choice", "unsupported_value")


# -- tools


def calls(answer: ChatCompletion) -> list[tuple[str, object]]:
    return [
        (call.function.name, json.loads(call.function.arguments))
        for call in answer.choices[0].message.tool_calls or ()
        if call.type == "function"
    ]


async def test_the_script_names_the_calls(caller: Caller) -> None:
    text = 'Please call get_weather {"city": "Bern {CH}", "days": 2} and call get_time'
    answer = await complete(caller, "tools", text, tools=[WEATHER, CLOCK])

    assert calls(answer) == [("get_weather", {"city": "Bern {CH}", "days": 2}), ("get_time", {})]
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("tool_calls", None)


async def test_without_a_script_the_first_tool_is_called_as_its_schema_wants(caller: Caller) -> None:
    answer = await complete(caller, "tools", "call me maybe", tools=[WEATHER, CLOCK])

    assert calls(answer) == [("get_weather", {"city": "simulated", "days": 1})]


async def test_streamed_calls_carry_id_and_name_once_and_arguments_in_pieces(caller: Caller) -> None:
    text = 'call get_weather {"city": "Bern", "days": 2} call get_weather {"city": "Rome", "days": 1}'
    answer = await complete(caller, "tools", text, tools=[WEATHER])
    chunks = await streamed(caller, "tools", text, tools=[WEATHER])

    deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or ()]
    assert [delta.index for delta in deltas if delta.id] == [0, 1]
    assert all((delta.id is None) == (delta.function is not None and delta.function.name is None) for delta in deltas)
    for index, city in enumerate(("Bern", "Rome")):
        parts = [delta.function.arguments or "" for delta in deltas if delta.index == index and delta.function]
        assert len(parts) > 3
        assert json.loads("".join(parts))["city"] == city
    assert chunks[-1].choices[0].finish_reason == answer.choices[0].finish_reason == "tool_calls"


async def test_parallel_calls_can_be_turned_off(caller: Caller) -> None:
    text = "call get_time call get_weather"
    answer = await complete(caller, "tools", text, tools=[WEATHER, CLOCK], parallel_tool_calls=False)

    assert calls(answer) == [("get_time", {})]


async def test_a_named_tool_is_called_and_none_is_none(caller: Caller) -> None:
    named = {"type": "function", "function": {"name": "get_time"}}
    forced = await complete(caller, "tools", tools=[WEATHER, CLOCK], tool_choice=named)
    none = await complete(caller, "tools", tools=[WEATHER, CLOCK], tool_choice="none")

    assert (calls(forced), forced.choices[0].finish_reason) == ([("get_time", {})], "stop")
    assert (calls(none), none.choices[0].finish_reason) == ([], "stop")


async def test_allowed_tools_narrow_the_choice(caller: Caller) -> None:
    allowed = {"mode": "auto", "tools": [{"type": "function", "function": {"name": "get_time"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}

    answer = await complete(caller, "tools", "call get_weather", tools=[WEATHER, CLOCK], tool_choice=choice)

    assert calls(answer) == [("get_time", {})]


def with_results(*results: str) -> list[dict[str, object]]:
    made = [
        {"id": f"call_{index}", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
        for index in range(len(results))
    ]
    answers = [{"role": "tool", "tool_call_id": f"call_{index}", "content": text} for index, text in enumerate(results)]
    return [{"role": "user", "content": "Weather?"}, {"role": "assistant", "tool_calls": made}, *answers]


async def test_results_are_told_and_end_the_calling(caller: Caller) -> None:
    answer = await complete(caller, "tools", messages=with_results("sun", "rain"), tools=[WEATHER])

    told = f"{NOTICE} get_weather answered: sun get_weather answered: rain"
    assert (answer.choices[0].message.content, calls(answer)) == (told, [])


async def test_the_output_limit_cuts_arguments(caller: Caller) -> None:
    answer = await complete(caller, "tools", tools=[WEATHER], max_tokens=3)

    (call,) = answer.choices[0].message.tool_calls or ()
    assert call.type == "function"
    assert (call.function.arguments, answer.choices[0].finish_reason) == ('{"city', "length")


# -- thinking


@pytest.mark.parametrize(("effort", "thoughts"), [("none", 0), ("low", 1), ("medium", 2), ("high", 3), (None, 2)])
async def test_effort_decides_how_much_is_thought(caller: Caller, effort: str | None, thoughts: int) -> None:
    answer = await complete(caller, "thinking", "Two words", reasoning_effort=effort)

    thought = (answer.choices[0].message.model_extra or {}).get("reasoning_content", "")
    assert thought.count(".") == thoughts
    assert answer.usage is not None
    assert answer.usage.completion_tokens_details is not None
    assert bool(answer.usage.completion_tokens_details.reasoning_tokens) == bool(thoughts)


async def test_thoughts_are_streamed_before_the_text(caller: Caller) -> None:
    chunks = await streamed(caller, "thinking")

    kinds = ["t" if "reasoning_content" in (chunk.choices[0].delta.model_extra or {}) else "c" for chunk in chunks]
    assert "".join(kinds).strip("c").strip("t") == ""


async def test_thoughts_may_be_sent_back(caller: Caller) -> None:
    said = {"role": "assistant", "content": "Yes", "reasoning_content": "Hm"}
    asked = {"role": "user", "content": "Sure?"}

    assert (await complete(caller, "thinking", messages=[asked, said, asked])).choices[0].message.content


# -- slow


async def test_the_request_says_the_pace(caller: Caller) -> None:
    chunks, failure = await caller.stream("slow", "every 100ms, first after 2s")

    assert failure is None
    assert caller.slept == [2.0] + [0.1] * (len(events(chunks)) - 3)


async def test_without_a_word_the_pace_is_three_tenths_of_a_second(caller: Caller) -> None:
    await caller.stream("slow", max_tokens=4)

    assert caller.slept == [0.3, 0.3, 0.3, 0.3]


async def test_an_answer_that_is_not_streamed_comes_after_all_its_pauses(caller: Caller) -> None:
    await caller.ask("slow", "every 200ms", max_tokens=5)

    assert caller.slept == [pytest.approx(1.0)]


@pytest.mark.parametrize(
    ("text", "limits", "limit", "slept_s"),
    [
        ("every 9s", LIMITS, "idle", 5.0),
        ("every 100ms, first after 6s", LIMITS, "idle", 5.0),
        ("every 4s", Limits(connect_ms=1, first_byte_ms=1, idle_ms=5_000, total_ms=10_000), "total", 10.0),
    ],
)
async def test_pauses_end_at_the_limits_as_they_would_on_the_network(
    caller: Caller, text: str, limits: Limits, limit: str, slept_s: float
) -> None:
    _, failure = await caller.stream("slow", text, limits=limits)

    assert isinstance(failure, UpstreamTimeout)
    assert (failure.limit, sum(caller.slept)) == (limit, pytest.approx(slept_s))


async def test_a_slow_answer_that_is_not_streamed_ends_at_the_first_byte_limit(caller: Caller) -> None:
    with pytest.raises(UpstreamTimeout) as caught:
        await caller.ask("slow", "every 9s")

    assert (caught.value.limit, caller.slept) == ("first_byte", [10.0])


# -- the rest of the surface


async def test_the_models_are_listed(caller: Caller) -> None:
    response = await caller.send(b"", url="sim://local/v1/models", method="GET")

    listed = json.loads(await response.read(10_000))
    assert [model["id"] for model in listed["data"]] == ["echo", "tools", "thinking", "slow", "error"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/v1/embeddings", 404), ("GET", "/chat/completions", 405), ("POST", "/models", 405), ("POST", "", 404)],
)
async def test_what_is_not_served_is_refused(caller: Caller, method: str, path: str, status: int) -> None:
    response = await caller.send(b"{}", url=f"sim://local{path}", method=method)

    assert refusal((response.status, dict(response.headers), await response.read(10_000)))[0] == status


async def test_an_unknown_model(caller: Caller) -> None:
    assert refusal(await caller.ask("gpt-4o")) == (404, None, "model_not_found")


async def test_too_much_context(caller: Caller) -> None:
    assert refusal(await caller.ask("echo", "word " * 200_001)) == (400, "messages", "context_length_exceeded")


async def test_too_large_an_output_limit(caller: Caller) -> None:
    assert refusal(await caller.ask("echo", max_tokens=65_537)) == (400, "max_tokens", "invalid_value")


async def test_read_stops_at_its_size(caller: Caller) -> None:
    response = await caller.send({"model": "echo", "messages": [{"role": "user", "content": "Hello"}]})

    with pytest.raises(UpstreamProtocolError):
        await response.read(100)


async def test_after_letting_go_nothing_comes(caller: Caller) -> None:
    asked = {"model": "echo", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
    response = await caller.send(asked)
    chunks = response.chunks()
    await anext(chunks)
    await response.aclose()
    await response.aclose()

    with pytest.raises(UpstreamUnavailable):
        await anext(chunks)
