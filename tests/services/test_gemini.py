"""Gemini's API: where a model's name may stand, what may be done with it, and in which form streams come."""

import json
from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.protocols import client_codec
from runtime.protocols.base import Asked
from runtime.services.gemini import _unwrapped
from tests.services.desk import KEY, LIMITED_KEY, Desk

HI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
SAID = "This is Gatewright's simulated provider; no model was asked. You said: hi"
MODELS = (
    "/v1beta/models", "/v1alpha/models", "/v1beta1/models", "/v1/models", "/api/v1/models", "/api/v1beta/models",
    "/v1/v1beta/models", "/v1/v1/models", "/v1beta", "/v1beta1/publishers/google/models",
    "/v1beta1/projects/p/locations/l/publishers/google/models", "/v1beta/tunedModels", "/v1beta/models/models",
)  # fmt: skip


def text(answer: dict[str, Any]) -> str:
    return "".join(part["text"] for part in answer["candidates"][0]["content"]["parts"])


def refusal(answer: Any) -> dict[str, Any]:
    """The error of an answer in Gemini's shape."""
    body = json.loads(answer.body)
    error: dict[str, Any] = (body[0] if isinstance(body, list) else body)["error"]
    assert answer.status == error["code"]
    return error


class TestPaths:
    @pytest.mark.parametrize("models", MODELS)
    async def test_a_model_is_called_wherever_clients_put_its_name(self, desk: Desk, models: str) -> None:
        told = await desk.json("POST", f"{models}/sim/echo:generateContent", HI)

        assert SAID == text(told)
        assert "sim/echo" == told["modelVersion"]

    @pytest.mark.parametrize("model", ["wide/Qwen/Qwen3-8B:free", "wide/made/up:1:2"])
    async def test_only_the_last_colon_begins_the_action(self, calling_desk: Desk, model: str) -> None:
        answer = await calling_desk.call("POST", f"/v1beta/models/{model}:generateContent", HI)

        assert 503 == answer.status, "the model was found, and its provider is not there"

    async def test_an_alias_is_a_model(self, desk: Desk) -> None:
        told = await desk.json("POST", "/v1beta/models/quick:generateContent/", HI)

        assert ("quick", SAID) == (told["modelVersion"], text(told))

    @pytest.mark.parametrize("prefix", ["/v1beta/models", "/v1/models", "/v1beta"])
    @pytest.mark.parametrize(
        ("call", "hint"),
        [
            ("sim/echo:genrateContent", "did you mean 'generateContent'?"),
            ("sim/echo:batchGenerate", "one of: generateContent, streamGenerateContent, countTokens"),
            ("sim/echo:", "names no action"),
        ],
    )
    async def test_an_unknown_action_is_not_found_and_named(
        self, desk: Desk, prefix: str, call: str, hint: str
    ) -> None:
        error = refusal(await desk.call("POST", f"{prefix}/{call}", HI))

        assert "NOT_FOUND" == error["status"]
        assert hint in error["message"]

    @pytest.mark.parametrize(
        ("path", "told"),
        [
            ("/v1beta/models/sim/echo", "/v1beta/models/sim/echo names no action"),
            ("/v1/models/sim/echo", "/v1/models/sim/echo names no action"),
            ("/v1beta/tunedModels/x", "/v1beta/tunedModels/x names no action"),
            ("/v1beta/nope", "no endpoint POST /v1beta/nope; see /openapi.json"),
            ("/v1beta/cachedContents", "no endpoint POST /v1beta/cachedContents; see /openapi.json"),
        ],
    )
    async def test_an_action_is_missed_where_a_model_stands_and_a_path_elsewhere(
        self, desk: Desk, path: str, told: str
    ) -> None:
        error = refusal(await desk.call("POST", path, HI, headers={"x-goog-api-client": "x"}))

        assert "NOT_FOUND" == error["status"]
        assert error["message"].startswith(told)

    @pytest.mark.parametrize("path", ["/v1beta/models/sim/echo:generateContent", "/v1beta/x/y"])
    async def test_a_method_the_path_lacks_is_refused_in_geminis_shape(self, desk: Desk, path: str) -> None:
        answer = await desk.call("DELETE", path)

        assert "code" in refusal(answer)
        assert (405, "GET, HEAD, OPTIONS, POST") == (
            answer.status,
            ", ".join(sorted(answer.headers["allow"].split(", "))),
        )


