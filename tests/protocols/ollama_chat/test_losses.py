"""Each declared loss, shown: what goes in does not come out. A loss that is gone must leave the list."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Audio,
    Base64Source,
    CacheMark,
    Choice,
    Citation,
    Document,
    Finish,
    Image,
    JsonSchema,
    Message,
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
from runtime.catalog import Capability, Model
from runtime.errors import InvalidRequest
from runtime.protocols.ollama_chat import LOSSES
from tests.protocols.ollama_chat.support import ANSWER, CODEC, OUTGOING, PNG, ask, encode, target, user

THINKER = target(Model(id="up-1", has=(Capability.REASONING,)))
OBJECT = '{"type":"object","properties":{}}'
CALL = ToolCall(id="a", name="f", arguments="{}")
PICTURE = Image(source=Base64Source(media_type="image/png", data=PNG))
BLOCK = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")
SEALED = Reasoning(text="hm", seal="s", sealed_by="gemini")


def said(*parts: Any) -> Request:
    return ask(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return ask(Message(role="user", content=parts))


def result(*content: Any, call: ToolCall = CALL, **fields: Any) -> Request:
    answered = ToolResult(call_id="a", name="f", content=content or (Text(text="ok"),), **fields)
    return ask(user("x"), Message(role="assistant", content=(call,)), Message(role="tool", content=(answered,)))


def tool(**fields: Any) -> Request:
    return ask(tools=(Tool(**{"name": "f", "parameters": OBJECT, **fields}),))


def answer(*parts: Any, reason: Any = "stop", **fields: Any) -> Response:
    finish = {name: fields.pop(name) for name in ("stop_sequence",) if name in fields}
    choice = Choice(content=parts, finish=Finish(reason=reason, **finish))
    return Response(**{"id": "", "model": "public/name", "created": 1, "choices": (choice,), **fields})


SHOWN: dict[str, Request | Response] = {
    "messages.role.developer": ask(Message(role="developer", content=(Text(text="a"),)), user("x")),
    "messages.name": ask(Message(role="user", content=(Text(text="a"),), name="Ann")),
    "messages.content.order": asked(PICTURE, Text(text="a")),
    "messages.content.text.split": asked(Text(text="a"), Text(text="b")),
    "messages.content.text.citations": said(Text(text="a", citations=(Citation(url="u"),))),
    "messages.content.cache": asked(Text(text="a", cache=CacheMark())),
    "messages.content.image.detail": asked(Text(text="a"), Image(source=PICTURE.source, detail="low")),
    "messages.content.image.media_type": asked(Image(source=Base64Source(media_type="image/heic", data="AAAA"))),
    "messages.content.document.text": asked(Document(source=TextSource(text="t"))),
    "messages.content.refusal": said(Refusal(text="No.")),
    "messages.content.reasoning.seal": said(SEALED, Text(text="a")),
    "messages.content.native": said(Text(text="a"), BLOCK),
    "messages.content.tool_call.custom": result(call=ToolCall(id="a", name="f", arguments="t", custom=True)),
    "messages.content.tool_result.is_error": result(is_error=True),
    "messages.content.tool_result.image": result(Text(text="ok"), PICTURE),
    "tools.native": ask(tools=(Tool(name="s", native="{}", native_protocol="gemini"),)),
    "tools.strict": tool(strict=True),
    "tools.parameters": tool(parameters=None),
    "tools.custom": ask(tools=(Tool(name="f", custom=True),)),
    "tools.cache": tool(cache=CacheMark()),
    "tool_choice": msgspec.structs.replace(tool(), tool_choice=ToolMode(mode="required")),
    "parallel_tool_calls": msgspec.structs.replace(tool(), parallel_tool_calls=False),
    "sampling.logit_bias": ask(sampling=Sampling(logit_bias={"1": 1.0})),
    "response_format.json_schema.name": ask(response_format=JsonSchema(schema=OBJECT, name="n")),
    "response_format.json_schema.description": ask(response_format=JsonSchema(schema=OBJECT, description="d")),
    "response_format.json_schema.strict": ask(response_format=JsonSchema(schema=OBJECT, strict=True)),
    "reasoning.budget_tokens": ask(reasoning=ReasoningConfig(mode="on", budget_tokens=9000)),
    "reasoning.effort": ask(reasoning=ReasoningConfig(effort="xhigh")),
    "reasoning.display": ask(reasoning=ReasoningConfig(effort="low", display="omitted")),
    "include_usage": ask(stream=True, include_usage=False),
    "verbosity": ask(verbosity="low"),
    "cache": ask(cache=CacheMark()),
    "cache_key": ask(cache_key="k"),
    "service_tier": ask(service_tier="flex"),
    "user": ask(user="u"),
    "metadata": ask(metadata={"a": "b"}),
    "store": ask(store=True),
    "id": answer(Text(text="a"), id="r"),
    "choices.further": answer(
        choices=tuple(Choice(content=(Text(text=text),), finish=Finish(reason="stop")) for text in "ab")
    ),
    "choices.content.text.split": answer(Text(text="a"), Text(text="b")),
    "choices.content.text.citations": answer(Text(text="a", citations=(Citation(url="u"),))),
    "choices.content.refusal": answer(Refusal(text="No.")),
    "choices.content.reasoning.seal": answer(SEALED),
    "choices.content.native": answer(Text(text="a"), BLOCK),
    "choices.finish": answer(Text(text="a"), reason="content_filter"),
    "choices.finish.stop_sequence": answer(Text(text="a"), stop_sequence="END"),
    "usage.cache_read": answer(usage=Usage(input=1, cache_read=2)),
    "usage.reasoning": answer(usage=Usage(output=2, reasoning=1)),
}
"""Values that suffer the loss, and no other."""


BYTES = Base64Source(media_type="application/pdf", data="JVBERi0=")
REFUSED: dict[str, Request] = {
    "messages.content.image.source": asked(Image(source=UrlSource(url="https://example.com/a.png"))),
    "messages.content.audio": asked(Audio(source=Base64Source(media_type="audio/wav", data="AAAA"))),
    "messages.content.document": asked(Document(source=BYTES)),
    "choices": ask(choices=2),
}
SHOWN_BY = {
    "choices.logprobs.reasoning": "test_log_probabilities_of_thinking_are_lost",
    "usage.durations": "test_a_providers_times_are_lost",
}


def through(value: Request | Response) -> Request | Response:
    if isinstance(value, Response):
        return CODEC.decode_response(CODEC.encode_response(value, ANSWER), OUTGOING)
    return msgspec.structs.replace(CODEC.decode_request(CODEC.peek(encode(value, THINKER).body), {}), model=value.model)


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    assert SHOWN[loss] != through(SHOWN[loss])


@pytest.mark.parametrize("loss", REFUSED)
def test_declared_loss_is_refused(loss: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(REFUSED[loss])
    assert caught.value.param


@pytest.mark.parametrize(
    "value",
    [
        asked(Text(text="a"), PICTURE), said(Reasoning(text="h"), Text(text="a")), result(), tool(description="d"),
        ask(reasoning=ReasoningConfig(effort="max")), ask(reasoning=ReasoningConfig(mode="off")),
        ask(reasoning=ReasoningConfig(mode="adaptive")), ask(response_format=JsonSchema(schema=OBJECT)),
        ask(stream=True, include_usage=True), ask(sampling=Sampling(top_k=1, min_p=0.5), stop=("a",), top_logprobs=2),
        answer(Reasoning(text="h"), Text(text="a"), PICTURE, CALL, reason="tool_calls", usage=Usage(input=1, output=2)),
        answer(Text(text="a"), reason="length"),
    ],
)  # fmt: skip
def test_without_what_is_lost_nothing_is_lost(value: Request | Response) -> None:
    assert value == through(value)


def test_log_probabilities_of_thinking_are_lost() -> None:
    line = b'{"message":{"thinking":"a"},"logprobs":[{"token":"a","logprob":-1}],"done":true}\n'
    events = CODEC.stream_decoder(OUTGOING).feed(line)

    assert not [event for event in events if getattr(event, "logprobs", None) is not None]


def test_a_providers_times_are_lost() -> None:
    line = b'{"message":{"content":"a"},"done":true,"total_duration":5,"eval_duration":4}'

    assert b"duration" not in CODEC.encode_response(CODEC.decode_response(line, OUTGOING), ANSWER)


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN) | set(REFUSED) | set(SHOWN_BY)
    assert all(reason.endswith(".") for reason in LOSSES.values())
