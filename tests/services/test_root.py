"""The bare address: facts for whoever asks for them, the words that probes look for otherwise."""

import json

import pytest

from tests.services.desk import Desk

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize("accept", ["*/*", "application/json", "application/json, text/plain, */*", BROWSER])
async def test_who_says_what_it_takes_is_told_what_this_is(desk: Desk, accept: str) -> None:
    told = await desk.json("GET", "/", headers={"accept": accept}, key=None)

    assert ("Gatewright", "/v1/models") == (told["name"], told["links"]["models"])


@pytest.mark.parametrize("headers", [{}, {"accept": "*/*", "user-agent": "ollama-python/0.6.3 (x86_64)"}])
async def test_what_probes_the_address_as_ollamas_clients_do_finds_ollama(desk: Desk, headers: dict[str, str]) -> None:
    answer = await desk.call("GET", "/", headers=headers, key=None)

    assert (200, b"Ollama is running") == (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("text/plain")
    assert "accept, user-agent" == answer.headers["vary"]


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/api/v1"])
async def test_below_a_prefix_everybody_is_told_what_this_is(desk: Desk, path: str) -> None:
    assert "Gatewright" == (await desk.json("GET", path, headers={"accept": "*/*"}, key=None))["name"]


@pytest.mark.parametrize("path", ["/", "/v1", "/api/hello", "/api/version"])
async def test_a_probe_with_head_succeeds_without_a_key(desk: Desk, path: str) -> None:
    answer = await desk.call("HEAD", path, key=None)

    assert 200 == answer.status


async def test_hello_is_answered(desk: Desk) -> None:
    assert b"hello" == (await desk.call("GET", "/api/hello", key=None)).body


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("DELETE", "/v1")])
async def test_a_method_that_is_not_for_the_root_is_refused(desk: Desk, method: str, path: str) -> None:
    answer = await desk.call(method, path)

    assert (405, "GET, HEAD, OPTIONS") == (answer.status, answer.headers["allow"])
    assert "error" in json.loads(answer.body)
