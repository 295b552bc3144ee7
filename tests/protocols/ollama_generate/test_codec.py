"""Ollama's generate: what its clients send, and what they are told."""

from __future__ import annotations

import json
import random
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ollama import GenerateResponse
from ollama._types import GenerateRequest as SdkRequest

from generated.protocols.ollama_chat import FACTS as CHAT_FACTS
from generated.protocols.ollama_generate import FACTS
from runtime.canonical import (
    Base64Source,
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Image,
    JsonObject,
    Message,
    PartStarted,
    Reasoning,
    ReasoningConfig,
    Refusal,
    Request,
    Response,
    Sampling,
    Started,
    Text,
)  # fmt: skip
from runtime.errors import InvalidRequest, ModelNotFound, UpstreamFailed
from runtime.protocols import DIALECTS, client_codec
from runtime.protocols.base import Answer
from tests.protocols.anthropic_messages.given import told
from tests.support.canonical import events_of, responses

CODEC = client_codec("ollama_generate")
ANSWER = Answer(model="public/name", id="req1", created=1_795_219_200, headers={})
PNG = "iVBORw0KGgoAAAANSUhEUg=="


def decode(**fields: Any) -> Request:
    return CODEC.decode_request(CODEC.peek(msgspec.json.encode({"model": "m", "prompt": "hi", **fields})), {})


def asked(*parts: Any) -> tuple[Message, ...]:
    return (Message(role="user", content=parts),)


def stream(events: list[Event]) -> list[dict[str, Any]]:
    """The lines, as the vendor's SDK splits them and its types take them."""
    encoder = CODEC.stream_encoder(ANSWER)
    lines = b"".join(encoder.feed([event]) for event in events).decode().splitlines()
    for line in lines:
        GenerateResponse.model_validate_json(line)
    return [json.loads(line) for line in lines]


def test_it_is_spoken_with_clients_only() -> None:
    assert "ollama_generate" in DIALECTS
    assert "x-request-id" == CODEC.request_id_header


def test_the_smallest_request() -> None:
    assert Request(model="m", messages=asked(Text(text="hi")), stream=True, include_usage=True) == decode()
    assert not CODEC.peek(b'{"model":"m","stream":false}').stream


def test_everything_at_once() -> None:
    request = decode(
        system="Be brief.", images=[PNG], format="json", think=False, stream=False, keep_alive=0, suffix="", template="",
        raw=False, context=[], options={"temperature": 0, "num_predict": -2, "stop": "END", "num_gpu": 1},
        logprobs=True, top_logprobs=2, novelty=1,
    )  # fmt: skip

    image = Image(source=Base64Source(media_type="image/png", data=PNG))
    assert Request(
        model="m",
        messages=(Message(role="system", content=(Text(text="Be brief."),)), *asked(Text(text="hi"), image)),
        response_format=JsonObject(), reasoning=ReasoningConfig(mode="off"), sampling=Sampling(temperature=0), stop=("END",),
        top_logprobs=2, unknown=("novelty",),
        extensions={"ollama_chat": {"keep_alive": msgspec.Raw(b"0"), "options.num_gpu": msgspec.Raw(b"1")}},
    ) == request  # fmt: skip


def test_a_picture_alone_is_a_prompt() -> None:
    assert 1 == len(decode(prompt="", images=[PNG]).messages[0].content)


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"suffix": "}"}, "suffix", "unsupported_value"), ({"template": "{{ .Prompt }}"}, "template", "unsupported_value"),
        ({"raw": True}, "raw", "unsupported_value"), ({"context": [1, 2]}, "context", "unsupported_value"),
        ({"prompt": ""}, "prompt", "missing_required_parameter"), ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": 5}, "prompt", "invalid_type"), ({"images": ["x.png"]}, "images[0]", "invalid_value"),
        ({"options": {"seed": "x"}}, "options.seed", "invalid_type"), ({"format": "xml"}, "format", "invalid_value"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_name(fields: dict[str, Any], param: str, code: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        decode(**fields)
    assert (param, code) == (caught.value.param, caught.value.code)


def test_what_the_vendors_sdk_sends_is_understood() -> None:
    sent = SdkRequest(model="m", prompt="hi", system="s", template="", context=[], stream=True, raw=False).model_dump(
        exclude_none=True
    )

    assert () == decode(**sent).unknown


def test_a_whole_answer_and_its_stream() -> None:
    choice = Choice(content=(Reasoning(text="Hm."), Text(text="A<b>")), finish=Finish(reason="length"))
    given_ = Response(id="r", model="up", choices=(choice,))

    assert (
        b'{"model":"public/name","created_at":"2026-11-21T00:00:00.000000Z","response":"A\\u003cb\\u003e","thinking":"Hm.",'
        b'"done":true,"done_reason":"length","prompt_eval_count":0,"eval_count":0}'
    ) == CODEC.encode_response(given_, ANSWER)
    lines = stream(events_of(given_))
    assert [("", "Hm."), ("A<b", None), (">", None), ("", None)] == [
        (line["response"], line.get("thinking")) for line in lines
    ]
    assert [False, False, False, True] == [line["done"] for line in lines]


def test_errors_are_those_of_chat() -> None:
    assert CHAT_FACTS.errors == FACTS.errors
    reply = CODEC.encode_error(ModelNotFound("the model 'x' does not exist"), "r1")

    assert (404, b'{"error":"model \'x\' not found"}') == (reply.status, reply.body)
    assert b'{"error":"Broken."}\n' == CODEC.stream_encoder(ANSWER).fail(UpstreamFailed("Broken."))


@given(responses(), st.randoms(use_true_random=False))
def test_streamed_and_whole_say_the_same(response: Response, draw: random.Random) -> None:
    whole = json.loads(CODEC.encode_response(response, ANSWER))
    GenerateResponse.model_validate(whole)
    lines = stream(told(response, draw))

    for field in ("response", "thinking"):
        assert whole.get(field, "") == "".join(line.get(field, "") for line in lines)
    for field in ("done_reason", "prompt_eval_count", "eval_count", "created_at", "model"):
        assert whole[field] == lines[-1][field]
    said = "".join(part.text for part in response.choices[0].content if isinstance(part, Text | Refusal))
    assert said == whole["response"]


def test_pitfall_139_no_character_of_a_text_ends_a_line() -> None:
    odd = "a\u2028b\u2029c\x85d"
    events: list[Event] = [Started(id="r", model="up"), PartStarted(index=0, part=Text(text=odd)), Delta(index=0, text=odd), Finished(finish=Finish(reason="stop")), Ended()]  # fmt: skip

    assert [odd, odd, ""] == [line["response"] for line in stream(events)]
