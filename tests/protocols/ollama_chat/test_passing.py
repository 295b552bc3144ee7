"""Ollama in, Ollama out: every byte but the model's name."""

from __future__ import annotations

import msgspec
import pytest

from runtime.canonical import Usage
from runtime.catalog import Model, ParameterRules
from runtime.errors import ModelNotFound, UpstreamProtocolError
from tests.protocols.ollama_chat.support import CODEC, target, vendor_accepts

BODY = (
    b'{ "model": "a/b",\n  "messages": [{"role":"user","content":"\\u003c", "x": 1.0}], "tools": [], '
    b'"options": {"num_ctx": 12345678901234567890}, "keep_alive": -1, "novelty": null }'
)


def test_only_the_models_name_changes() -> None:
    outgoing = CODEC.splice(CODEC.peek(BODY), target(), {})

    assert BODY.replace(b'"a/b"', b'"up-1"') == outgoing.body
    assert ("/api/chat", True) == (outgoing.path, outgoing.stream)


@pytest.mark.parametrize(("said", "accept"), [(b"", "application/x-ndjson"), (b',"stream":false', "application/json")])
def test_what_the_client_left_unsaid_of_streams_stays_unsaid(said: bytes, accept: str) -> None:
    body = b'{"model":"m"%b,"messages":[{"role":"user","content":"hi"}]}' % said
    outgoing = CODEC.splice(CODEC.peek(body), target(), {})

    assert body.replace(b'"m"', b'"up-1"') == outgoing.body
    assert (not said, ("accept", accept)) == (outgoing.stream, outgoing.headers[1])


def test_a_request_that_only_loads_a_model_passes() -> None:
    body = b'{"model":"m","messages":[],"keep_alive":0}'

    assert b'{"model":"up-1","messages":[],"keep_alive":0}' == CODEC.splice(CODEC.peek(body), target(), {}).body


def test_parameter_rules_are_applied() -> None:
    model = Model(id="up-1", parameters=ParameterRules(drop=("think",), add={"keep_alive": '"5m"'}))
    outgoing = CODEC.splice(CODEC.peek(b'{"model":"m","messages":[],"think":true}'), target(model), {})

    assert b'{"model":"up-1","messages":[],"keep_alive":"5m"}' == outgoing.body


def test_instructions_go_to_the_front_where_the_provider_wants_them_there() -> None:
    body = b'{"model":"m","messages":[{"role":"user","content":"x"},{"role":"system","content":"y"}],"think":true}'
    sent = msgspec.json.decode(CODEC.splice(CODEC.peek(body), target(system_anywhere=False), {}).body)

    vendor_accepts(sent)
    assert [("user", "x"), ("user", "<system>\ny\n</system>")] == [
        (turn["role"], turn["content"]) for turn in sent["messages"]
    ]


def test_an_answer_keeps_every_byte_but_the_models_name() -> None:
    body = b'{"model":"up-1", "created_at":"2026-11-20T00:00:00Z","message":{"role":"assistant","content":"up-1"},"done":true,"prompt_eval_count":3,"eval_count":1,"x":1.0}'
    passed, usage = CODEC.splice_response(body, "a/b")

    assert body.replace(b'"up-1", ', b'"a/b", ') == passed
    assert Usage(input=3, output=1) == usage


def test_what_is_no_answer_does_not_pass() -> None:
    with pytest.raises(UpstreamProtocolError):
        CODEC.splice_response(b'{"message":{"content":"a"},"done":false}', "m")
    with pytest.raises(ModelNotFound):
        CODEC.splice_response(b'{"error":"model \\"m\\" not found, try pulling it first"}', "m")


def test_nothing_counts_tokens() -> None:
    request = CODEC.decode_request(CODEC.peek(b'{"model":"m","messages":[{"role":"user","content":"x"}]}'), {})

    assert CODEC.encode_count(request, target(), {}) is None
    with pytest.raises(UpstreamProtocolError):
        CODEC.decode_count(b"{}")
