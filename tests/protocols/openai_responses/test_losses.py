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
    NamedTool,
    Native,
    Reasoning,
    ReasoningConfig,
    Refusal,
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
from runtime.catalog import Capability, Model
from runtime.errors import InvalidRequest
from runtime.protocols.openai_responses import LOSSES
from tests.protocols.openai_responses.support import CODEC, OUTGOING, ask, encode, reply_to, target, user

THINKER = target(Model(id="up-1", has=(Capability.REASONING,)))
LOOSE = '{"type":"object","additionalProperties":true}'
TIGHT = '{"type":"object","properties":{},"additionalProperties":false}'
CALL = ToolCall(id="a", name="f", arguments="{}")
PDF = Base64Source(media_type="application/pdf", data="JVBERi0=")
PICTURE = Image(source=UrlSource(url="https://e.com/a.png"))
BLOCK = Native(protocol="anthropic_messages", block="server_tool_use", json="{}")


def said(*parts: Any) -> Request:
    return ask(user("x"), Message(role="assistant", content=parts), user("y"))


def asked(*parts: Any) -> Request:
    return ask(Message(role="user", content=parts))


def called(call: ToolCall = CALL, **fields: Any) -> Request:
    given: dict[str, Any] = {"name": call.name, "content": (Text(text="ok"),), **fields}
    answered = ToolResult(call_id="a", **given)
    return ask(user("x"), Message(role="assistant", content=(call,)), Message(role="tool", content=(answered,)))


def answer(*parts: Any, usage: Usage | None = None, **finish: Any) -> Response:
    ended: dict[str, Any] = {"reason": "stop", **finish}
    choice = Choice(content=parts, finish=Finish(**ended))
    return Response(id="resp_req1", model="public/name", created=1, choices=(choice,), usage=usage or Usage())


SHOWN: dict[str, Request | Response] = {
    "messages.name": ask(Message(role="user", content=(Text(text="a"),), name="Ann")),
    "messages.content.reasoning": said(Reasoning(text="hm", seal="s", sealed_by="gemini"), Text(text="a")),
    "messages.content.native": said(Text(text="a"), BLOCK),
    "messages.content.cache": asked(Text(text="a", cache=CacheMark())),
    "messages.content.image.assistant": said(Text(text="a"), PICTURE),
    "messages.content.tool_call.arguments": called(ToolCall(id="a", name="f", arguments="[1]")),
    "messages.content.tool_call.cache": called(ToolCall(id="a", name="f", arguments="{}", cache=CacheMark())),
    "messages.content.tool_result.is_error": called(is_error=True),
    "messages.content.tool_result.name": called(name="another"),
    "messages.content.tool_result.cache": called(cache=CacheMark()),
    "messages.content.document.context": asked(Document(source=PDF, title="t.pdf", context="c")),
    "messages.content.document.title": asked(Document(source=PDF)),
    "tools.native": ask(tools=(Tool(name="s", native="{}", native_protocol="anthropic_messages"),)),
    "tool_choice": ask(
        tools=(Tool(name="f", parameters=TIGHT), Tool(name="s", native="{}", native_protocol="anthropic_messages")),
        tool_choice=NamedTool(name="s"),
    ),
    "tools.cache": ask(tools=(Tool(name="f", parameters=TIGHT, strict=False, cache=CacheMark()),)),
    "tools.strict": ask(tools=(Tool(name="f", parameters=LOOSE, strict=True),)),
    "response_format.strict": ask(response_format=JsonSchema(schema=LOOSE, name="n", strict=True)),
    "cache": ask(cache=CacheMark()),
    "max_output_tokens": ask(max_output_tokens=1),
    "stop": ask(stop=("END",)),
    "sampling.top_k": ask(sampling=Sampling(top_k=1)),
    "sampling.min_p": ask(sampling=Sampling(min_p=0.1)),
    "sampling.presence_penalty": ask(sampling=Sampling(presence_penalty=1)),
    "sampling.frequency_penalty": ask(sampling=Sampling(frequency_penalty=1)),
    "sampling.seed": ask(sampling=Sampling(seed=1)),
    "sampling.logit_bias": ask(sampling=Sampling(logit_bias={"1": 1.0})),
    "reasoning.mode": ask(reasoning=ReasoningConfig(mode="on", budget_tokens=9000)),
    "reasoning.display": ask(reasoning=ReasoningConfig(effort="low", display="omitted")),
    "include_usage": ask(stream=True, include_usage=True),
    "store": ask(),
    "choices.content.text.citations.quote": answer(
        Text(text="a", citations=(Citation(url="u", title="t", quote="q", start=0, end=1),))
    ),
    "choices.content.native": answer(Text(text="a"), BLOCK),
    "choices.finish.stop_sequence": answer(Text(text="a"), reason="stop_sequence", stop_sequence="END"),
    "choices.finish.context_full": answer(Text(text="a"), reason="context_full"),
    "choices.finish.refusal": answer(reason="refusal"),
    "choices.finish.category": answer(reason="content_filter", category="bio", explanation="e"),
    "choices.finish.pause": answer(Text(text="a"), reason="pause"),
    "usage.cache_write_1h": answer(usage=Usage(input=1, cache_write_1h=2)),
    "usage.audio_input": answer(usage=Usage(input=3, audio_input=2)),
}
"""Values that suffer the loss, and no other but `store`, which every request suffers that does not speak of it."""

