"""Embedders: every client protocol against every provider's, the encodings, and what is refused."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from pydantic import TypeAdapter

from runtime.canonical import EmbeddingRequest, EmbeddingResponse, Usage
from runtime.catalog import Endpoint, Model, ParameterRules, Provider
from runtime.config.protocol import USUAL
from runtime.errors import InvalidRequest, RateLimited, UpstreamProtocolError
from runtime.protocols import EMBEDDERS, embedder
from runtime.protocols.base import Asked, Envelope, Target
from runtime.protocols.vector import inputs_in

OPENAI = embedder("openai_embeddings")
VECTORS = ("[0.5,-1e-3,2]", "[1,0,0.25]")

ASKS: dict[str, dict[str, Any]] = {
    "openai_embeddings": {"model": "m", "input": ["a", "b"], "dimensions": 3, "encoding_format": "float"},
    "ollama_embeddings": {"model": "m", "input": ["a", "b"], "dimensions": 3},
    "gemini_embeddings": {
        "requests": [{"model": "models/m", "content": {"parts": [{"text": text}]}, "outputDimensionality": 3} for text in "ab"]
    },
}  # fmt: skip
ANSWERS: dict[str, dict[str, Any]] = {
    "openai_embeddings": {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": json.loads(vector)} for index, vector in enumerate(VECTORS)
        ],
        "model": "up-1",
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    },
    "ollama_embeddings": {"model": "up-1", "embeddings": [json.loads(each) for each in VECTORS], "prompt_eval_count": 7},
    "gemini_embeddings": {
        "embeddings": [{"values": json.loads(vector)} for vector in VECTORS], "usageMetadata": {"promptTokenCount": 7},
    },
}  # fmt: skip


def peek(protocol: str, body: dict[str, Any], variant: str = "batch") -> Envelope:
    asked = Asked(model="m", stream=False, variant=variant) if protocol == "gemini_embeddings" else Asked()
    return embedder(protocol).peek(json.dumps(body).encode(), asked)


def target(protocol: str, max_inputs: int | None = None, **rules: Any) -> Target:
    surface = msgspec.structs.replace(USUAL[protocol], max_inputs=max_inputs)
    provider = Provider(
        id="p", name="P", base_url="https://p.example", surfaces={protocol: surface}, parameters=ParameterRules(**rules)
    )
    return Target(provider, Model(id="up-1", endpoint=Endpoint.EMBEDDINGS), surface)


def vectors(protocol: str, body: bytes) -> list[list[float]]:
    answer = json.loads(body)
    match protocol:
        case "openai_embeddings":
            return [entry["embedding"] for entry in answer["data"]]
        case "ollama_embeddings":
            return answer["embeddings"]
        case _:
            return [each["values"] for each in answer["embeddings"]]


@pytest.mark.parametrize("upstream", EMBEDDERS)
@pytest.mark.parametrize("client", EMBEDDERS)
def test_texts_go_to_any_provider_and_vectors_come_back_to_any_client(client: str, upstream: str) -> None:
    envelope = peek(client, ASKS[client])
    request = embedder(client).decode_request(envelope)
    outgoing = embedder(upstream).encode_request(request, target(upstream))
    response = embedder(upstream).decode_response(json.dumps(ANSWERS[upstream]).encode(), request)
    told = embedder(client).encode_response(response, envelope)

    assert EmbeddingRequest(model="m", inputs=("a", "b"), dimensions=3) == request
    asked = embedder(upstream).decode_request(
        embedder(upstream).peek(outgoing.body, Asked(model="m", stream=False, variant="batch"))
    )
    assert ("a", "b") == asked.inputs
    assert 3 == asked.dimensions
    assert outgoing.losses == ()
    assert [[0.5, -0.001, 2], [1, 0, 0.25]] == vectors(client, told)
    assert 7 == response.usage.input
    if client == "openai_embeddings":
        TypeAdapter(CreateEmbeddingResponse).validate_json(told)


@pytest.mark.parametrize("protocol", EMBEDDERS)
def test_equal_protocols_pass_through_but_for_the_models_name(protocol: str) -> None:
    body = {**ASKS[protocol], "no_such_field": {"x": 1}} if protocol != "gemini_embeddings" else ASKS[protocol]
    envelope = peek(protocol, body)
    sent = embedder(protocol).splice(envelope, target(protocol)).body
    answer, usage = embedder(protocol).splice_response(json.dumps(ANSWERS[protocol]).encode(), envelope)

    assert json.loads(json.dumps(body).replace('"m"', '"up-1"').replace("models/m", "models/up-1")) == json.loads(sent)
    assert json.loads(json.dumps(ANSWERS[protocol]).replace("up-1", "m")) == json.loads(answer)
    assert Usage(input=7) == usage


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_pitfall_142_base64_is_little_endian_floats_as_the_sdk_reads_them(numbers: list[float]) -> None:
    """Asked for base64, a client gets it, whatever the provider wrote."""
    envelope = peek("openai_embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})
    vector = json.dumps(numbers)
    told = OPENAI.encode_response(EmbeddingResponse(model="m", vectors=(vector,)), envelope)
    passed, _ = OPENAI.splice_response(
        f'{{"data":[{{"index":0,"embedding":{vector}}}],"model":"up-1"}}'.encode(), envelope
    )

    for answer in (json.loads(told), json.loads(passed)):
        data = base64.b64decode(answer["data"][0]["embedding"])
        assert list(struct.unpack(f"<{len(numbers)}f", data)) == numbers


def test_pitfall_141_provider_is_asked_for_numbers_although_the_sdk_asks_for_base64() -> None:
    request = OPENAI.decode_request(
        peek("openai_embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})
    )
    sent = json.loads(OPENAI.encode_request(request, target("openai_embeddings")).body)

    assert "float" == sent["encoding_format"]


def test_pitfall_143_provider_that_answers_base64_serves_clients_that_want_numbers() -> None:
    data = base64.b64encode(struct.pack("<2f", 0.5, -2)).decode()
    body = json.dumps({"data": [{"index": 0, "embedding": data}], "model": "up-1"}).encode()
    envelope = peek("openai_embeddings", {"model": "m", "input": "a"})
    passed, usage = OPENAI.splice_response(body, envelope)

    assert [0.5, -2.0] == json.loads(passed)["data"][0]["embedding"]
    assert usage is None
    assert ("[0.5,-2.0]",) == OPENAI.decode_response(body, OPENAI.decode_request(envelope)).vectors


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_what_is_no_number_is_the_providers_fault_and_no_null_in_a_vector(number: float) -> None:
    data = base64.b64encode(struct.pack("<2f", 0.5, number)).decode()
    body = answered("openai_embeddings", data)
    envelope = peek("openai_embeddings", {"model": "m", "input": "a"})

    with pytest.raises(UpstreamProtocolError, match="no number"):
        OPENAI.splice_response(body, envelope)
    with pytest.raises(UpstreamProtocolError, match="no number"):
        OPENAI.decode_response(body, OPENAI.decode_request(envelope))


def test_a_number_beyond_32_bits_is_the_providers_fault_where_base64_is_wanted() -> None:
    envelope = peek("openai_embeddings", {"model": "m", "input": "a", "encoding_format": "base64"})

    with pytest.raises(UpstreamProtocolError, match="32-bit"):
        OPENAI.splice_response(answered("openai_embeddings", [1e39]), envelope)
    with pytest.raises(UpstreamProtocolError, match="32-bit"):
        OPENAI.encode_response(EmbeddingResponse(model="m", vectors=("[-1e39]",)), envelope)


@pytest.mark.parametrize("variant", ["one", "batch"])
def test_what_only_gemini_knows_is_named_and_never_left_out_in_silence(variant: str) -> None:
    one: dict[str, Any] = {
        "content": {"role": "user", "parts": [{"text": "a"}, {"text": "b", "thought": True}], "x": 1},
        "autoTruncate": True,
        "task_type": "RETRIEVAL_QUERY",
        "embedContentConfig": {"outputDimensionality": 5},
    }
    other = {"content": one["content"], "taskType": "RETRIEVAL_QUERY"}
    body = one if variant == "one" else {"requests": [other, one], "model": "models/m", "y": 1}
    unknown = embedder("gemini_embeddings").decode_request(peek("gemini_embeddings", body, variant)).unknown

    inner = ("content.x", "content.parts[1].thought")
    top = ("autoTruncate", "embedContentConfig")
    if variant == "one":
        assert (*top, *inner) == unknown
    else:
        first, second = ("requests[0].", "requests[1].")
        assert ("y", *(first + each for each in inner), *(second + each for each in top + inner)) == unknown


def test_what_is_null_says_nothing_and_one_part_needs_no_list() -> None:
    nothing = {"title": None, "taskType": None, "outputDimensionality": None, "autoTruncate": None}
    body = {"content": {"parts": {"text": "a"}, "role": None}, **nothing}
    envelope = peek("gemini_embeddings", body, "one")
    own = {"truncate": None, "options": None, "keep_alive": None, "dimensions": None, "odd": None}
    other = embedder("ollama_embeddings").decode_request(peek("ollama_embeddings", {"model": "m", "input": "a", **own}))

    assert EmbeddingRequest(model="m", inputs=("a",)) == embedder("gemini_embeddings").decode_request(envelope)
    assert EmbeddingRequest(model="m", inputs=("a",), unknown=("odd",)) == other


@pytest.mark.parametrize("name", ["inlineData", "inline_data", "fileData", "file_data"])
def test_a_picture_beside_words_is_refused_by_who_reads_words_alone(name: str) -> None:
    body: dict[str, Any] = {"content": {"parts": [{"text": "a"}, {"text": "b", name: {}}]}}
    with pytest.raises(InvalidRequest) as caught:
        embedder("gemini_embeddings").decode_request(peek("gemini_embeddings", body, "one"))

    assert f"content.parts[1].{name}" == caught.value.param


def test_pitfall_144_wanted_dimensions_reach_the_provider_or_its_rules_say_otherwise() -> None:
    request = OPENAI.decode_request(peek("openai_embeddings", {"model": "m", "input": "a", "dimensions": 256}))
    kept = json.loads(OPENAI.encode_request(request, target("openai_embeddings")).body)

    assert 256 == kept["dimensions"]


def test_vectors_out_of_order_are_put_in_order() -> None:
    body = {"data": [{"index": 1, "embedding": [2]}, {"index": 0, "embedding": [1]}]}
    response = OPENAI.decode_response(json.dumps(body).encode(), EmbeddingRequest(model="m", inputs=("a", "b")))

    assert ("[1]", "[2]") == response.vectors


def answered(protocol: str, *sent: object) -> bytes:
    """An answer with these vectors; an OpenAI entry may be given whole."""
    if protocol == "openai_embeddings":
        data = [each if isinstance(each, dict) else {"index": at, "embedding": each} for at, each in enumerate(sent)]
        return json.dumps({"data": data}).encode()
    each = sent if protocol == "ollama_embeddings" else [{"values": one} for one in sent]
    return json.dumps({"model": "up-1", "embeddings": each}).encode()


@pytest.mark.parametrize("protocol", EMBEDDERS)
@pytest.mark.parametrize("sent", [[[1]], [[1], [2], [3]], [[1], []], [[1], " "], [[1], None], [[1], 5]])
def test_a_provider_owes_a_vector_for_each_input_passed_on_or_not(protocol: str, sent: list[object]) -> None:
    body, asked = answered(protocol, *sent), peek(protocol, ASKS[protocol])
    assert 2 == len(embedder(protocol).decode_request(asked).inputs)
    with pytest.raises(UpstreamProtocolError):
        embedder(protocol).splice_response(body, asked)
    with pytest.raises(UpstreamProtocolError):
        embedder(protocol).decode_response(body, EmbeddingRequest(model="m", inputs=("a", "b")))
    embedder(protocol).splice_response(answered(protocol, [1], [2]), asked)


@pytest.mark.parametrize("indexes", [(0, 0), (1, 1), (0, 2), (-1, 0), (1, None), (None, 0)])
@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_a_provider_says_which_input_each_vector_belongs_to(indexes: tuple[int | None, ...], encoding: str) -> None:
    body = answered("openai_embeddings", *({"index": at, "embedding": [1]} for at in indexes))
    asked = peek("openai_embeddings", {"model": "m", "input": ["a", "b"], "encoding_format": encoding})

    with pytest.raises(UpstreamProtocolError, match="which input"):
        OPENAI.splice_response(body, asked)
    with pytest.raises(UpstreamProtocolError, match="which input"):
        OPENAI.decode_response(body, EmbeddingRequest(model="m", inputs=("a", "b")))


def test_one_vector_too_many_under_a_number_that_is_taken_is_refused() -> None:
    body = answered("openai_embeddings", *({"index": at, "embedding": [1]} for at in (0, 1, 1)))

    with pytest.raises(UpstreamProtocolError, match="3 vectors for 2 inputs"):
        OPENAI.decode_response(body, EmbeddingRequest(model="m", inputs=("a", "b")))


@pytest.mark.parametrize(
    ("sent", "owed"),
    [("a", 1), (["a"], 1), (["a", "b"], 2), ([1, 2, 3], 1), ([[1, 2], [3]], 2), ([[1, 2]], 1), ([], 0), (5, None), (None, None), ({}, None)],
)  # fmt: skip
def test_how_many_vectors_an_input_asks_for(sent: object, owed: int | None) -> None:
    assert owed == inputs_in(msgspec.Raw(json.dumps(sent).encode()))


@pytest.mark.parametrize("sent", [[1, 2, 3], [[1, 2], [3]]])
def test_tokens_are_passed_on_and_answered_with_a_vector_each(sent: list[object]) -> None:
    asked = peek("openai_embeddings", {"model": "m", "input": sent})
    owed = [[1.5]] * (2 if isinstance(sent[0], list) else 1)

    told, _ = OPENAI.splice_response(answered("openai_embeddings", *owed), asked)
    assert owed == [each["embedding"] for each in json.loads(told)["data"]]
    with pytest.raises(UpstreamProtocolError):
        OPENAI.splice_response(answered("openai_embeddings", *owed, [1.5]), asked)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({}, "input"),
        ({"input": []}, "input"),
        ({"input": ""}, "input"),
        ({"input": ["a", ""]}, "input"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"input": ["a"] * 2049}, "input"),
        ({"input": "a", "dimensions": 0}, "dimensions"),
        ({"input": "a", "dimensions": "3"}, "dimensions"),
        ({"input": "a", "encoding_format": "int8"}, "encoding_format"),
    ],
)
def test_malformed_request_names_its_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        OPENAI.decode_request(peek("openai_embeddings", {"model": "m", **fields}))
    assert param == caught.value.param


@pytest.mark.parametrize("protocol", EMBEDDERS)
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"{}", b"[]", b"null", b'{"data":[]}', b'{"embeddings":[]}', b'{"data":[{"embedding":[]}]}',
    b'{"embeddings":[["x"]]}', b'{"data":[{"embedding":"!!"}]}', b'{"embeddings":[{"values":"x"}]}', b'{"embeddings":[{}]}'],
)  # fmt: skip
def test_rubbish_is_never_a_vector(protocol: str, body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        embedder(protocol).decode_response(body, EmbeddingRequest(model="m", inputs=("a",)))


@pytest.mark.parametrize("protocol", EMBEDDERS)
@pytest.mark.parametrize(("most", "given", "sayable"), [(100, 100, True), (100, 101, False), (None, 2048, True)])
def test_no_target_is_sent_more_texts_than_it_takes(protocol: str, most: int | None, given: int, sayable: bool) -> None:
    request = EmbeddingRequest(model="m", inputs=("a",) * given)
    if sayable:
        assert embedder(protocol).encode_request(request, target(protocol, most)).body.count(b'"a"') == given
        return

    with pytest.raises(InvalidRequest, match="at most 100 texts in one request, and 101 were given") as caught:
        embedder(protocol).encode_request(request, target(protocol, most))
    assert "input" == caught.value.param


def test_error_inside_a_success_is_the_error_it_stands_for() -> None:
    body = b'{"error":{"message":"slow down","type":"requests","code":"rate_limit_exceeded"}}'
    with pytest.raises(RateLimited):
        OPENAI.decode_response(body, EmbeddingRequest(model="m", inputs=("a",)))
