"""What an Ollama provider is sent: each request is taken by the vendor's schema before it is looked at."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Document,
    FileSource,
    Image,
    JsonObject,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Sampling,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    ToolSubset,
    UrlSource,
)  # fmt: skip
from runtime.catalog import Capability, Limits, Model, ReasoningFacts
from runtime.errors import InvalidRequest
from tests.protocols.ollama_chat.support import CODEC, PNG, ask, body, encode, target, user
from tests.support.canonical import requests

F, G = Tool(name="f"), Tool(name="g", parameters='{"type":"object","properties":{"a":{"type":"string"}}}')
EMPTY = {"type": "object", "properties": {}}
PICTURE = Image(source=Base64Source(media_type="image/png", data=PNG))


def messages(*given: Message, **quirks: Any) -> list[dict[str, Any]]:
    sent: list[dict[str, Any]] = body(ask(*given), target(**quirks))["messages"]
    return sent


def says(*parts: Any) -> Message:
    return Message(role="assistant", content=parts)


def asks(*parts: Any) -> Message:
    return Message(role="user", content=parts)


def test_the_smallest_request() -> None:
    outgoing = encode(ask(stream=True))

    assert b'{"model":"up-1","messages":[{"role":"user","content":"hi"}],"stream":true}' == outgoing.body
    assert ("/api/chat", True, ()) == (outgoing.path, outgoing.stream, outgoing.losses)
    assert ("accept", "application/x-ndjson") in outgoing.headers
    assert b'"stream":false' in encode(ask()).body


def test_texts_are_joined_and_pictures_stand_beside_them_in_order() -> None:
    other = Image(source=Base64Source(media_type="image/jpeg", data="/9j/"))

    assert [{"role": "user", "content": "a\nb", "images": [PNG, "/9j/"]}] == messages(
        asks(Text(text="a"), PICTURE, Text(text="b"), other)
    )


def test_a_document_of_text_becomes_text() -> None:
    document = Document(source=TextSource(text="Words."), title="note.txt")

    assert [{"role": "user", "content": "note.txt\n\nWords."}] == messages(asks(document))


@pytest.mark.parametrize(
    "part",
    [
        Image(source=UrlSource(url="https://example.com/a.png")), Image(source=FileSource(file_id="f")),
        Document(source=Base64Source(media_type="application/pdf", data="JVBERi0=")),
        Audio(source=Base64Source(media_type="audio/wav", data="AAAA")),
    ],
)  # fmt: skip
def test_what_cannot_be_shown_is_refused_by_name(part: Any) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(ask(user("x"), asks(Text(text="a"), part)))
    assert "messages[1].content[1]" == caught.value.param


def test_a_turn_with_thinking_words_and_calls() -> None:
    call = ToolCall(id="c1", name="f", arguments='{"big": 12345678901234567890, "one": 1.0}')
    outgoing = encode(ask(user("x"), says(Reasoning(text="Hm."), Text(text="Well."), call)))

    assert (
        b'{"role":"assistant","content":"Well.","thinking":"Hm.","tool_calls":[{"id":"c1","function":{"index":0,"name":"f",'
        b'"arguments":{"big": 12345678901234567890, "one": 1.0}}}]}'
    ) in outgoing.body


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}), (" ", {}), ("null", {}), ("[1]", {"value": [1]}), ("5", {"value": 5}), ('{"a":', {"INVALID_JSON": '{"a":'}),
        ('{\n "a": 1\n}', {"a": 1}),
    ],
)  # fmt: skip
def test_arguments_are_an_object_whatever_the_model_wrote(arguments: str, expected: object) -> None:
    sent = messages(user("x"), says(ToolCall(id="c", name="f", arguments=arguments)))

    assert expected == sent[1]["tool_calls"][0]["function"]["arguments"]


def test_results_carry_name_and_id_and_their_pictures_follow_as_the_users() -> None:
    calls = (ToolCall(id="a", name="f", arguments="{}"), ToolCall(id="b", name="g", arguments="{}"))
    results = (
        ToolResult(call_id="b", content=(PICTURE,)),
        ToolResult(call_id="a", content=(Text(text="1"), Text(text="2"))),
    )

    assert [
        {"role": "tool", "tool_call_id": "b", "tool_name": "g", "content": "The result is shown in the next message."},
        {"role": "tool", "tool_call_id": "a", "tool_name": "f", "content": "1\n2"},
        {"role": "user", "content": "What the tool g showed:", "images": [PNG]},
    ] == messages(user("x"), says(*calls), Message(role="tool", content=results))[2:]  # fmt: skip


def test_system_messages_stay_where_they_are_unless_the_provider_wants_them_first() -> None:
    given = (
        Message(role="developer", content=(Text(text="A"),)), user("x"), Message(role="system", content=(Text(text="B"),)),
    )  # fmt: skip

    assert ["system", "user", "system"] == [turn["role"] for turn in messages(*given)]
    assert [
        {"role": "system", "content": "A"}, {"role": "user", "content": "x"},
        {"role": "user", "content": "<system>\nB\n</system>"},
    ] == messages(*given, system_anywhere=False)  # fmt: skip


def test_turns_that_say_nothing_are_left_out() -> None:
    native = Native(protocol="gemini", block="x", json="{}")
    outgoing = encode(ask(Message(role="system", content=()), user("x"), says(native), user("y")))

    assert [user_turn("x"), user_turn("y")] == msgspec.json.decode(outgoing.body)["messages"]
    assert "messages[2].content[0]" in outgoing.losses


def test_a_user_who_says_nothing_is_left_out_and_made_to_begin_where_nobody_else_speaks() -> None:
    nothing = Message(role="user", content=(Text(text=""),))
    system = Message(role="system", content=(Text(text="A"),))

    assert [user_turn("x"), {"role": "assistant", "content": "a"}] == messages(user("x"), says(Text(text="a")), nothing)
    assert [user_turn("Begin.")] == messages(nothing)
    assert [{"role": "system", "content": "A"}, user_turn("Begin.")] == messages(system, nothing)
    assert [{"role": "system", "content": "A"}] == messages(system)


def test_what_is_said_of_a_text_document_stands_before_it() -> None:
    document = Document(source=TextSource(text="c"), title="a", context="b")

    assert [user_turn("a\n\nb\n\nc")] == messages(Message(role="user", content=(document,)))


def user_turn(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


def test_a_refusal_in_history_is_text() -> None:
    assert "No." == messages(user("x"), says(Refusal(text="No.")), user("y"))[1]["content"]


@pytest.mark.parametrize(
    ("choice", "names", "lost"),
    [
        (None, ["f", "g"], False), (ToolMode(mode="auto"), ["f", "g"], False), (ToolMode(mode="none"), None, False),
        (ToolMode(mode="required"), ["f", "g"], True), (NamedTool(name="g"), ["g"], True),
        (ToolSubset(names=("f",)), ["f"], False), (ToolSubset(names=("f",), required=True), ["f"], True),
    ],
)  # fmt: skip
def test_tools_that_must_not_be_called_are_left_out(choice: Any, names: list[str] | None, lost: bool) -> None:
    request = ask(tools=(F, G), tool_choice=choice)
    sent = body(request)

    assert names == ([tool["function"]["name"] for tool in sent["tools"]] if "tools" in sent else None)
    assert lost is ("tool_choice" in encode(request).losses)


def test_tools_are_objects_with_a_schema() -> None:
    top = Tool(name="t", parameters='{"anyOf":[{"properties":{"a":{"type":"string"}}}]}')
    custom = Tool(name="c", description="Say it.", custom=True, format='{"type":"grammar"}')
    native = Tool(name="n", native="{}", native_protocol="gemini")
    request = ask(tools=(F, top, custom, native), parallel_tool_calls=False)
    sent, outgoing = body(request), encode(request)

    assert EMPTY == sent["tools"][0]["function"]["parameters"]
    assert "object" == sent["tools"][1]["function"]["parameters"]["type"]
    assert ["input"] == sent["tools"][2]["function"]["parameters"]["required"]
    assert "grammar" in sent["tools"][2]["function"]["description"]
    assert frozenset({"c"}) == outgoing.custom_tools
    assert {"tools[3]", "parallel_tool_calls"} <= set(outgoing.losses)


def test_a_free_text_tools_call_comes_back_as_its_text() -> None:
    outgoing = encode(ask(tools=(Tool(name="c", custom=True),), stream=True))
    line = b'{"model":"m","message":{"tool_calls":[{"id":"1","function":{"name":"c","arguments":{"input":"a\\nb"}}}]},"done":true}'

    assert (
        ToolCall(id="1", name="c", arguments="a\nb", custom=True)
        == (CODEC.decode_response(line, outgoing).choices[0].content[0])
    )
    events = CODEC.stream_decoder(outgoing).feed(line + b"\n")
    assert ["a\nb"] == [event.text for event in events if event.__struct_config__.tag == "delta"]  # type: ignore[union-attr]


SCHEMA = JsonSchema(schema='{"type":"object"}', name="n", strict=True)


@pytest.mark.parametrize(
    ("wanted", "lacks", "expected", "lost"),
    [
        (None, (), None, False), (JsonObject(), (), "json", False), (SCHEMA, (), {"type": "object"}, False),
        (SCHEMA, (Capability.JSON_SCHEMA,), "json", True), (JsonObject(), (Capability.JSON_OBJECT,), None, True),
        (SCHEMA, (Capability.JSON_SCHEMA, Capability.JSON_OBJECT), None, True),
    ],
)  # fmt: skip
def test_format(wanted: Any, lacks: tuple[Capability, ...], expected: object, lost: bool) -> None:
    to = target(Model(id="up-1", lacks=lacks))
    request = ask(response_format=wanted)

    assert expected == body(request, to).get("format")
    assert lost is ("response_format" in encode(request, to).losses)


THINKER = Model(id="up-1", has=(Capability.REASONING,))


def facts(**given: Any) -> Model:
    return Model(id="up-1", has=(Capability.REASONING,), reasoning=ReasoningFacts(**given))


@pytest.mark.parametrize(
    ("wanted", "model", "think", "losses"),
    [
        (None, THINKER, None, []),
        (ReasoningConfig(mode="off"), Model(id="up-1"), False, []),
        (ReasoningConfig(mode="off"), Model(id="up-1", lacks=(Capability.REASONING,)), None, []),
        (ReasoningConfig(mode="off"), facts(can_disable=False), "low", ["reasoning.effort"]),
        (ReasoningConfig(mode="adaptive"), Model(id="up-1"), True, []),
        (ReasoningConfig(effort="high"), Model(id="up-1"), "high", []),
        (ReasoningConfig(effort="high"), Model(id="up-1", lacks=(Capability.REASONING,)), None, ["reasoning"]),
        (ReasoningConfig(effort="minimal"), THINKER, "low", ["reasoning.effort"]),
        (ReasoningConfig(effort="xhigh"), THINKER, "max", ["reasoning.effort"]),
        (ReasoningConfig(effort="xhigh"), facts(), "high", ["reasoning.effort"]),
        (ReasoningConfig(effort="max"), facts(style="budget"), True, []),
        (ReasoningConfig(mode="on", budget_tokens=8000), Model(id="up-1"), None, ["reasoning"]),
        (ReasoningConfig(mode="on", budget_tokens=8000), THINKER, "medium", ["reasoning.budget_tokens"]),
        (ReasoningConfig(mode="on", budget_tokens=90_000), THINKER, "max", ["reasoning.budget_tokens", "reasoning.effort"]),
        (ReasoningConfig(mode="adaptive", effort="high"), Model(id="up-1"), None, ["reasoning"]),
        (ReasoningConfig(mode="adaptive", display="omitted"), Model(id="up-1"), None, ["reasoning"]),
        (ReasoningConfig(mode="adaptive", effort="high"), THINKER, "high", []),
    ],
)  # fmt: skip
def test_think_says_what_the_model_understands(
    wanted: ReasoningConfig | None, model: Model, think: object, losses: list[str]
) -> None:
    request = ask(reasoning=wanted)

    assert think == body(request, target(model)).get("think")
    assert losses == list(encode(request, target(model)).losses)


def test_options_hold_the_limit_and_the_sampling_and_zero_is_zero() -> None:
    request = ask(
        max_output_tokens=9000,
        stop=("END",),
        sampling=Sampling(temperature=0, top_p=0, top_k=0, min_p=0, presence_penalty=0, frequency_penalty=0, seed=0),
        top_logprobs=0,
        extensions={"ollama_chat": {"options.num_ctx": msgspec.Raw(b"8192"), "keep_alive": msgspec.Raw(b'"1h"')}},
    )
    sent = body(request, target(Model(id="up-1", limits=Limits(max_output=4096))))

    assert {
        "num_predict": 4096, "stop": ["END"], "temperature": 0, "top_p": 0, "top_k": 0, "min_p": 0, "presence_penalty": 0,
        "frequency_penalty": 0, "seed": 0, "num_ctx": 8192,
    } == sent["options"]  # fmt: skip
    assert (True, None, "1h") == (sent["logprobs"], sent.get("top_logprobs"), sent["keep_alive"])
    assert 5 == body(ask(top_logprobs=5))["top_logprobs"]


def test_several_answers_are_refused() -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(ask(choices=2))
    assert ("n", "unsupported_value") == (caught.value.param, caught.value.code)


def test_what_has_no_word_here_is_named() -> None:
    request = ask(
        asks(Text(text="x", cache=CacheMark())),
        says(Reasoning(text="h", seal="s", sealed_by="gemini"), Text(text="y")),
        Message(role="user", content=(Text(text="z"),), name="Ann"),
        user="u", metadata={"a": "b"}, store=True, service_tier="flex", verbosity="low", cache_key="k", cache=CacheMark(),
        sampling=Sampling(logit_bias={"1": 2.0}), extensions={"openai_chat": {"audio": msgspec.Raw(b"{}")}},
    )  # fmt: skip

    assert {
        "messages[0].content[0].cache", "messages[1].content[0].seal", "messages[2].name", "sampling.logit_bias", "verbosity",
        "cache", "cache_key", "service_tier", "user", "metadata", "store", "audio",
    } == set(encode(request).losses)  # fmt: skip


def test_no_seal_reaches_a_provider() -> None:
    sealed = says(Reasoning(text="h", seal="SECRET", sealed_by="anthropic_messages"), Text(text="y"))

    assert b"SECRET" not in encode(ask(user("x"), sealed)).body


PICTURELESS = requests().map(
    lambda request: msgspec.structs.replace(
        request,
        messages=tuple(
            msgspec.structs.replace(
                message,
                content=tuple(
                    part
                    for part in message.content
                    if not isinstance(part, Document)
                    and not (isinstance(part, Image) and not isinstance(part.source, Base64Source))
                ),
            )
            for message in request.messages
        ),
    )
)
"""Requests without what is refused."""


@given(PICTURELESS, st.booleans())
def test_any_request_fits_the_vendors_schema(request_: Request, anywhere: bool) -> None:
    body(request_, target(system_anywhere=anywhere))


def kept(request: Request) -> Request:
    """``request`` less what the codec says that it loses, in the shape in which the rest comes back."""
    turns: list[Message] = []
    for message in request.messages:
        parts: tuple[Any, ...] = message.content
        texts = [part.text for part in parts if isinstance(part, Text)]
        images = [Image(source=part.source) for part in parts if isinstance(part, Image)]
        calls = [part for part in parts if isinstance(part, ToolCall)]
        results = [
            msgspec.structs.replace(part, content=(Text(text="\n".join(text.text for text in part.content)),))  # type: ignore[union-attr]
            for part in parts
            if isinstance(part, ToolResult)
        ]
        said = (Text(text="\n".join(texts)),) if texts else ()
        if message.role != "user" or images or any(texts):
            turns.append(msgspec.structs.replace(message, content=(*said, *images, *calls, *results)))
    if len(turns) < len(request.messages) and all(turn.role == "system" for turn in turns):
        turns.append(user("Begin."))
    choice = request.tool_choice
    tools = () if choice == ToolMode(mode="none") else request.tools
    if isinstance(choice, NamedTool | ToolSubset):
        tools = tuple(tool for tool in tools if tool.name in getattr(choice, "names", (getattr(choice, "name", ""),)))
    wanted = request.response_format
    return msgspec.structs.replace(
        request,
        messages=tuple(turns),
        tools=tuple(msgspec.structs.replace(tool, strict=None, cache=None) for tool in tools),
        tool_choice=None,
        parallel_tool_calls=None,
        response_format=JsonSchema(schema=wanted.schema) if isinstance(wanted, JsonSchema) else wanted,
        user=None,
        include_usage=request.stream,
    )


@given(PICTURELESS)
def test_what_is_encoded_is_decoded_but_for_the_declared_losses(request_: Request) -> None:
    back = CODEC.decode_request(CODEC.peek(encode(request_).body), {})

    assert kept(request_) == msgspec.structs.replace(back, model=request_.model)
