"""Each declared loss, shown: what goes in does not come out. A loss that is gone must leave the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from runtime import canonical
from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Choice,
    Citation,
    Document,
    Finish,
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
    Response,
    Sampling,
    Text,
    TextSource,
    Tool,
    ToolCall,
    ToolMode,
    ToolResult,
    UrlSource,
    Usage,
)  # fmt: skip
from runtime.errors import InvalidRequest
from runtime.protocols.anthropic_messages import LOSSES
from tests.protocols.anthropic_messages.given import (
    ANSWER,
    CODEC,
    NO_HEADERS,
    OUTGOING,
    decoded,
    saying,
    target,
    user,
)
from tests.support.each import each

CALL = ToolCall(id="a", name="f", arguments="{}")
PICTURE = Image(source=UrlSource(url="https://e.example/a.png"))
PAPER = Document(source=TextSource(text="x"))
BLOCK = Native(protocol="openai_responses", block="web_search_call", json="{}")
F = Tool(name="f", parameters='{"type":"object","properties":{}}')
BOUNDED = '{"type":"object","properties":{"a":{"type":"integer","minimum":1}}}'


def said(*parts: Any) -> Request:
    return asking(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return asking(Message(role="user", content=parts))


def called(call: ToolCall = CALL, **fields: Any) -> Request:
    result = ToolResult(call_id="a", **{"content": (Text(text="ok"),), **fields})
    turn = Message(role="assistant", content=(call,))
    return asking(user("x"), turn, Message(role="tool", content=(result,)))


def asking(*messages: Message, **fields: Any) -> Request:
    return saying(*messages, **{"max_output_tokens": 100, **fields})


def answer(*parts: Any, usage: Usage | None = None, logprobs: str | None = None, **finish: Any) -> Response:
    choice = Choice(content=parts, finish=Finish(**{"reason": "stop", **finish}), logprobs=logprobs)
    return Response(id="msg_r1", model="public/name", choices=(choice,), usage=usage or Usage(), service_tier="default")


SHOWN: dict[str, Request | Response] = {
    "messages.name": asking(Message(role="user", name="ann", content=(Text(text="x"),))),
    "messages.role.developer": asking(Message(role="developer", content=(Text(text="x"),)), user("y")),
    "messages.content.text.blank": asked(Text(text="a"), Text(text=" ")),
    "messages.content.text.citations": said(Text(text="a", citations=(Citation(url="u"),))),
    "messages.content.refusal": said(Refusal(text="no")),
    "messages.content.image.detail": asked(msgspec.structs.replace(PICTURE, detail="low")),
    "messages.content.image.by_model": said(Text(text="a"), PICTURE),
    "messages.content.reasoning": said(Reasoning(text="hm", seal="s", sealed_by="gemini"), Text(text="a")),
    "messages.content.native": said(Text(text="a"), BLOCK),
    "messages.content.tool_call.arguments": called(ToolCall(id="a", name="f", arguments="[1]")),
    "messages.content.tool_call.custom": called(ToolCall(id="a", name="f", arguments="x", custom=True)),
    "messages.content.tool_result.is_error": called(content=(Text(text="a"), PICTURE), is_error=True),
    "messages.content.tool_result.name": called(name="f"),
    "tools.strict": asking(tools=(Tool(name="f", parameters=BOUNDED, strict=True),)),
    "tools.custom": asking(tools=(Tool(name="f", custom=True),)),
    "tools.native": asking(tools=(F, Tool(name="s", native="{}", native_protocol="gemini"))),
    "tool_choice": asking(
        tools=(F,), tool_choice=NamedTool(name="f"), reasoning=ReasoningConfig(mode="adaptive"),
    ),
    "parallel_tool_calls": asking(tools=(F,), parallel_tool_calls=True),
    "max_output_tokens": asking(max_output_tokens=100_000),
    "stop.blank": asking(stop=("a", " ")),
    "sampling": asking(sampling=Sampling(temperature=0.5), reasoning=ReasoningConfig(mode="adaptive")),
    "sampling.min_p": asking(sampling=Sampling(min_p=0.1)),
    "sampling.presence_penalty": asking(sampling=Sampling(presence_penalty=0.1)),
    "sampling.frequency_penalty": asking(sampling=Sampling(frequency_penalty=0.1)),
    "sampling.seed": asking(sampling=Sampling(seed=0)),
    "sampling.logit_bias": asking(sampling=Sampling(logit_bias={"1": 1})),
    "top_logprobs": asking(top_logprobs=0),
    "response_format.json_object": asking(response_format=JsonObject()),
    "response_format.json_schema.schema": asking(response_format=JsonSchema(schema='{"type":"object"}')),
    "response_format.json_schema.name": asking(
        response_format=JsonSchema(
            schema='{"type":"object","properties":{},"additionalProperties":false}', name="n", strict=True
        )
    ),
    "reasoning": asking(reasoning=ReasoningConfig(effort="high")),
    "verbosity": asking(verbosity="low"),
    "include_usage": asking(stream=True),
    "cache_key": asking(cache_key="k"),
    "cache": asked(*(Text(text=text, cache=CacheMark()) for text in "abcde")),
    "service_tier": asking(service_tier="flex"),
    "user": asking(user="u" * 257),
    "metadata": asking(metadata={"a": "b"}),
    "store": asking(store=False),
    "choices.content.text.blank": answer(Text(text="a"), Text(text="")),
    "choices.content.refusal": answer(Refusal(text="no"), reason="refusal"),
    "choices.content.image": answer(Text(text="a"), PICTURE),
    "choices.content.tool_call.custom": answer(
        ToolCall(id="a", name="f", arguments="x", custom=True), reason="tool_calls"
    ),
    "choices.content.tool_call.arguments": answer(ToolCall(id="a", name="f", arguments="[1]"), reason="tool_calls"),
    "choices.content.native": answer(Text(text="a"), BLOCK),
    "choices.content.text.citations.start": answer(
        Text(text="a"), Text(text="bc", citations=(Citation(url="u", start=0, end=1),))
    ),
    "choices.finish.content_filter": answer(reason="content_filter"),
    "choices.logprobs": answer(Text(text="a"), logprobs="[]"),
    "id": msgspec.structs.replace(answer(), id="another"),
    "created": msgspec.structs.replace(answer(), created=1),
    "usage.audio_input": answer(usage=Usage(input=2, audio_input=1)),
    "usage.accepted_prediction": answer(usage=Usage(output=2, accepted_prediction=1)),
}  # fmt: skip
"""Values that suffer the loss, and no other."""

REFUSED: dict[str, Request] = {
    "messages.content.audio": asked(Audio(source=Base64Source(media_type="audio/wav", data="UklGRg=="))),
    "choices": asking(choices=2),
}
"""What must not be left out, and so is refused."""

SHOWN_BY: dict[str, str] = {
    "messages.content.search_result": "test_a_search_hit_goes_on_as_a_document",
    "messages.content.document.by_model": "test_documents_by_the_model_are_shown_by_the_user_where_they_are_refused",
    "extensions": "test_a_stream_does_not_carry_the_container",
}
"""Losses that no single value can show, and the tests that do."""


def through(value: Request | Response) -> Request | Response:
    if isinstance(value, Request):
        body = CODEC.encode_request(value, target(), NO_HEADERS).body
        return msgspec.structs.replace(CODEC.decode_request(CODEC.peek(body), NO_HEADERS), model=value.model)
    return CODEC.decode_response(CODEC.encode_response(value, ANSWER), OUTGOING)


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    assert SHOWN[loss] != through(SHOWN[loss])


@pytest.mark.parametrize("loss", REFUSED)
def test_declared_loss_is_refused(loss: str) -> None:
    with pytest.raises(InvalidRequest):
        through(REFUSED[loss])


SOUND: dict[str, Callable[[], Request | Response]] = {
    "messages.name": lambda: asking(user("x")),
    "messages.content.image.detail": lambda: asked(PICTURE),
    "messages.content.reasoning": lambda: said(
        Reasoning(text="hm", seal="s", sealed_by="anthropic_messages"), Text(text="a")
    ),
    "messages.content.tool_call.arguments": called,
    "tools.native": lambda: asking(tools=(F,)),
    "tool_choice": lambda: asking(tools=(F,), tool_choice=ToolMode(mode="required")),
    "sampling": lambda: asking(sampling=Sampling(temperature=0.5, top_p=0.5, top_k=0)),
    "stop.blank": lambda: asking(stop=("a",)),
    "include_usage": lambda: asking(stream=True, include_usage=True),
    "cache": lambda: asked(Text(text="a", cache=CacheMark(ttl_s=3600))),
    "user": lambda: asking(user="u" * 256),
    "choices.content.native": lambda: answer(Text(text="a")),
    "usage.audio_input": lambda: answer(usage=Usage(input=2, cache_write_1h=1, cache_read=3, reasoning=1, output=2)),
}


@pytest.mark.parametrize("loss", SOUND)
def test_without_what_is_lost_nothing_is_lost(loss: str) -> None:
    assert SOUND[loss]() == through(SOUND[loss]())


def test_a_search_hit_goes_on_as_a_document() -> None:
    hit = {
        "type": "search_result",
        "source": "https://e.example",
        "title": "t",
        "content": [{"type": "text", "text": "x"}],
    }
    request = decoded({"messages": [{"role": "user", "content": [hit]}]})

    assert isinstance(request.messages[0].content[0], Document)
    assert b'"document"' in CODEC.encode_request(request, target(), NO_HEADERS).body


def test_documents_by_the_model_are_shown_by_the_user_where_they_are_refused() -> None:
    outgoing = CODEC.encode_request(said(Text(text="a"), PAPER), target(version="2026-10-21"), NO_HEADERS)
    turns = msgspec.json.decode(outgoing.body)["messages"]

    assert ["text"] == [block["type"] for block in turns[1]["content"]]
    assert ["text", "document", "text"] == [block["type"] for block in turns[2]["content"]]
    assert said(Text(text="a"), PAPER) == through(said(Text(text="a"), PAPER))


def test_a_stream_does_not_carry_the_container() -> None:
    container = {"id": "c", "expires_at": "2026-01-01T00:00:00Z"}
    whole = b'{"type":"message","id":"m","content":[],"stop_reason":"end_turn","container":%b}' % msgspec.json.encode(
        container
    )
    start = b'event: message_start\ndata: {"type":"message_start","message":%b}\n\n' % whole

    assert "container" in CODEC.decode_response(whole, OUTGOING).extensions["anthropic_messages"]
    assert b"container" not in CODEC.stream_encoder(ANSWER).feed(CODEC.stream_decoder(OUTGOING).feed(start))


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN) | set(REFUSED) | set(SHOWN_BY)


REQUEST = set(canonical.Request.__struct_fields__)
RESPONSE = set(canonical.Response.__struct_fields__)
TAGS = {
    config.tag
    for name in canonical.__all__
    if isinstance(kind := getattr(canonical, name), type) and issubclass(kind, msgspec.Struct)
    and (config := kind.__struct_config__).tag is not None
}  # fmt: skip


@each(sorted(LOSSES))
def test_a_loss_names_a_field_of_canonical_and_says_why(path: str) -> None:
    first, _, rest = path.partition(".")

    assert first in REQUEST | RESPONSE
    assert LOSSES[path].endswith(".")
    if rest.startswith("content."):
        kind = rest.removeprefix("content.").partition(".")[0]
        assert kind in TAGS | {"search_result"}


def test_every_sampling_field_is_either_said_or_a_loss() -> None:
    said = {"temperature", "top_p", "top_k"}
    lost = {path.removeprefix("sampling.") for path in LOSSES if path.startswith("sampling.")}

    assert set(canonical.Sampling.__struct_fields__) == said | lost
