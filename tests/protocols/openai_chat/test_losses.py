"""Each declared loss, shown: what goes in does not come out. A loss that is gone must leave the list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from runtime.canonical import (
    Base64Source,
    CacheMark,
    Choice,
    Citation,
    Document,
    FileSource,
    Finish,
    Image,
    JsonSchema,
    Message,
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Request,
    Response,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolResult,
    UrlSource,
    Usage,
)  # fmt: skip
from runtime.protocols.openai_chat import LOSSES
from tests.protocols.openai_chat.support import CODEC, OUTGOING, ask, encode, reply_to, target, user

CALL = ToolCall(id="a", name="f", arguments="{}")
PDF = Base64Source(media_type="application/pdf", data="JVBERi0=")
BLOCK = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")


def said(*parts: Any) -> Request:
    return ask(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return ask(Message(role="user", content=parts))


def result(**fields: Any) -> Request:
    answered = Message(role="tool", content=(ToolResult(call_id="a", **{"content": (Text(text="ok"),), **fields}),))
    return ask(user("x"), Message(role="assistant", content=(CALL,)), answered)


def answer(*parts: Any, usage: Usage | None = None, **finish: Any) -> Response:
    choice = Choice(content=parts, finish=Finish(**{"reason": "stop", **finish}))
    return Response(id="chatcmpl-req1", model="public/name", created=1, choices=(choice,), usage=usage or Usage())


SHOWN: dict[str, Request | Response] = {
    "messages.content.reasoning": said(Reasoning(text="hm"), Text(text="a")),
    "messages.content.reasoning.seal": said(
        Reasoning(text="hm", seal="s", sealed_by="anthropic_messages"), Text(text="a")
    ),
    "messages.content.native": said(Text(text="a"), BLOCK),
    "messages.content.image.by_model": said(Text(text="a"), Image(source=UrlSource(url="https://e.com/a"))),
    "messages.content.cache": asked(Text(text="a", cache=CacheMark())),
    "messages.content.order": said(CALL, Text(text="a")),
    "messages.content.tool_call.arguments": said(msgspec.structs.replace(CALL, arguments="[1]")),
    "messages.content.tool_call.cache": said(msgspec.structs.replace(CALL, cache=CacheMark())),
    "messages.content.tool_result.is_error": result(name="f", is_error=False),
    "messages.content.tool_result.name": result(name="another"),
    "messages.content.tool_result.image": result(name="f", content=(Image(source=UrlSource(url="https://e.com/a")),)),
    "messages.content.tool_result.native": result(name="f", content=(Text(text="a"), BLOCK)),
    "messages.content.document.context": asked(Document(source=PDF, title="t.pdf", context="c", citations=True)),
    "messages.content.document.title": asked(Document(source=PDF)),
    "messages.content.text.citations": said(Text(text="a", citations=(Citation(url="u"),))),
    "tools.native": ask(tools=(Tool(name="s", native="{}", native_protocol="anthropic_messages"),)),
    "tool_choice": ask(
        tools=(Tool(name="f"), Tool(name="s", native="{}", native_protocol="anthropic_messages")),
        tool_choice=NamedTool(name="s"),
    ),
    "tools.strict": ask(
        tools=(Tool(name="f", parameters='{"type":"object","additionalProperties":true}', strict=True),)
    ),
    "tools.cache": ask(tools=(Tool(name="f", cache=CacheMark()),)),
    "cache": ask(cache=CacheMark()),
    "max_output_tokens": ask(max_output_tokens=0),
    "stop": ask(stop=("a", "b", "c", "d", "e")),
    "sampling.top_k": ask(sampling=Sampling(top_k=1)),
    "sampling.min_p": ask(sampling=Sampling(min_p=0.1)),
    "metadata": ask(metadata={"a": "b"}),
    "response_format.json_schema.strict": ask(
        response_format=JsonSchema(schema='{"type":"array"}', name="n", strict=True)
    ),
    "reasoning": ask(reasoning=ReasoningConfig(mode="off")),
    "reasoning.mode": ask(reasoning=ReasoningConfig(mode="adaptive", effort="high")),
    "reasoning.display": ask(reasoning=ReasoningConfig(effort="high", display="omitted")),
    "include_usage": ask(stream=True),
    "choices.content.text.split": answer(Text(text="a"), Text(text="b")),
    "choices.content.text.citations.quote": answer(
        Text(text="a", citations=(Citation(url="u", title="t", quote="q", start=0, end=1),))
    ),
    "choices.content.image.file": answer(Image(source=FileSource(file_id="f"))),
    "choices.content.native": answer(Text(text="a"), BLOCK),
    "choices.finish.stop_sequence": answer(Text(text="a"), reason="stop_sequence", stop_sequence="END"),
    "choices.finish.category": answer(reason="content_filter", category="bio", explanation="e"),
    "usage.cache_write_1h": answer(usage=Usage(input=1, cache_write_1h=2)),
    "usage.search_requests": answer(usage=Usage(input=1, search_requests=2)),
}
"""Values that suffer the loss, and no other."""

SHOWN_BY: dict[str, str] = {
    "choices.logprobs.refusal": "test_refusal_s_logprobs_are_lost",
    "tools.custom": "test_without_its_quirk_a_free_text_tool_is_a_function",
}
"""Losses that no canonical value can show, and the tests that do."""


def through(value: Request | Response) -> Request | Response:
    if isinstance(value, Request):
        return msgspec.structs.replace(CODEC.decode_request(CODEC.peek(encode(value).body), {}), model=value.model)
    return CODEC.decode_response(CODEC.encode_response(value, reply_to()), OUTGOING)


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    assert SHOWN[loss] != through(SHOWN[loss])


SOUND: dict[str, Callable[[], Request | Response]] = {
    "messages.content.reasoning": lambda: said(Text(text="a")),
    "messages.content.cache": lambda: asked(Text(text="a")),
    "messages.content.order": lambda: said(Text(text="a"), CALL),
    "messages.content.document.context": lambda: asked(Document(source=PDF, title="t.pdf")),
    "include_usage": lambda: ask(stream=True, include_usage=True),
    "choices.content.text.split": lambda: answer(Text(text="ab")),
    "choices.content.text.citations.quote": lambda: answer(
        Text(text="a", citations=(Citation(url="u", title="t", start=0, end=1),))
    ),
    "usage.cache_write_1h": lambda: answer(usage=Usage(input=1, cache_write_5m=2)),
}


@pytest.mark.parametrize("loss", SOUND)
def test_without_what_is_lost_nothing_is_lost(loss: str) -> None:
    request = SOUND[loss]()
    if loss == "messages.content.order":  # its call waits for a result
        assert isinstance(request, Request)
        request = msgspec.structs.replace(request, messages=request.messages[:2])

    assert request == through(request)


def test_refusal_s_logprobs_are_lost() -> None:
    body = (
        b'{"id":"r","choices":[{"message":{"refusal":"no"},"finish_reason":"stop",'
        b'"logprobs":{"content":null,"refusal":[{"token":"no","logprob":-1}]}}]}'
    )

    assert CODEC.decode_response(body, OUTGOING).choices[0].logprobs is None


def test_without_its_quirk_a_free_text_tool_is_a_function() -> None:
    request = ask(tools=(Tool(name="f", custom=True, format='{"type":"grammar"}'),))
    (tool,) = CODEC.decode_request(CODEC.peek(encode(request, target(custom_tools=False)).body), {}).tools

    assert (False, None) == (tool.custom, tool.format)


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN) | set(SHOWN_BY)
    assert all(reason.endswith(".") for reason in LOSSES.values())
