"""Why a request went where it went, as the operator is told it and as another tenant is; over connections that both share."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from generated.types.explain import Decision
from runtime.config.secrets import resolve_secrets
from runtime.routing.strategies import STRATEGIES
from runtime.services.explaining import Reasoner
from tests.services.desk import CONFIG, KEY, Desk

GUEST = "gw-viewer"
SHARED = frozenset({"in_flight", "used", "latency_s", "success", "headroom"})
TARGETS = "targets: [sim/echo, sim/echo-copy, dark/unseen]"


def desk_of(data: Path, strategy: str) -> Desk:
    config = CONFIG.replace(
        'viewer: {key: "${VIEWER_KEY}", scopes: [view]}',
        'viewer: {key: "${VIEWER_KEY}", scopes: [chat, view], tenant: acme}',
    )
    config = config.replace('key: "${DESK_KEY}", scopes: [chat]', 'key: "${DESK_KEY}", scopes: [chat, view]')
    config = config.replace(
        "sim:\n    connections: [{id: sim}]", "sim:\n    connections: [{id: sim}]\n    models: {echo-copy: {}}"
    )
    return Desk(data, f"{config}tenants: {{acme: {{}}}}\ncombos: {{shared: {{strategy: {strategy}, {TARGETS}}}}}\n")


async def told(desk: Desk, key: str) -> dict[str, Any]:
    """What a key is told of a call of its own."""
    body = {"model": "shared", "messages": [{"role": "user", "content": "hi"}]}
    answer = await desk.call("POST", "/v1/chat/completions", body, key=key)
    assert 200 == answer.status, answer.body
    id_ = dict(answer.headers)["x-gatewright-decision"]
    found: dict[str, Any] = await desk.json("GET", f"/api/explain/{id_}", key=key)
    return found


@pytest.mark.parametrize("strategy", sorted(STRATEGIES))
async def test_a_tenant_is_told_its_own_reasons_and_nothing_of_what_others_do(tmp_path: Path, strategy: str) -> None:
    desk = desk_of(tmp_path, strategy)
    async with desk.app.lifespan():
        before = await told(desk, GUEST)
        operators = [await told(desk, KEY) for _ in range(3)]
        after = await told(desk, GUEST)

    for each in (before, after):
        choices = [choice for reason in each["reasons"] for choice in reason.get("choices", ())]
        assert ["sim/echo", "sim/echo-copy"] == sorted({choice["name"] for choice in choices} - {"sim/sim"})
        assert [] == [choice for choice in choices if SHARED & choice.keys()]
        assert "inputs" not in each
        assert "remembering" not in json.dumps(each)
        assert "DARK_KEY" not in json.dumps(each)
        assert {"resolve", "left_out", "order", "attempt", "served"} == {
            reason["kind"] for reason in each["reasons"] if reason["kind"] != "session"
        }
    assert all(each["inputs"]["orderings"] for each in operators)
    assert "${DARK_KEY} is not set" in json.dumps(operators)


async def test_the_operator_sees_the_figures(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, "least-used")
    async with desk.app.lifespan():
        await told(desk, GUEST)
        found = await told(desk, KEY)

    (order,) = [reason for reason in found["reasons"] if reason.get("choices")]
    assert [0, 1] == sorted(choice["used"] for choice in order["choices"])


async def test_a_secret_that_cannot_be_sent_is_not_said_to_be_absent(tmp_path: Path) -> None:
    desk = desk_of(tmp_path, "priority")
    async with desk.app.lifespan():
        id_ = (await told(desk, KEY))["id"]
    parts, value = desk.built.parts, "two\nlines"
    secrets = resolve_secrets(desk.plan, lambda reference: value if reference.env == "DARK_KEY" else "x")
    reasoner = Reasoner(parts.serving.artefact, secrets, parts.decisions, time.monotonic, time.time)
    texts = [reason.text for reason in expected(reasoner.find(id_, operator=True)).reasons]

    assert (
        "the connection is dark: ${DARK_KEY} holds a line break or another character that no header can carry" in texts
    )
    assert [] == [text for text in texts if "is not set" in text or value in text]


def expected(found: Decision | None) -> Decision:
    assert found is not None
    return found
