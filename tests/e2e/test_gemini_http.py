"""Gemini's API over HTTP: where its clients put a model's name, which forms of a stream they ask for, what they read."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running
from tests.support.vendor import Vendor

HI: dict[str, Any] = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
SAID = "This is Gatewright's simulated provider; no model was asked. You said: hi"


def post(served: Running, path: str, body: object = HI, *, key: str | None = "") -> httpx.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    credential = {} if key is None else {"x-goog-api-key": key or served.key}
    return httpx.post(served.url + path, content=content, headers=credential, timeout=30)


def text(chunks: list[dict[str, Any]]) -> str:
    """What candidates say, thoughts left out."""
    parts = [
        part for chunk in chunks for one in chunk["candidates"] for part in one.get("content", {}).get("parts", [])
    ]
    return "".join(part["text"] for part in parts if "text" in part and not part.get("thought"))


def frames(reply: httpx.Response) -> list[dict[str, Any]]:
    """The pieces of a stream, as strictly as google-genai reads them."""
    lines = [
        line for line in reply.text.replace("\r\n", "\n").split("\n") if line
    ]  # `splitlines` splits at U+2028, too
    assert all(line.startswith("data: ") for line in lines)
    return [json.loads(line[6:]) for line in lines]


def error(reply: httpx.Response) -> dict[str, Any]:
    body = reply.json()
    found: dict[str, Any] = (body[0] if isinstance(body, list) else body)["error"]
    assert {"code", "message", "status"} <= set(found)
    assert found["code"] == reply.status_code
    return found


@pytest.mark.parametrize("prefix", ["/v1/models", "/v1beta/models", "/v1alpha/models", "/v1beta1/models", "/v1beta", "/v1beta1/publishers/google/models"])  # fmt: skip
@pytest.mark.parametrize("name", ["sim/echo", "sim%2Fecho", "sim/echo%3AgenerateContent"])
def test_a_model_is_called_wherever_and_however_its_name_is_written(served: Running, prefix: str, name: str) -> None:
    action = "" if "%3A" in name else ":generateContent"
    reply = post(served, f"{prefix}/{name}{action}")

    assert reply.status_code == 200, reply.text
    assert text([reply.json()]) == SAID
    assert reply.json()["candidates"][0]["finishReason"] == "STOP"


def test_a_stream_of_events_and_a_stream_as_an_array_say_the_same(served: Running) -> None:
    events = post(served, "/v1beta/models/sim/echo:streamGenerateContent?alt=sse")
    array = post(served, "/v1beta/models/sim/echo:streamGenerateContent")

    assert events.headers["content-type"].startswith("text/event-stream")
    assert array.headers["content-type"].startswith("application/json")
    assert text(frames(events)) == text(array.json()) == SAID
    assert frames(events)[-1]["candidates"][0]["finishReason"] == "STOP"
    assert array.json()[-1]["candidates"][0]["finishReason"] == "STOP"


@pytest.mark.parametrize("name", ["plain", "two-tools", "thinking-text", "unicode", "max-tokens"])
@pytest.mark.parametrize("form", ["?alt=sse", ""])
def test_a_stream_of_another_vendor_ends_as_geminis_do(
    served: Running, upstream: str, behind: Vendor, name: str, form: str
) -> None:
    body = {**HI, "generationConfig": {"maxOutputTokens": 500}}
    reply = post(served, f"/v1beta/models/{upstream}/{name}:streamGenerateContent{form}", body)

    chunks = frames(reply) if form else reply.json()
    assert chunks[-1]["candidates"][0]["finishReason"] in {"STOP", "MAX_TOKENS"}
    assert chunks[-1]["usageMetadata"]["promptTokenCount"] > 0
    assert len({chunk["responseId"] for chunk in chunks}) == 1


@pytest.mark.parametrize("form", ["?alt=sse", ""])
def test_a_stream_that_breaks_ends_with_an_error_and_without_a_reason_to_finish(served: Running, form: str) -> None:
    reply = post(served, f"/v1beta/models/chatty/mid-error:streamGenerateContent{form}")

    chunks = frames(reply) if form else reply.json()
    assert {"code", "message", "status"} <= set(chunks[-1]["error"])
    assert not any(one.get("finishReason") for chunk in chunks for one in chunk.get("candidates", []))


def test_spellings_are_mixed_as_googles_sdks_mix_them(served: Running, behind: Vendor, upstream: str) -> None:
    tool = {"name": "look", "parameters_json_schema": {"type": "object", "properties": {"at": {"type": "string"}}}}
    body = {
        **HI,
        "system_instruction": {"role": "user", "parts": [{"text": "be brief"}]},
        "tools": [{"functionDeclarations": [tool]}],
        "generationConfig": {"max_output_tokens": 50},
    }
    reply = post(served, f"/v1/models/{upstream}/plain:generateContent", body)

    assert reply.status_code == 200, reply.text
    sent = json.dumps(behind.requests[-1].body)
    assert all(word in sent for word in ("be brief", "look", '"at"', "50"))


@pytest.mark.parametrize("body", [HI, {"generateContentRequest": {"model": "models/sim/echo", **HI}}])
def test_tokens_are_counted(served: Running, body: dict[str, Any]) -> None:
    reply = post(served, "/v1beta/models/sim/echo:countTokens", body)

    assert reply.json()["totalTokens"] > 0
    assert reply.headers["x-gatewright-token-count"] == "estimate"


@pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "query"])
def test_a_key_is_taken_from_each_of_its_five_places_and_never_logged(served: Running, place: str) -> None:
    headers = {} if place == "query" else {place: f"Bearer {served.key}" if place[1] == "u" else served.key}
    query = {"key": served.key} if place == "query" else {}
    url = f"{served.url}/v1beta/models/sim/echo:generateContent"

    assert httpx.post(url, json=HI, headers=headers, params=query, timeout=30).status_code == 200
    wrong = httpx.post(url, content=b"{", headers=headers, params=query, timeout=30)
    assert served.key not in wrong.text  # and not in the log: see the fixture


def test_models_are_listed_and_found_in_geminis_shape(served: Running) -> None:
    headers = {"authorization": f"Bearer {served.key}"}
    listed = httpx.get(f"{served.url}/v1beta/models?pageSize=1000&key=", headers=headers, timeout=60).json()
    one = httpx.get(f"{served.url}/v1beta/models/sim%2Fecho", headers=headers, timeout=60).json()
    same = httpx.get(f"{served.url}/v1/models/sim/echo", headers={"x-goog-api-key": served.key}, timeout=60).json()

    assert "models/sim/echo" in {model["name"] for model in listed["models"]}
    assert one == same
    assert one["supportedGenerationMethods"] == ["generateContent", "countTokens"]


@pytest.mark.parametrize("action", ["generateContent", "streamGenerateContent", "streamGenerateContent?alt=sse", "countTokens"])  # fmt: skip
@pytest.mark.parametrize(
    ("body", "word"),
    [
        (b"", "JSON"),
        (b"{", "JSON"),
        (b"[]", "object"),
        (b"{}", "contents"),
        (b'{"contents": 5}', "contents"),
        (b'{"contents": [{"role": "user", "parts": [{"text": 5}]}]}', "contents[0].parts[0].text"),
        (b'{"contents": [], "generationConfig": {"temperature": "hot"}}', "generationConfig.temperature"),
    ],
)
def test_a_request_that_cannot_be_understood_names_its_field(
    served: Running, action: str, body: bytes, word: str
) -> None:
    reply = post(served, f"/v1beta/models/sim/echo:{action}", body)

    found = error(reply)
    assert (found["code"], found["status"]) == (400, "INVALID_ARGUMENT")
    assert word in json.dumps(found)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/v1beta/models/nope:generateContent", "NOT_FOUND"),
        ("POST", "/v1/models/nope:generateContent", "NOT_FOUND"),
        ("POST", "/v1beta/models/sim/echo:explain", "NOT_FOUND"),
        ("POST", "/v1beta/models/sim/echo", "NOT_FOUND"),
        ("GET", "/v1beta/models/nope", "NOT_FOUND"),
        ("GET", "/v1beta/files", "NOT_FOUND"),
        ("GET", "/v1beta", "NOT_FOUND"),
    ],
)
def test_what_is_not_there_is_told_in_geminis_shape(served: Running, method: str, path: str, status: str) -> None:
    reply = httpx.request(
        method,
        served.url + path,
        json=HI if method == "POST" else None,
        headers={"x-goog-api-key": served.key},
        timeout=60,
    )

    assert error(reply)["status"] == status


@pytest.mark.parametrize("path", ["/v1beta/models/sim/echo:generateContent", "/v1/models/sim/echo:streamGenerateContent?alt=sse"])  # fmt: skip
@pytest.mark.parametrize("key", [None, "wrong"])
def test_a_key_that_is_missing_or_wrong_is_told_in_geminis_shape(served: Running, path: str, key: str | None) -> None:
    assert error(post(served, path, key=key))["status"] == "UNAUTHENTICATED"