class TestStreams:
    @pytest.mark.parametrize("query", ["alt=sse", "alt=sse&beta=true&who=knows", "key=" + KEY + "&alt=sse"])
    async def test_pitfall_140_events_are_bare_data_frames(self, desk: Desk, query: str) -> None:
        answer = await desk.call("POST", "/v1beta/models/sim/echo:streamGenerateContent", HI, query=query)

        frames = [line for line in answer.body.decode().splitlines() if line]
        assert "text/event-stream" == answer.headers["content-type"].partition(";")[0]
        assert all(frame.startswith("data: {") for frame in frames)
        chunks = [json.loads(frame[6:]) for frame in frames]
        assert SAID == "".join(
            text(chunk) for chunk in chunks if chunk["candidates"][0].get("content", {}).get("parts")
        )
        assert "STOP" == chunks[-1]["candidates"][0]["finishReason"]

    @pytest.mark.parametrize("query", ["", "alt=json", "alt="])
    async def test_without_alt_sse_a_stream_is_one_array(self, desk: Desk, query: str) -> None:
        answer = await desk.call("POST", "/v1/models/sim/echo:streamGenerateContent", HI, query=query)

        chunks = json.loads(answer.body)
        assert "application/json" == answer.headers["content-type"].partition(";")[0]
        assert len(chunks) > 1
        assert SAID == "".join(
            text(chunk) for chunk in chunks if chunk["candidates"][0].get("content", {}).get("parts")
        )


class TestCounts:
    @pytest.mark.parametrize("wrapper", [None, "generateContentRequest", "generate_content_request"])
    async def test_tokens_are_counted_wherever_the_request_stands(self, desk: Desk, wrapper: str | None) -> None:
        body = HI if wrapper is None else {wrapper: {"model": "models/sim/echo", **HI}}
        answer = await desk.call("POST", "/v1beta/models/sim/echo:countTokens", body)

        assert (200, "estimate") == (answer.status, answer.headers["x-gatewright-token-count"])
        assert {"totalTokens": 5} == json.loads(answer.body)

    def test_a_wrapped_request_that_is_no_object_is_named(self) -> None:
        envelope = client_codec("gemini").peek(b'{"generateContentRequest":5}', Asked("m", stream=False))

        with pytest.raises(InvalidRequest, match="must be an object") as refused:
            _unwrapped(envelope)
        assert "generateContentRequest" == refused.value.param


class TestRefusals:
    @pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent", "countTokens"])
    @pytest.mark.parametrize(
        ("body", "word"),
        [
            (b"", "JSON"),
            (b"{", "JSON"),
            (b"[]", "object"),
            (b"{}", "contents"),
            (b'{"contents":"hi"}', "contents"),
            (b'{"contents":[{"role":"user","parts":[{"text":5}]}]}', "contents[0].parts[0].text"),
        ],
    )
    async def test_a_body_that_cannot_be_read_is_400_and_names_the_field(
        self, desk: Desk, action: str, body: bytes, word: str
    ) -> None:
        error = refusal(await desk.call("POST", f"/v1beta/models/sim/echo:{action}", body))

        assert (400, "INVALID_ARGUMENT") == (error["code"], error["status"])
        assert word in json.dumps(error)

    @pytest.mark.parametrize("models", ["/v1beta/models", "/v1/models"])
    async def test_an_unknown_model_is_not_found(self, desk: Desk, models: str) -> None:
        assert "NOT_FOUND" == refusal(await desk.call("POST", f"{models}/nope:generateContent", HI))["status"]

    @pytest.mark.parametrize("models", ["/v1beta/models", "/v1/models", "/v1beta"])
    @pytest.mark.parametrize(("key", "status"), [(None, "UNAUTHENTICATED"), (LIMITED_KEY, "PERMISSION_DENIED")])
    async def test_a_key_that_is_missing_or_not_for_the_model_is_refused(
        self, desk: Desk, models: str, key: str | None, status: str
    ) -> None:
        answer = await desk.call("POST", f"{models}/sim/echo:generateContent", HI, key=key)

        assert status == refusal(answer)["status"]

    @pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "query"])
    async def test_a_key_is_taken_from_each_of_its_five_places(self, desk: Desk, place: str) -> None:
        headers = {} if place == "query" else {place: f"Bearer {KEY}" if place[1] == "u" else KEY}
        query = f"key={KEY}" if place == "query" else ""
        path = "/v1beta/models/sim/echo:generateContent"

        assert 200 == (await desk.call("POST", path, HI, headers=headers, key=None, query=query)).status
