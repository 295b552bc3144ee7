"""Listing and describing models: one table, in four dialects, for whoever may see what."""

import json
from urllib.parse import unquote

import pytest

from tests.services.desk import LIMITED_KEY, Desk

GOOGLE = ("/v1beta", "/v1alpha", "/v1beta1", "/api/v1beta", "/v1/v1beta")
ANTHROPIC = {"anthropic-version": "2026-10-21"}
GEMINI = {"x-goog-api-client": "google-genai-sdk/3.4.0"}
NAMES = ["quick", "sim/echo", "sim/error", "sim/slow", "sim/thinking", "sim/tools", "wide/Qwen/Qwen3-8B:free", "wide/sim/echo-copy"]  # fmt: skip


async def test_every_dialect_lists_the_same_names(desk: Desk) -> None:
    openai = await desk.json("GET", "/v1/models")
    anthropic = await desk.json("GET", "/v1/models", headers=ANTHROPIC)
    gemini = await desk.json("GET", "/v1/models", headers=GEMINI)
    ollama = await desk.json("GET", "/api/tags")

    assert NAMES == [one["id"] for one in openai["data"]]
    assert NAMES == [one["id"] for one in anthropic["data"]]
    assert NAMES == [one["name"].removeprefix("models/") for one in gemini["models"]]
    assert NAMES == [one["model"] for one in ollama["models"]]


@pytest.mark.parametrize("headers", [{}, ANTHROPIC, GEMINI])
@pytest.mark.parametrize("prefix", GOOGLE)
async def test_below_googles_prefixes_models_have_googles_shape_whatever_the_headers_say(
    desk: Desk, prefix: str, headers: dict[str, str]
) -> None:
    listed = await desk.json("GET", f"{prefix}/models", headers=headers)
    one = await desk.json("GET", f"{prefix}/models/sim/echo", headers=headers)

    assert "models/quick" == listed["models"][0]["name"]
    assert ("models/sim/echo", 200000) == (one["name"], one["inputTokenLimit"])


@pytest.mark.parametrize("path", ["/v1beta/models/nope", "/v1beta/tunedModels/nope", "/v1beta/nope", "/v1beta1/a/b/c"])
async def test_what_is_not_below_googles_prefixes_is_told_in_googles_shape(desk: Desk, path: str) -> None:
    answer = await desk.call("GET", path)

    assert 404 == answer.status
    assert (404, "NOT_FOUND") == tuple(json.loads(answer.body)["error"][name] for name in ("code", "status"))


@pytest.mark.parametrize(
    "path",
    [
        "/v1beta1/publishers/google/models/sim/echo",
        "/v1beta1/projects/p/locations/l/publishers/google/models/sim/echo",
        "/v1beta/tunedModels/sim/echo",
        "/v1beta/models/models/sim/echo",
        "/v1/models/models/sim/echo",
    ],
)
async def test_a_model_is_found_by_its_resource_names_too(desk: Desk, path: str) -> None:
    assert "models/sim/echo" == (await desk.json("GET", path, headers=GEMINI))["name"]


@pytest.mark.parametrize("path", ["/v1/models?limit=1000", "/v1/models/?limit=1000&beta=true&who=knows"])
@pytest.mark.parametrize("headers", [{}, ANTHROPIC, GEMINI])
async def test_parameters_of_other_clients_are_ignored(desk: Desk, path: str, headers: dict[str, str]) -> None:
    bare, _, query = path.partition("?")

    assert 200 == (await desk.call("GET", bare, headers=headers, query=query)).status


@pytest.mark.parametrize(("name", "headers"), [("limit", ANTHROPIC), ("pageSize", GEMINI)])
@pytest.mark.parametrize("written", ["1e1", "%D9%A5", "%C2%B2", "+5", "9" * 5000])
async def test_a_limit_in_no_digits_is_refused(desk: Desk, name: str, headers: dict[str, str], written: str) -> None:
    answer = await desk.call("GET", "/v1/models", headers=headers, query=f"{name}={written}")

    assert 400 == answer.status, answer.body
    assert f"{name} must be a whole number" in answer.body.decode()


