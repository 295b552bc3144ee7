"""What Ollama clients send, and what is understood of it."""

from __future__ import annotations

from typing import Any

import msgspec
import ollama
import pytest
from ollama._types import ChatRequest as SdkRequest
from ollama._utils import convert_function_to_tool

from runtime.canonical import (
    Base64Source,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    Reasoning,
    ReasoningConfig,
    Request,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.base import Asked
from tests.protocols.ollama_chat.support import CODEC, PNG, decode, user

CALL = {"function": {"name": "f", "arguments": {}}}


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    return caught.value


def of(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return decode(messages=messages).messages


@pytest.mark.parametrize(("said", "streams"), [("", True), (',"stream":null', True), (',"stream":true', True), (',"stream":false', False)])  # fmt: skip
def test_answers_are_streamed_unless_the_client_says_otherwise(said: str, streams: bool) -> None:
    body = b'{"model":"m"%b,"messages":[]}' % said.encode()

    assert streams is CODEC.peek(body).stream
    assert CODEC.peek(body, Asked(stream=True)).stream


def test_the_smallest_request() -> None:
    assert Request(model="m", messages=(user("hi"),), stream=True, include_usage=True) == decode()


def test_everything_at_once() -> None:
    schema = '{"type":"object","properties":{"n":{"type":"integer"}}}'
    request = decode(
        stream=False,
        messages=[
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "What?", "images": [PNG]},
            {"role": "assistant", "thinking": "Look.", "tool_calls": [{"id": "c1", "function": {"name": "f", "arguments": {"a": 1}}}]},
            {"role": "tool", "tool_call_id": "c1", "tool_name": "f", "content": "42", "images": [PNG]},
        ],
        tools=[{"type": "function", "function": {"name": "f", "description": "d", "parameters": msgspec.Raw(schema.encode())}}],
        format=msgspec.Raw(schema.encode()),
        think="high",
        options={
            "temperature": 0, "top_p": 0.5, "top_k": 0, "min_p": 0.0, "presence_penalty": 1, "frequency_penalty": -1,
            "seed": 0, "num_predict": 0, "stop": ["a", "b"], "num_ctx": 4096, "mirostat": None,
        },
        keep_alive="5m", truncate=False, shift=True, logprobs=True, top_logprobs=3,
    )  # fmt: skip

    image = Image(source=Base64Source(media_type="image/png", data=PNG))
    assert Request(
        model="m",
        messages=(
            Message(role="system", content=(Text(text="Be brief."),)),
            Message(role="user", content=(Text(text="What?"), image)),
            Message(
                role="assistant",
                content=(Reasoning(text="Look."), ToolCall(id="c1", name="f", arguments='{"a":1}')),
            ),
            Message(role="tool", content=(ToolResult(call_id="c1", name="f", content=(Text(text="42"), image)),)),
        ),
        tools=(Tool(name="f", description="d", parameters=schema),),
        response_format=JsonSchema(schema=schema),
        reasoning=ReasoningConfig(effort="high"),
        max_output_tokens=0,
        stop=("a", "b"),
        top_logprobs=3,
        sampling=Sampling(
            temperature=0, top_p=0.5, top_k=0, min_p=0.0, presence_penalty=1, frequency_penalty=-1, seed=0
        ),
        extensions={
            "ollama_chat": {
                "keep_alive": msgspec.Raw(b'"5m"'),
                "truncate": msgspec.Raw(b"false"),
                "shift": msgspec.Raw(b"true"),
                "options.num_ctx": msgspec.Raw(b"4096"),
            }
        },
    ) == request  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [{"role": "user", "content": None}]},
        {"messages": [{"role": "user"}]},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [CALL]}, {"role": "tool"}]},
        {"tools": []}, {"tools": None}, {"options": {}}, {"options": None}, {"format": ""}, {"format": None}, {"think": None},
        {"keep_alive": 0}, {"options": {"stop": ""}}, {"options": {"stop": None, "num_predict": None}}, {"logprobs": False},
    ],
)  # fmt: skip
def test_what_clients_leave_empty_is_taken(fields: dict[str, Any]) -> None:
    request = decode(**fields)

    assert (None, None, None, ()) == (
        request.response_format, request.reasoning, request.top_logprobs, request.tools,
    )  # fmt: skip
    assert () == request.unknown


@pytest.mark.parametrize(("limit", "expected"), [(-1, None), (-2, None), (0, 0), (1, 1), (None, None)])
def test_negative_limits_are_none(limit: int | None, expected: int | None) -> None:
    assert expected == decode(options={"num_predict": limit}).max_output_tokens


@pytest.mark.parametrize(("stop", "expected"), [("END", ("END",)), (["a", "", "b"], ("a", "b")), ([], ())])
def test_stop_is_one_text_or_several(stop: object, expected: tuple[str, ...]) -> None:
    assert expected == decode(options={"stop": stop}).stop


@pytest.mark.parametrize(
    ("think", "expected"),
    [
        (True, ReasoningConfig(mode="adaptive")), (False, ReasoningConfig(mode="off")), ("none", ReasoningConfig(mode="off")),
        *((word, ReasoningConfig(effort=word)) for word in ("low", "medium", "high", "max")),
    ],
)  # fmt: skip
def test_think_is_a_switch_or_a_word(think: object, expected: ReasoningConfig) -> None:
    assert expected == decode(think=think).reasoning


