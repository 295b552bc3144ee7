"""Same protocol in and out: byte for byte, but for the model's name and headers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.gateway import Running
from tests.support.vendor import KEY, WIRE, Vendor

SCENARIOS = {
    protocol: sorted(path.stem for path in (WIRE / protocol).glob("*.json"))
    for protocol in ("openai_chat", "anthropic_messages")
}  # fmt: skip
CASES = [(protocol, name) for protocol, names in SCENARIOS.items() for name in names]
PATHS = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/v1/messages"}
PROVIDERS = {"openai_chat": "chatty", "anthropic_messages": "messy"}


def body(protocol: str, model: str, *, stream: bool) -> bytes:
    """A request with odd spacing, key order, escapes and numbers, all of which must survive."""
    extra = '"seed":12345678901234567890' if protocol == "openai_chat" else '"metadata" : {"user_id":"\\u00fc"}'
    limit = '"max_completion_tokens"' if protocol == "openai_chat" else '"max_tokens"'
    return (
        f'{{"messages":  [ {{"role":"user","content":"caf\\u00e9 \\ud83c\\udf0d / \\/"}} ],{limit}:100,'
        f'"stream":{"true" if stream else "false"}, "model" : "{model}" ,{extra}}}'
    ).encode()


def call(served: Running, protocol: str, content: bytes) -> httpx.Response:
    headers = {"authorization": f"Bearer {served.key}", "anthropic-version": "2023-06-01", "x-stainless-lang": "python"}
    return httpx.post(served.url + PATHS[protocol], content=content, headers=headers, timeout=60)


def upstream_models(data: bytes, protocol: str, name: str) -> bytes:
    """``data`` with the vendor's own name for the model as the public one."""
    return data.replace(f'"{name}-2026-11-01"'.encode(), f'"{PROVIDERS[protocol]}/{name}"'.encode())


@pytest.fixture
def fakes(chatty: Vendor, messy: Vendor) -> dict[str, Vendor]:
    chatty.clear()
    messy.clear()
    return {"openai_chat": chatty, "anthropic_messages": messy}


@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_answer_is_the_vendors_bytes(served: Running, fakes: dict[str, Vendor], protocol: str, name: str) -> None:
    reply = call(served, protocol, body(protocol, f"{PROVIDERS[protocol]}/{name}", stream=False))

    assert upstream_models((WIRE / protocol / f"{name}.json").read_bytes(), protocol, name) == reply.content


@pytest.mark.parametrize("split", [0, 1, 5])
@pytest.mark.parametrize(("protocol", "name"), CASES)
def test_stream_is_the_vendors_bytes(
    served: Running, fakes: dict[str, Vendor], protocol: str, name: str, split: int
) -> None:
    fakes[protocol].split = split

    reply = call(served, protocol, body(protocol, f"{PROVIDERS[protocol]}/{name}", stream=True))

    assert upstream_models((WIRE / protocol / f"{name}.sse").read_bytes(), protocol, name) == reply.content


@pytest.mark.parametrize("protocol", PATHS)
@pytest.mark.parametrize("stream", [False, True])
def test_request_is_the_clients_bytes(served: Running, fakes: dict[str, Vendor], protocol: str, stream: bool) -> None:
    public, private = f"{PROVIDERS[protocol]}/plain", "plain"

    call(served, protocol, body(protocol, public, stream=stream))

    (seen,) = fakes[protocol].requests
    assert json.loads(body(protocol, private, stream=stream)) == seen.body
    assert list(json.loads(body(protocol, private, stream=stream))) == list(seen.body)
    assert b"caf\\u00e9 \\ud83c\\udf0d / \\/" in seen.raw


def test_clients_credential_and_fingerprint_stay_here(served: Running, fakes: dict[str, Vendor]) -> None:
    for protocol in PATHS:
        call(served, protocol, body(protocol, f"{PROVIDERS[protocol]}/plain", stream=False))
        (seen,) = fakes[protocol].requests

        assert served.key not in str(seen.headers)
        assert KEY in str(seen.headers)
        assert [] == [name for name in seen.headers if name.startswith("x-stainless")]


def test_answer_headers_name_the_build_and_who_served(served: Running, fakes: dict[str, Vendor]) -> None:
    reply = call(served, "openai_chat", body("openai_chat", "chatty/plain", stream=False))
    health: Any = httpx.get(f"{served.url}/health", timeout=60).json()

    assert health["build"] == reply.headers["x-gatewright-build"]
    assert reply.headers["x-gatewright-served"] == "chatty/plain"
    assert json.loads((Path(served.root) / "gateway.lock").read_text())["build"] == health["build"]