class TestNames:
    @pytest.mark.parametrize(
        "path",
        [
            "wide/Qwen/Qwen3-8B:free",
            "wide%2FQwen%2FQwen3-8B:free",
            "wide/Qwen%2FQwen3-8B%3Afree",
            "wide/Qwen/Qwen3-8B:free/",
        ],
    )
    async def test_pitfall_134_a_name_has_slashes_colons_and_capitals_however_it_is_written(
        self, desk: Desk, path: str
    ) -> None:
        found = await desk.json("GET", f"/v1/models/{unquote(path)}")

        assert "wide/Qwen/Qwen3-8B:free" == found["id"]

    async def test_a_name_in_other_letters_is_another_name_and_the_right_one_is_suggested(self, desk: Desk) -> None:
        answer = await desk.call("GET", "/v1/models/Sim/Echo")

        assert 404 == answer.status
        assert b"did you mean 'sim/echo'?" in answer.body

    async def test_a_name_that_no_list_has_is_described_where_it_can_be_called(self, desk: Desk) -> None:
        found = await desk.json("GET", "/v1/models/wide/made/up:1")

        assert ("wide/made/up:1", "wide") == (found["id"], found["owned_by"])

    async def test_a_model_whose_provider_has_no_credential_is_not_there(self, desk: Desk) -> None:
        assert 404 == (await desk.call("GET", "/v1/models/dark/unseen")).status


class TestKeys:
    @pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/v1/providers/sim/models"])
    async def test_a_key_sees_what_it_may_use(self, desk: Desk, path: str) -> None:
        answer = await desk.call("GET", path, key=LIMITED_KEY)

        assert b"tools" in answer.body
        assert b"echo" not in answer.body

    @pytest.mark.parametrize("path", ["/v1/models/sim/echo", "/v1beta/models/sim/echo"])
    async def test_a_key_is_not_told_of_other_models(self, desk: Desk, path: str) -> None:
        assert 404 == (await desk.call("GET", path, key=LIMITED_KEY)).status

    @pytest.mark.parametrize(
        ("path", "headers", "shape"),
        [
            ("/v1/models", {}, {"error": {"type": "invalid_request_error"}}),
            ("/v1/models", ANTHROPIC, {"error": {"type": "authentication_error"}}),
            ("/v1beta/models", {}, {"error": {"status": "UNAUTHENTICATED"}}),
            ("/v1beta/tunedModels/x", {}, {"error": {"status": "UNAUTHENTICATED"}}),
            ("/api/tags", {}, {"error": str}),
            ("/v1/api/ps", {}, {"error": str}),
            ("/v1/providers/sim/models", {}, {"error": {"type": "invalid_request_error"}}),
        ],
    )
    async def test_a_missing_key_is_told_in_the_clients_dialect(
        self, desk: Desk, path: str, headers: dict[str, str], shape: dict
    ) -> None:
        answer = await desk.call("GET", path, headers=headers, key=None)

        error = json.loads(answer.body)["error"]
        assert 401 == answer.status
        assert isinstance(error, str) if shape["error"] is str else shape["error"].items() <= error.items()

    @pytest.mark.parametrize("place", ["authorization", "x-api-key", "api-key", "x-goog-api-key", "query"])
    @pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/v1/providers/sim/models"])
    async def test_a_key_is_taken_from_each_of_its_five_places(self, desk: Desk, path: str, place: str) -> None:
        headers = {} if place == "query" else {place: f"Bearer {LIMITED_KEY}" if place[1] == "u" else LIMITED_KEY}
        query = f"key={LIMITED_KEY}" if place == "query" else ""

        assert 200 == (await desk.call("GET", path, headers=headers, key=None, query=query)).status
