"""What Completions clients send, and what is understood of it."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from openai.types.completion_create_params import CompletionCreateParamsNonStreaming
from pydantic import TypeAdapter

from runtime.canonical import Message, Request, Sampling, Text
from runtime.errors import InvalidRequest
from runtime.protocols import DIALECTS, client_codec, codec
from runtime.protocols.openai_completions.request import ECHO
from tests.protocols.openai_chat.support import body as chat_body

CODEC = client_codec("openai_completions")


def decode(**fields: Any) -> Request:
    fields = {"model": "m", "prompt": "Once", **fields}
    TypeAdapter(CompletionCreateParamsNonStreaming).validate_python({**fields, "stream": False})
    return read(**fields)


def read(**fields: Any) -> Request:
    return CODEC.decode_request(CODEC.peek(msgspec.json.encode(fields)), {})


def refused(**fields: Any) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        read(**{"model": "m", "prompt": "Once", **fields})
    return caught.value


def test_it_is_spoken_with_clients_only() -> None:
    assert "openai_completions" in DIALECTS
    assert "x-request-id" == CODEC.request_id_header


def test_the_smallest_request_has_the_vendors_own_limit() -> None:
    said = (Message(role="user", content=(Text(text="Once"),)),)

    assert Request(model="m", messages=said, max_output_tokens=16) == decode()


@pytest.mark.parametrize(("limit", "expected"), [(None, 16), (0, 0), (1, 1), (9000, 9000)])
def test_max_tokens(limit: int | None, expected: int) -> None:
    assert expected == decode(max_tokens=limit).max_output_tokens


def test_everything_at_once() -> None:
    request = decode(
        prompt=["Once"], suffix=None, n=2, best_of=2, echo=False, logprobs=0, stop=["a", "b"], temperature=0, top_p=0,
        presence_penalty=0, frequency_penalty=0, logit_bias={"50256": -100}, seed=0, user="u", stream=True,
        stream_options={"include_usage": True},
    )  # fmt: skip

    assert Request(
        model="m", messages=(Message(role="user", content=(Text(text="Once"),)),), max_output_tokens=16, choices=2, top_logprobs=0,
        stop=("a", "b"), user="u", stream=True, include_usage=True,
        sampling=Sampling(
            temperature=0, top_p=0, presence_penalty=0, frequency_penalty=0, seed=0, logit_bias={"50256": -100.0}
        ),
    ) == request  # fmt: skip


def test_pitfall_066_zeros_reach_a_chat_provider() -> None:
    sent = chat_body(decode(temperature=0, top_p=0, seed=0, max_tokens=0, presence_penalty=0))

    assert [0, 0, 0, 0] == [sent[name] for name in ("temperature", "top_p", "seed", "presence_penalty")]
    assert 1 == sent["max_tokens"], "Chat has no answers of nothing"


def test_pitfall_120_the_limit_reaches_ollama_under_its_name() -> None:
    from tests.protocols.ollama_chat.support import body

    assert {"num_predict": 16} == body(decode())["options"]


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"prompt": ["a", "b"]}, "prompt", "unsupported_value"), ({"prompt": [1, 2]}, "prompt", "unsupported_value"),
        ({"prompt": [[1, 2]]}, "prompt", "unsupported_value"), ({"prompt": []}, "prompt", "invalid_value"),
        ({"prompt": ""}, "prompt", "invalid_value"), ({"prompt": None}, "prompt", "missing_required_parameter"),
        ({"prompt": 5}, "prompt", "invalid_type"), ({"prompt": [None]}, "prompt", "invalid_type"),
        ({"prompt": {"a": 1}}, "prompt", "invalid_type"),
        ({"suffix": "."}, "suffix", "unsupported_value"), ({"n": 2, "best_of": 3}, "best_of", "unsupported_value"),
        ({"n": 2, "best_of": 1}, "best_of", "unsupported_value"), ({"n": 0}, "n", "invalid_type"), ({"n": 129}, "n", "invalid_type"),
        ({"logprobs": 6}, "logprobs", "invalid_type"), ({"logprobs": True}, "logprobs", "invalid_type"),
        ({"echo": True, "logprobs": 1}, "logprobs", "unsupported_value"), ({"stop": list("abcde")}, "stop", "invalid_type"),
        ({"max_tokens": -1}, "max_tokens", "invalid_type"), ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "invalid_type"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_by_name(fields: dict[str, Any], param: str, code: str) -> None:
    error = refused(**fields)

    assert (param, code) == (error.param, error.code)
    assert f"'{param}'" in error.message


def test_a_missing_prompt_is_named() -> None:
    with pytest.raises(InvalidRequest) as caught:
        read(model="m")
    assert ("prompt", "missing_required_parameter") == (caught.value.param, caught.value.code)


def test_unknown_fields_are_named() -> None:
    assert ("guided_json",) == read(model="m", prompt="x", guided_json={}).unknown


@pytest.mark.parametrize(("said", "variant"), [("true", ECHO), ("false", ""), ("null", "")])
def test_that_the_prompt_is_echoed_is_a_form_of_the_answer(said: str, variant: str) -> None:
    envelope = CODEC.peek(b'{"model":"m","prompt":"x","echo":%b}' % said.encode())

    assert variant == envelope.variant
    assert CODEC.decode_request(envelope, {}) == CODEC.decode_request(CODEC.peek(b'{"model":"m","prompt":"x"}'), {})


def test_nothing_of_it_is_lost_on_the_way_to_a_chat_provider() -> None:
    from tests.protocols.openai_chat.support import encode

    assert () == encode(decode(n=2, logprobs=2, seed=1, user="u")).losses
    assert "openai_chat" == codec("openai_chat").protocol