@pytest.mark.parametrize(
    ("given", "media_type"),
    [
        (PNG, "image/png"), ("data:image/webp;base64,UklGRg==", "image/webp"), ("_9j_4AA", "image/jpeg"),
        ("R0lGOD\nlh", "image/gif"), ("AAAA", "image/png"),
    ],
)  # fmt: skip
def test_pictures_are_base64_in_any_spelling(given: str, media_type: str) -> None:
    (image,) = of({"role": "user", "images": [given]})[0].content

    assert isinstance(image, Image)
    assert isinstance(image.source, Base64Source)
    assert media_type == image.source.media_type


@pytest.mark.parametrize("given", ["", "https://example.com/cat.png", "photo.png", "data:image/png,abc", "é"])
def test_pictures_of_other_kinds_are_refused(given: str) -> None:
    error = refused(messages=[{"role": "user", "images": [PNG, given]}])

    assert error.param is not None
    assert error.param.startswith("messages[0].images[1]")


def test_arguments_keep_their_digits() -> None:
    body = (
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f",'
        b'"arguments":{"big": 12345678901234567890,"one": 1.0}}},{"function":{"name":"g","arguments":"{\\"a\\":1.0}"}}]}]}'
    )
    calls = CODEC.decode_request(CODEC.peek(body), {}).messages[0].content

    assert ['{"big": 12345678901234567890,"one": 1.0}', '{"a":1.0}'] == [
        call.arguments for call in calls if isinstance(call, ToolCall)
    ]


def test_results_find_their_calls_by_name_and_order_and_the_ids_stay_the_same() -> None:
    turns: list[dict[str, Any]] = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [
            {"function": {"name": "f", "arguments": {"n": 1}}}, {"function": {"name": "g", "arguments": {}}},
            {"function": {"name": "f", "arguments": {"n": 2}}},
        ]},
        {"role": "tool", "tool_name": "f", "content": "1"}, {"role": "tool", "tool_name": "f", "content": "2"},
        {"role": "tool", "name": "g", "content": "3"},
    ]  # fmt: skip
    first, again = of(*turns), of(*turns, {"role": "user", "content": "y"})

    assert first == again[:-1]
    results = [part for part in first[2].content if isinstance(part, ToolResult)]
    assert [("call_1_0", "f"), ("call_1_2", "f"), ("call_1_1", "g")] == [(part.call_id, part.name) for part in results]


def test_results_without_names_answer_in_order() -> None:
    messages = of({"role": "assistant", "tool_calls": [CALL, CALL]}, {"role": "tool", "content": "1"}, {"role": "tool", "content": "2"})  # fmt: skip
    results = [part for part in messages[1].content if isinstance(part, ToolResult)]

    assert [("call_0_0", "f"), ("call_0_1", "f")] == [(part.call_id, part.name) for part in results]


def test_a_result_without_a_call_keeps_its_words() -> None:
    (message,) = of({"role": "tool", "content": "lost"})

    assert (ToolResult(call_id="call_0", content=(Text(text="lost"),)),) == message.content


def test_json_mode() -> None:
    assert JsonObject() == decode(format="json").response_format


def test_unknown_fields_are_named() -> None:
    assert ("novelty", "template") == decode(novelty=1, template="x").unknown


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": None}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": [{"content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "hi"}]}, "messages[0].role"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {}}]}]}, "messages[0].tool_calls[0].function.name"),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"function": {"name": "f", "parameters": 5}}]}, "tools[0].function.parameters"),
        ({"format": "xml"}, "format"), ({"format": 5}, "format"),
        ({"think": "hard"}, "think"), ({"think": 5}, "think"),
        ({"options": 5}, "options"), ({"options": {"temperature": "hot"}}, "options.temperature"),
        ({"options": {"stop": 5}}, "options.stop"),
        ({"top_logprobs": 21, "logprobs": True}, "top_logprobs"),
    ],
)  # fmt: skip
def test_faults_are_named_by_their_field(fields: dict[str, Any], param: str) -> None:
    assert param == refused(**fields).param


def test_what_the_vendors_sdk_sends_is_understood() -> None:
    """The request as its client builds it, tools from functions and all."""

    def add(a: int, b: int) -> int:
        """Add two numbers.

        Args:
            a: The first.
            b: The second.
        """
        return a + b

    sent = SdkRequest(
        model="m",
        messages=[
            ollama.Message(role="user", content="1+2?"),
            ollama.Message(
                role="assistant",
                tool_calls=[ollama.Message.ToolCall(function=ollama.Message.ToolCall.Function(name="add", arguments={"a": 1}))],
            ),
            ollama.Message(role="tool", tool_name="add", content="3"),
        ],
        tools=[convert_function_to_tool(add)],
        stream=False,
        options=ollama.Options(num_ctx=2048, temperature=0.0),
    ).model_dump(exclude_none=True)  # fmt: skip
    request = CODEC.decode_request(CODEC.peek(msgspec.json.encode(sent)), {})

    assert "add" == request.tools[0].name
    assert 0.0 == request.sampling.temperature
    assert () == request.unknown
    assert ["user", "assistant", "tool"] == [message.role for message in request.messages]
