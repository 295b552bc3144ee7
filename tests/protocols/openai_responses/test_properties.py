"""Any canonical request or answer through this protocol's wire and back, but for the losses that are declared."""

from __future__ import annotations

import random

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import (
    Base64Source,
    Choice,
    Document,
    Finish,
    JsonObject,
    JsonSchema,
    Message,
    Part,
    Reasoning,
    Request,
    Response,
    Text,
    collect,
)
from runtime.protocols.openai_responses.strictness import fits_strict
from tests.protocols.anthropic_messages.given import told
from tests.protocols.openai_responses.support import (
    CODEC,
    OUTGOING,
    encode,
    reply_to,
    target,
    vendor_accepts,
    vendor_answers,
    vendor_streams,
)
from tests.support.canonical import requests, responses, texts
from tests.support.stream import decode_stream, sse_data


def without_losses(request: Request) -> Request:
    """As it can arrive: what `LOSSES` names is left out."""
    format_ = request.response_format
    if isinstance(format_, JsonSchema):
        format_ = msgspec.structs.replace(format_, strict=bool(format_.strict) and fits_strict(format_.schema))
    most = request.max_output_tokens
    return msgspec.structs.replace(
        request,
        messages=tuple(
            msgspec.structs.replace(turn, content=tuple(map(named, turn.content))) for turn in request.messages
        ),
        tools=tuple(
            msgspec.structs.replace(tool, strict=bool(tool.strict) and fits_strict(tool.parameters), cache=None)
            for tool in request.tools
        ),
        response_format=format_,
        max_output_tokens=None if most is None else max(16, most),
        stop=(),
        store=False,
    )


def named(part: Part) -> Part:
    if isinstance(part, Document) and isinstance(part.source, Base64Source) and part.title is None:
        return msgspec.structs.replace(part, title="document.pdf")
    return part


@given(requests())
def test_a_request_survives_the_wire_but_for_declared_losses(request: Request) -> None:
    outgoing = encode(request, target(cache_marks="prompt_cache_breakpoint"))
    decoded = CODEC.decode_request(CODEC.peek(outgoing.body), {})
    decoded = msgspec.structs.replace(decoded, model=request.model)

    vendor_accepts(outgoing.body)
    if isinstance(request.response_format, JsonObject):  # a sentence that speaks of JSON may have been added
        words = [Message(role="system", content=(Text(text="Answer with one JSON object, without any other text."),))]
        kept = tuple(turn for turn in decoded.messages if [turn] != words)
        decoded = msgspec.structs.replace(decoded, messages=kept)
    assert without_losses(request) == decoded


@given(responses())
def test_an_answer_survives_the_wire(response: Response) -> None:
    data = CODEC.encode_response(response, reply_to())
    decoded = CODEC.decode_response(data, OUTGOING)

    vendor_answers(data)
    assert response.choices == decoded.choices
    assert response.usage == decoded.usage


@given(responses(), st.randoms(use_true_random=False))
def test_streamed_is_as_unstreamed(response: Response, draw: random.Random) -> None:
    events = told(response, draw)
    encoder = CODEC.stream_encoder(reply_to())
    data = b"".join(encoder.feed([event]) for event in events)
    read, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])

    assert error is None
    for payload in sse_data(data):
        vendor_streams(payload)
    whole = CODEC.decode_response(CODEC.encode_response(response, reply_to()), OUTGOING)
    assert whole.choices == response.choices
    assert in_any_order(response) == in_any_order(collect(read))


def in_any_order(response: Response) -> tuple[list[Part], Finish]:
    """Parts that were said at once may be told in another order."""
    choice = response.choices[0]
    return sorted(choice.content, key=repr), choice.finish


@given(texts, st.sampled_from(["openai_responses", "anthropic_messages", "gemini"]), st.booleans())
def test_a_seal_of_any_vendor_comes_back_as_it_was(text: str, owner: str, redacted: bool) -> None:
    """Out as an item of an answer, in again as an item of a request."""
    own = owner == "openai_responses"
    seal = '{"id":"rs_7","encrypted_content":"gAAAA="}' if own else "EqQBCkYI+/=é"
    part = Reasoning(text="" if redacted else text, seal=seal, sealed_by=owner, redacted=redacted and not own)
    response = Response(id="r", model="m", choices=(Choice(content=(part,), finish=Finish(reason="stop")),))
    items = msgspec.json.decode(CODEC.encode_response(response, reply_to()))["output"]
    body = msgspec.json.encode({"model": "m", "input": [*items, {"role": "user", "content": "go on"}]})
    request = CODEC.decode_request(CODEC.peek(body), {})

    assert request.messages[0].content == (part,)
