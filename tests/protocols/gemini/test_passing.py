"""This protocol in, this protocol out: byte for byte, but for what the vendor would refuse."""

from __future__ import annotations

import base64

import msgspec
import pytest

from runtime.answering import relay_of
from runtime.catalog import ParameterRules
from runtime.errors import GatewayError, UpstreamProtocolError
from runtime.protocols.base import Answer, Asked
from runtime.protocols.gemini.signature import DUMMY
from runtime.protocols.seal import wrap
from tests.protocols.gemini.given import CODEC, SIGNATURE, target
from tests.support.vendor import WIRE

BODY = b'{ "contents": [ {"role":"user", "parts":[{"text":"\\u0041", "odd": 1.0}]} ],\n "generation_config": {"temperature": 0}, "newField": [1.50] }'
FOREIGN = base64.b64encode(wrap("sig", "anthropic_messages", "gemini").encode()).decode()


def passed(body: bytes, model: str = "gemini-3.5-flash", **rules: object) -> bytes:
    to = target(model, parameters=ParameterRules(**rules))  # type: ignore[arg-type]
    return CODEC.splice(CODEC.peek(body, Asked("public/name", True)), to, {}).body


def test_a_request_passes_byte_for_byte_and_the_path_says_the_model() -> None:
    outgoing = CODEC.splice(CODEC.peek(BODY, Asked("public/name", True)), target(), {})

    assert BODY == outgoing.body
    assert "/v1beta/models/gemini-3.5-flash:streamGenerateContent?alt=sse" == outgoing.path


def test_a_model_in_the_body_is_replaced_and_parameter_rules_reach_the_top_level_only() -> None:
    assert b'{"model":"models/gemini-3.5-flash","contents":[]}' == passed(b'{"model":"models/x","contents":[]}')
    assert b'{"contents":[],"generationConfig":{"topK":1}}' == passed(
        b'{"contents":[],"store":true,"generationConfig":{"topK":1}}', drop=("store", "topK")
    )


@pytest.mark.parametrize(
    "config",
    [
        '"generationConfig": {"candidateCount": 2}',
        '"generation_config": {"temperature": 0, "candidate_count": "2"}',
    ],
)
def test_a_stream_of_several_answers_is_at_its_end_when_all_of_them_are(config: str) -> None:
    """Nothing of the last of them may have come yet when the first one ends; where the connection breaks then, it is missing."""
    outgoing = CODEC.splice(CODEC.peek(f'{{"contents": [], {config}}}'.encode(), Asked("m", True)), target(), {})
    relay = relay_of(CODEC, CODEC, outgoing, Answer("m", "id", 1, {}, variant="sse"))
    may_end: list[bool] = []
    for index, tokens in ((0, 5), (1, 9)):
        piece = (
            b'data: {"candidates":[{"content":{"parts":[{"text":"x"}],"role":"model"},"finishReason":"STOP","index":%d}],'
            b'"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":%d}}\r\n\r\n'
        )
        relay.feed(piece % (index, tokens))
        may_end.append(relay.may_end)

    assert [False, True] == may_end
    assert not relay.finished
    relay.close()
    assert relay.finished
    assert relay.usage is not None
    assert 9 == relay.usage.output


def test_a_stream_of_fewer_answers_than_were_asked_for_is_at_its_end_when_it_ends() -> None:
    body = b'{"contents": [], "generationConfig": {"candidateCount": 3}}'
    outgoing = CODEC.splice(CODEC.peek(body, Asked("m", True)), target(), {})
    relay = relay_of(CODEC, CODEC, outgoing, Answer("m", "id", 1, {}, variant="sse"))
    relay.feed((WIRE / "gemini/plain.sse").read_bytes())

    assert (False, False) == (relay.may_end, relay.finished)
    relay.close()
    assert (True, True) == (relay.may_end, relay.finished)


@pytest.mark.parametrize("name", ["thoughtSignature", "thought_signature"])
def test_pitfall_099_other_vendors_state_is_taken_out_and_the_stand_in_put_in(name: str) -> None:
    turn = {"role": "model", "parts": [
        {"text": "hm", "thought": True, name: FOREIGN}, {"text": "a", name: FOREIGN}, {"functionCall": {"name": "f", "args": {"x": 1}}},
    ]}  # fmt: skip
    only = {"role": "model", "parts": [{"text": "", "thought": True, name: FOREIGN}]}
    body = msgspec.json.encode({"contents": [only, turn]})

    assert [
        {
            "role": "model",
            "parts": [{"text": "a"}, {"functionCall": {"name": "f", "args": {"x": 1}}, "thoughtSignature": DUMMY}],
        }
    ] == (msgspec.json.decode(passed(body))["contents"])
    assert [{"role": "model", "parts": [{"text": "a"}, {"functionCall": {"name": "f", "args": {"x": 1}}}]}] == (
        msgspec.json.decode(passed(body, "gemini-2.5-flash"))["contents"]
    )


def test_the_vendors_own_signatures_pass_untouched() -> None:
    body = (
        b'{"contents": [{"role":"model","parts":[{"functionCall": {"name":"f"}, "thoughtSignature": "'
        + SIGNATURE.encode()
        + b'"}]}]}'
    )

    assert body == passed(body)


def test_an_answer_passes_with_the_clients_name_of_the_model() -> None:
    body = b'{ "candidates": [{"content": {"parts": [{"text": "a"}]}, "finishReason": "STOP"}], "modelVersion": "up-1", "usageMetadata": {"promptTokenCount": 3, "totalTokenCount": 5} }'
    out, usage = CODEC.splice_response(body, "public/name")

    assert body.replace(b"up-1", b"public/name") == out
    assert usage is not None
    assert (3, 2) == (usage.input, usage.output)


def test_what_is_no_answer_does_not_pass_for_one() -> None:
    for body in (b"<html>", b"{}", b"[]", b'{"candidates":5}'):
        with pytest.raises(UpstreamProtocolError):
            CODEC.splice_response(body, "m")
    for error in (
        b'{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}',
        b'[{"error":{"code":503,"message":"x","status":"UNAVAILABLE"}}]',
    ):
        with pytest.raises(GatewayError) as caught:
            CODEC.splice_response(error, "m")
        assert "unavailable" == caught.value.kind
