"""Ollama's API: calls of a model, and all that its clients ask before they make one."""

import json

import pytest

from tests.services.desk import LIMITED_KEY, Desk

HI = [{"role": "user", "content": "hi"}]
SAID = "This is Gatewright's simulated provider; no model was asked. You said: hi"
ROOTS = ("", "/v1", "/api/v1")
SERVED = {"chat", "generate", "embed", "tags", "ps", "show", "version"}
UNSERVED = {
    "blobs", "copy", "create", "delete", "embeddings", "experimental", "me", "pull", "push", "signout", "status", "user",
}  # fmt: skip
"""What else Ollama's own server has."""


class TestCalls:
    @pytest.mark.parametrize("root", ROOTS)
    async def test_a_chat_is_answered_whole_when_no_stream_is_wanted(self, desk: Desk, root: str) -> None:
        told = await desk.json("POST", f"{root}/api/chat", {"model": "sim/echo", "messages": HI, "stream": False})

        assert ("sim/echo", SAID, True) == (told["model"], told["message"]["content"], told["done"])
        assert told["prompt_eval_count"] > 0

    @pytest.mark.parametrize("root", ROOTS)
    async def test_a_chat_streams_unless_told_otherwise(self, desk: Desk, root: str) -> None:
        answer = await desk.call("POST", f"{root}/api/chat", {"model": "sim/echo", "messages": HI, "tools": []})

        lines = [json.loads(line) for line in answer.body.splitlines()]
        assert "application/x-ndjson" == answer.headers["content-type"]
        assert SAID == "".join(line["message"]["content"] for line in lines)
        assert [False, True] == [lines[0]["done"], lines[-1]["done"]]

    async def test_a_prompt_is_continued(self, desk: Desk) -> None:
        told = await desk.json("POST", "/api/generate", {"model": "sim/echo", "prompt": "hi", "stream": False})

        assert (SAID, True) == (told["response"], told["done"])

    @pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
    async def test_a_tag_that_clients_add_is_no_part_of_the_name_and_is_given_back(self, desk: Desk, path: str) -> None:
        body = {"model": "quick:latest", "messages": HI, "prompt": "hi", "stream": False}

        assert "quick:latest" == (await desk.json("POST", path, body))["model"]

    @pytest.mark.parametrize(
        ("path", "body", "reason"),
        [
            ("/api/chat", {}, "load"),
            ("/api/chat", {"messages": []}, "load"),
            ("/api/chat", {"messages": None, "keep_alive": "5m", "stream": False}, "load"),
            ("/api/chat", {"keep_alive": 0}, "unload"),
            ("/api/generate", {}, "load"),
            ("/api/generate", {"prompt": "", "keep_alive": "0"}, "unload"),
        ],
    )
    async def test_a_request_that_asks_nothing_finds_the_model_loaded(
        self, desk: Desk, path: str, body: dict, reason: str
    ) -> None:
        told = await desk.json("POST", path, {"model": "sim/echo", **body})

        assert ("sim/echo", True, reason) == (told["model"], told["done"], told["done_reason"])
        assert "" == (told["response"] if path.endswith("generate") else told["message"]["content"])

    @pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show"])
    @pytest.mark.parametrize("model", ["nope", "nope:latest", "dark/missing"])
    async def test_a_model_that_is_not_there_is_not_found(self, desk: Desk, path: str, model: str) -> None:
        answer = await desk.call("POST", path, {"model": model})

        assert 404 == answer.status
        assert isinstance(json.loads(answer.body)["error"], str)

    @pytest.mark.parametrize(("path", "status"), [("/api/chat", 403), ("/api/generate", 403), ("/api/show", 404)])
    async def test_a_key_loads_and_sees_only_its_own_models(self, desk: Desk, path: str, status: int) -> None:
        assert status == (await desk.call("POST", path, {"model": "sim/echo"}, key=LIMITED_KEY)).status

    @pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show"])
    @pytest.mark.parametrize(
        ("body", "word"),
        [
            (b"", "JSON"),
            (b"{", "JSON"),
            (b"[]", "The request body must be a JSON object"),
            (b"3", "The request body must be a JSON object"),
            (b"{}", "model"),
            (b'{"model":5}', "model"),
            (b'{"model":""}', "model"),
        ],
    )
    async def test_a_body_that_cannot_be_read_is_told_as_ollama_does(
        self, desk: Desk, path: str, body: bytes, word: str
    ) -> None:
        answer = await desk.call("POST", path, body)

        assert 400 == answer.status
        assert word in json.loads(answer.body)["error"]

    @pytest.mark.parametrize("path", ["/api/chat", "/api/generate", "/api/show", "/v1/api/chat"])
    async def test_a_key_is_needed_and_its_lack_told_as_ollama_does(self, desk: Desk, path: str) -> None:
        answer = await desk.call("POST", path, {"model": "sim/echo"}, key=None)

        assert 401 == answer.status
        assert isinstance(json.loads(answer.body)["error"], str)


