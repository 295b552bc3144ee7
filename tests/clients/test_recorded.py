"""Requests that coding CLIs really sent, through the gateway to every upstream protocol: each must get its whole answer.

``tests/fixtures/clients`` holds a session of each: the first turn, and the second with the result of a tool. Their models, ids and
machine's facts are masked, long prose is cut; names, order and structure are as sent.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from tests.clients.cells import EXPECTED
from tests.clients.session import Stage
from tests.clients.table import UPSTREAMS
from tests.support.rules import SEALS

FIXTURES = Path(__file__).parents[1] / "fixtures"


class Dialect(NamedTuple):
    """Where a request goes, how its key travels, and with what a whole answer ends."""

    path: str
    header: str
    prefix: str
    end: str


DIALECTS = {
    "anthropic_messages": Dialect("/v1/messages?beta=true", "authorization", "Bearer ", '"type":"message_stop"'),
    "openai_responses": Dialect("/v1/responses", "authorization", "Bearer ", '"type":"response.completed"'),
    "gemini": Dialect(
        "/v1beta/models/{model}:streamGenerateContent?alt=sse", "x-goog-api-key", "", '"finishReason":"STOP"'
    ),
}
SESSIONS = {"claude-code": "anthropic_messages", "codex": "openai_responses", "gemini-cli": "gemini"}


def _turns(session: str) -> list[dict[str, Any]]:
    return list(json.loads((FIXTURES / "clients" / f"{session}.json").read_text(encoding="utf-8")))


WRITTEN = [
    (protocol, path.name)
    for protocol in SESSIONS.values()
    for path in sorted((FIXTURES / "wire" / protocol).glob("*.request.json"))
]
CASES = [(session, turn) for session in SESSIONS for turn in range(len(_turns(session)))]


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("session", "turn"), CASES)
def test_a_recorded_request_gets_its_whole_answer(on_stage: Stage, session: str, turn: int, upstream: str) -> None:
    protocol = SESSIONS[session]
    recorded = _turns(session)[turn]
    status, text = _send(on_stage, protocol, recorded["body"], recorded["headers"], upstream)

    assert status == 200, text
    _whole(protocol, text)


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize(("protocol", "name"), WRITTEN)
def test_a_written_request_gets_its_whole_answer(on_stage: Stage, protocol: str, name: str, upstream: str) -> None:
    """The codecs' own fixtures of such requests."""
    body = _sealed(json.loads((FIXTURES / "wire" / protocol / name).read_bytes()), protocol)
    headers = next(_turns(session)[0]["headers"] for session, spoken in SESSIONS.items() if spoken == protocol)
    status, text = _send(on_stage, protocol, body, headers, upstream)

    assert status == 200, text
    _whole(protocol, text)


def _sealed(value: Any, protocol: str) -> Any:
    """``value`` with the seals in it as if the fake vendor of ``protocol`` had made them."""
    if isinstance(value, list):
        return [_sealed(item, protocol) for item in value]
    if not isinstance(value, dict):
        return value
    own = min(SEALS[protocol])
    place = {"redacted_thinking": "data", "thinking": "signature", "reasoning": "encrypted_content"}.get(
        str(value.get("type")), "thoughtSignature"
    )
    return {
        name: own if name == place and not str(item).startswith(("gw1.", "Z3cxL")) else _sealed(item, protocol)
        for name, item in value.items()
    }


def _send(
    on_stage: Stage, protocol: str, body: dict[str, Any], headers: dict[str, str], upstream: str
) -> tuple[int, str]:
    dialect = DIALECTS[protocol]
    model = f"{upstream}/{EXPECTED['prefix'].get(upstream, '')}plain"
    sent = {**headers, dialect.header: dialect.prefix + on_stage.gateway.key}
    named = body if "{model}" in dialect.path else {**body, "model": model, "stream": True}
    url = on_stage.gateway.url + dialect.path.format(model=model)
    reply = httpx.post(url, json=named, headers=sent, timeout=60)
    return reply.status_code, reply.text


def _whole(protocol: str, text: str) -> None:
    """The answer is there in pieces, and the stream ends as one that is complete."""
    assert "capital" in text
    last = [line for line in text.replace("\r\n", "\n").split("\n") if line.startswith("data: ")][-1]
    assert DIALECTS[protocol].end in last.replace(": ", ":"), last
