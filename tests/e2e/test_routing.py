"""Fall-back as a client sees it: a real server, real sockets, one target that fails."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator

import pytest

from tests.support.gateway import Running, gateway
from tests.support.vendor import KEY, Vendor, vendor

CONFIG = """version: 1
discovery: {{providers: none}}
providers:
  failing:
    base_url: {url}/v1
    surfaces: {{openai_chat: {{}}}}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
    models: {{fault-500: {{}}, fault-401: {{}}, plain: {{}}}}
  sim: {{}}
combos:
  smart: {{targets: [failing/fault-500, failing/plain]}}
  poor: {{targets: [failing/fault-401, sim/echo]}}
retries: {{per_target: 1, backoff: 1ms}}
"""


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Vendor]]:
    with vendor("openai_chat") as fake:
        config = CONFIG.format(url=fake.url)
        with gateway(tmp_path_factory.mktemp("routing"), config, {"VENDOR_KEY": KEY}) as served:
            yield served, fake


def ask(running: Running, model: str, *, stream: bool = False) -> tuple[dict[str, str], bytes]:
    body = {"model": model, "stream": stream, "messages": [{"role": "user", "content": "hi"}]}
    headers = {"authorization": f"Bearer {running.key}", "content-type": "application/json"}
    request = urllib.request.Request(
        f"{running.url}/v1/chat/completions", json.dumps(body).encode(), headers, method="POST"
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        return {name.lower(): value for name, value in response.headers.items()}, response.read()


@pytest.mark.parametrize("stream", [False, True])
def test_a_target_that_fails_gives_way_to_the_next(running: tuple[Running, Vendor], stream: bool) -> None:
    headers, body = ask(running[0], "smart", stream=stream)

    assert b"Paris is" in body
    assert ("failing/plain", "3") == (headers["x-gatewright-served"], headers["x-gatewright-attempts"])


def test_a_refused_credential_is_not_shown_again(running: tuple[Running, Vendor]) -> None:
    served, fake = running
    first, _ = ask(served, "poor")
    asked = len(fake.requests)
    second, _ = ask(served, "poor")

    assert ("sim/echo", "2") == (first["x-gatewright-served"], first["x-gatewright-attempts"])
    assert ("sim/echo", asked) == (second["x-gatewright-served"], len(fake.requests))
    assert "x-gatewright-attempts" not in second