class TestProbes:
    @pytest.mark.parametrize("path", ["/nope", "/pull", "/blobs/sha256:0", "/chat/nope"])
    @pytest.mark.parametrize("prefix", ["/v1/api", "/api/v1/api", "/v1/v1/api"])
    async def test_an_unknown_path_below_each_spelling_is_told_as_ollama_does(
        self, desk: Desk, prefix: str, path: str
    ) -> None:
        answer = await desk.call("POST", prefix + path)

        assert (404, str) == (answer.status, type(json.loads(answer.body)["error"]))

    @pytest.mark.parametrize("word", sorted(SERVED | UNSERVED))
    async def test_what_is_below_a_path_of_ollamas_is_told_as_ollama_does(self, desk: Desk, word: str) -> None:
        answer = await desk.call("POST", f"/api/{word}/nope")

        assert (404, str) == (answer.status, type(json.loads(answer.body)["error"]))

    @pytest.mark.parametrize("path", ["/api", "/api/nope", "/api/pulls", "/api/people", "/api/keys/a/b/c"])
    async def test_any_other_unknown_path_there_is_a_problem(self, desk: Desk, path: str) -> None:
        for method in ("GET", "POST"):
            answer = await desk.call(method, path)

            assert (404, "application/problem+json") == (answer.status, answer.headers["content-type"])
            assert "not_found" == json.loads(answer.body)["kind"]

    @pytest.mark.parametrize(
        ("method", "path", "allowed", "content_type"),
        [
            ("DELETE", "/api/tags", "GET, HEAD, OPTIONS", "application/json"),
            ("GET", "/api/show", "OPTIONS, POST", "application/json"),
            ("PUT", "/api/keys", "GET, HEAD, OPTIONS, POST", "application/problem+json"),
            ("GET", "/api/auth/login", "OPTIONS, POST", "application/problem+json"),
        ],
    )
    async def test_a_wrong_method_lists_the_others_in_the_form_of_its_path(
        self, desk: Desk, method: str, path: str, allowed: str, content_type: str
    ) -> None:
        answer = await desk.call(method, path)

        assert 405 == answer.status
        assert allowed == ", ".join(sorted(answer.headers["allow"].split(", ")))
        assert content_type == answer.headers["content-type"]

    async def test_the_version_is_public(self, desk: Desk) -> None:
        assert {"version": "0.12.6"} == await desk.json("GET", "/api/version", key=None)

    async def test_no_model_is_in_memory(self, desk: Desk) -> None:
        assert {"models": []} == await desk.json("GET", "/api/ps")

    async def test_a_tag_has_what_clients_cut_and_show(self, desk: Desk) -> None:
        tag = next(one for one in (await desk.json("GET", "/api/tags"))["models"] if one["name"] == "sim/echo")

        assert ("sim/echo", 0, "sim") == (tag["model"], tag["size"], tag["details"]["family"])
        assert 64 == len(tag["digest"])
        assert tag["modified_at"].endswith("Z")

    @pytest.mark.parametrize(
        ("model", "capabilities", "context"),
        [
            ("sim/echo", ["completion", "vision"], 200000),
            ("sim/tools", ["completion", "tools"], 200000),
            ("sim/thinking", ["completion", "thinking"], 200000),
            ("wide/Qwen/Qwen3-8B:free", ["completion", "tools", "vision"], 32768),
            ("wide/made-up", ["completion"], None),
            ("quick:latest", ["completion", "vision"], 200000),
        ],
    )
    @pytest.mark.parametrize("word", ["model", "name"])
    async def test_a_model_is_shown_with_what_it_can_do_and_how_much_it_takes(
        self, desk: Desk, model: str, capabilities: list[str], context: int | None, word: str
    ) -> None:
        shown = await desk.json("POST", "/api/show", {word: model, "verbose": True})

        info = shown["model_info"]
        assert capabilities == shown["capabilities"]
        assert context == info.get(f"{info['general.architecture']}.context_length")

    @pytest.mark.parametrize("method", ["DELETE", "GET"])
    async def test_an_unknown_path_or_method_is_told_as_ollama_does(self, desk: Desk, method: str) -> None:
        path = "/api/pull" if method == "GET" else "/api/chat"
        answer = await desk.call(method, path)

        assert {"GET": 404, "DELETE": 405}[method] == answer.status
        assert isinstance(json.loads(answer.body)["error"], str)
