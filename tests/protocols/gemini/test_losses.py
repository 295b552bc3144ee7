"""Each declared loss, shown: what goes in does not come out. A loss that is gone must leave the list."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from runtime.canonical import (
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
    ToolSubset,
    Usage,
    WebSearch,
)
from runtime.protocols.base import Asked
from runtime.protocols.gemini import LOSSES
from tests.protocols.gemini.given import ANSWER, CODEC, OUTGOING, ask, target, user

CALL = ToolCall(id="a", name="f", arguments="{}")
PDF = Base64Source(media_type="application/pdf", data="AAAA")
PNG = Base64Source(media_type="image/png", data="AAAA")
BLOCK = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")
F = Tool(name="f", parameters='{"type":"object"}')
BEFORE_GEMINI_3 = ("messages.content.tool_result.image", "response_format.beside_tools")


def said(*parts: Any) -> Request:
    return ask(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return ask(Message(role="user", content=parts))


def result(*content: Any, **fields: Any) -> Request:
    answered = Message(role="tool", content=(ToolResult(call_id="a", name="f", content=content, **fields),))
    return ask(user("x"), Message(role="assistant", content=(CALL,)), answered)


def answer(*parts: Any, usage: Usage = Usage(), **fields: Any) -> Response:  # noqa: B008 — frozen
    finish = Finish(
        **{"reason": "stop", **{key: fields.pop(key) for key in ("reason", "stop_sequence") if key in fields}}
    )
    known = {"id": "r1", "model": "public/name", **fields}
    return Response(choices=(Choice(content=parts, finish=finish),), usage=usage, **known)


SHOWN: dict[str, Request | Response] = {
    "messages.name": ask(Message(role="user", content=(Text(text="x"),), name="n")),
    "messages.role.developer": ask(Message(role="developer", content=(Text(text="x"),)), user("y")),
    "messages.content.cache": asked(Text(text="x", cache=CacheMark())),
    "messages.content.text.citations": said(Text(text="x", citations=(Citation(url="u"),))),
    "messages.content.refusal": said(Refusal(text="x")),
    "messages.content.reasoning": said(Reasoning(text="hm"), Text(text="x")),
    "messages.content.image.detail": asked(Image(source=PNG, detail="auto")),
    "messages.content.document.title": asked(Document(source=PDF, title="t")),
    "messages.content.document.context": asked(Document(source=PDF, context="c")),
    "messages.content.document.citations": asked(Document(source=PDF, citations=True)),
    "messages.content.document.text": asked(Document(source=TextSource(text="t"))),
    "messages.content.native": said(Text(text="x"), BLOCK),
    "messages.content.tool_call.custom": ask(
        user("x"), Message(role="assistant", content=(ToolCall(id="a", name="f", arguments="p", custom=True),))
    ),
    "messages.content.tool_call.arguments": ask(
        user("x"), Message(role="assistant", content=(ToolCall(id="a", name="f", arguments="[1]"),))
    ),
    "messages.content.tool_result.texts": result(Text(text="a"), Text(text="b")),
    "messages.content.tool_result.is_error": result(Text(text="a"), is_error=False),
    "messages.content.tool_result.image": result(Text(text="a"), Image(source=PNG)),
    "tools.strict": ask(tools=(Tool(name="f", strict=True),)),
    "tools.cache": ask(tools=(Tool(name="f", cache=CacheMark()),)),
    "tools.custom": ask(tools=(Tool(name="f", custom=True),)),
    "tools.native": ask(tools=(Tool(name="s", native="{}", native_protocol="anthropic_messages"),)),
    "tools.parameters": ask(tools=(Tool(name="f", parameters='{"type":"object","minProperties":1}'),)),
    "tool_choice": ask(tools=(F,), tool_choice=ToolSubset(names=("f",))),
    "parallel_tool_calls": ask(tools=(F,), parallel_tool_calls=False),
    "max_output_tokens": ask(max_output_tokens=9000),
    "stop": ask(stop=("a", "b", "c", "d", "e", "f")),
    "sampling.seed": ask(sampling=Sampling(seed=2**40)),
    "sampling.min_p": ask(sampling=Sampling(min_p=0.1)),
    "sampling.logit_bias": ask(sampling=Sampling(logit_bias={"1": 1})),
    "response_format.beside_tools": ask(tools=(F,), response_format=JsonSchema(schema='{"type":"string"}')),
    "response_format.json_schema.name": ask(response_format=JsonSchema(schema="{}", name="n")),
    "reasoning": ask(reasoning=ReasoningConfig(mode="on", budget_tokens=5000, display="summarized")),
    "reasoning.display": ask(reasoning=ReasoningConfig(effort="high")),
    "verbosity": ask(verbosity="low"),
    "include_usage": ask(stream=True),
    "cache_key": ask(cache_key="k"),
    "cache": ask(cache=CacheMark()),
    "service_tier": ask(service_tier="scale"),
    "user": ask(user="u"),
    "metadata": ask(metadata={"a": "b"}),
    "choices.content.text.split": answer(Text(text="a"), Text(text="b")),
    "choices.content.text.citations.quote": answer(
        Text(text="ab", citations=(Citation(url="u", quote="q", start=0, end=1),))
    ),
    "choices.content.refusal": answer(Refusal(text="a")),
    "choices.content.tool_call.custom": answer(
        ToolCall(id="a", name="f", arguments="p", custom=True), reason="tool_calls"
    ),
    "choices.content.tool_call.arguments": answer(ToolCall(id="a", name="f", arguments="[1]"), reason="tool_calls"),
    "choices.content.native": answer(Text(text="a"), BLOCK),
    "choices.finish.stop_sequence": answer(Text(text="a"), reason="stop_sequence", stop_sequence="END"),
    "choices.finish.context_full": answer(Text(text="a"), reason="context_full"),
    "choices.finish.pause": answer(Text(text="a"), reason="pause"),
    "choices.finish.refusal": answer(Text(text="a"), reason="refusal"),
    "id": answer(Text(text="a"), id="another"),
    "created": answer(Text(text="a"), created=5),
    "usage.cache_write_5m": answer(Text(text="a"), usage=Usage(input=1, cache_write_5m=2)),
    "usage.search_requests": answer(Text(text="a"), usage=Usage(input=1, search_requests=2)),
    "usage.accepted_prediction": answer(Text(text="a"), usage=Usage(output=1, accepted_prediction=1)),
}
"""Values that suffer the loss, and no other."""


def through(value: Request | Response) -> Request | Response:
    if isinstance(value, Request):
        old = value in [SHOWN[loss] for loss in BEFORE_GEMINI_3]
        outgoing = CODEC.encode_request(
            value, target("gemini-2.5-flash" if old else "gemini-3.5-flash", max_output=8192), {}
        )
        return CODEC.decode_request(CODEC.peek(outgoing.body, Asked(value.model, value.stream)), {})
    return CODEC.decode_response(CODEC.encode_response(value, ANSWER), OUTGOING)


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    assert SHOWN[loss] != through(SHOWN[loss])


SOUND: dict[str, Request | Response] = {
    "plain": ask(),
    "everything": ask(
        Message(role="system", content=(Text(text="s"),)),
        Message(role="user", content=(Text(text="x"), Image(source=PNG, detail="high"), Document(source=PDF))),
        Message(role="assistant", content=(Text(text="a"), CALL)),
        Message(role="tool", content=(ToolResult(call_id="a", name="f", content=(Text(text="r"), Image(source=PNG)), is_error=True),)),
        user("y"),
        tools=(F, Tool(name="googleSearch", native='{"googleSearch":{}}', native_protocol="gemini", search=WebSearch())), tool_choice=ToolMode(mode="required"),
        max_output_tokens=5, stop=("a",), sampling=Sampling(temperature=0, top_p=0, top_k=0, seed=1, presence_penalty=0, frequency_penalty=0),
        choices=2, top_logprobs=3, response_format=JsonSchema(schema='{"type":"string"}'),
        reasoning=ReasoningConfig(effort="high", display="summarized"), service_tier="flex", store=True,
        extensions={"gemini": {"toolConfig": msgspec.Raw(b'{"includeServerSideToolInvocations":true}')}},
    ),
    "answer": answer(Reasoning(text="hm"), Text(text="a"), CALL, usage=Usage(input=1, output=3, reasoning=1), reason="tool_calls"),
}  # fmt: skip


@pytest.mark.parametrize("case", SOUND)
def test_without_what_is_lost_nothing_is_lost(case: str) -> None:
    assert SOUND[case] == through(SOUND[case])


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN)
    assert all(reason.endswith(".") for reason in LOSSES.values())


def test_every_sampling_field_is_either_said_or_a_loss() -> None:
    lost = {path.removeprefix("sampling.") for path in LOSSES if path.startswith("sampling.")}

    assert (
        set(Sampling.__struct_fields__)
        == {"temperature", "top_p", "top_k", "presence_penalty", "frequency_penalty"} | lost
    )
    assert msgspec.structs.asdict(Sampling()).keys() == set(Sampling.__struct_fields__)