REFUSED: dict[str, Request] = {"choices": ask(choices=2)}


def through(value: Request | Response) -> Request | Response:
    if isinstance(value, Response):
        return CODEC.decode_response(CODEC.encode_response(value, reply_to()), OUTGOING)
    return msgspec.structs.replace(CODEC.decode_request(CODEC.peek(encode(value, THINKER).body), {}), model=value.model)


def settled(value: Request | Response) -> Request | Response:
    """``value`` with what every request that does not say it comes back with."""
    if isinstance(value, Request) and value.store is None:
        return msgspec.structs.replace(value, store=False)
    return value


@pytest.mark.parametrize("loss", SHOWN)
def test_declared_loss_is_real(loss: str) -> None:
    before = SHOWN[loss] if loss == "store" else settled(SHOWN[loss])

    assert before != through(SHOWN[loss])


@pytest.mark.parametrize("loss", REFUSED)
def test_declared_loss_is_refused(loss: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        encode(REFUSED[loss])
    assert caught.value.param


def test_sound_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        encode(asked(Audio(source=Base64Source(media_type="audio/wav", data="AAAA"))))


@pytest.mark.parametrize(
    "value",
    [
        ask(), ask(store=True), asked(Text(text="a"), PICTURE, Document(source=PDF, title="t.pdf")),
        said(Text(text="a")), called(), called(ToolCall(id="a", name="f", arguments="free", custom=True)),
        ask(tools=(Tool(name="f", parameters=TIGHT, strict=True, description="d"), Tool(name="g", custom=True))),
        ask(response_format=JsonSchema(schema=TIGHT, name="n", strict=True, description="d")),
        ask(max_output_tokens=16, sampling=Sampling(temperature=0, top_p=0.5), top_logprobs=2, stream=True),
        ask(reasoning=ReasoningConfig(effort="low", display="summarized"), verbosity="low", cache_key="k", user="u"),
        ask(reasoning=ReasoningConfig(mode="off"), service_tier="flex", metadata={"a": "b"}),
        answer(Reasoning(text="h"), Text(text="a"), usage=Usage(input=1, output=3, cache_read=2, reasoning=2)),
        answer(Text(text="a"), CALL, reason="tool_calls"), answer(Text(text="a"), reason="length"),
        answer(Refusal(text="No."), reason="refusal"), answer(Text(text="a"), reason="content_filter"),
        answer(Text(text="a", citations=(Citation(url="u", title="t", start=0, end=1),))),
        answer(Image(source=Base64Source(media_type="image/png", data="AAAA"))),
        answer(usage=Usage(input=1, cache_write_5m=2, search_requests=3)),
    ],
)  # fmt: skip
def test_without_what_is_lost_nothing_is_lost(value: Request | Response) -> None:
    assert settled(value) == through(value)


def test_every_loss_is_shown() -> None:
    assert set(LOSSES) == set(SHOWN) | set(REFUSED)
    assert all(reason.endswith(".") for reason in LOSSES.values())
