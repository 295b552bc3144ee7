"""Configurations that are changed while the gateway runs, in one process."""

from __future__ import annotations

import asyncio
import gc
import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.errors import Conflict, InvalidRequest, PermissionDenied, Refused, RouteUnavailable, UpstreamAuthFailed
from runtime.gateway import Gateway
from runtime.services.overrides import REMOVED, Change, Overrides
from runtime.stores.audit import AuditQuestion, SqlAudit
from runtime.stores.base import StoreError
from runtime.stores.overrides import OverrideChange, SqlOverrides, StoredOverride
from runtime.stores.vault import StoreKey, Vault
from tests.services.desk import CONFIG, Desk, NotedDatabase

SECRET = "sk-canary-0123456789abcdef"
COMBO = Change(section="combos", name="best", document={"targets": ["sim/echo"]})


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    async with made.app.lifespan():
        yield made
    await NotedDatabase.close_all()


@pytest.fixture
def overrides(desk: Desk) -> Overrides:
    return desk.built.overrides


async def answers(desk: Desk, model: str) -> int:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    return (await desk.call("POST", "/v1/chat/completions", body)).status


async def build_id(desk: Desk) -> str:
    """What any answer says, and that of a route that needs no framework at once."""
    return str((await desk.call("GET", "/v1/chat/completions")).headers["x-gatewright-build"])


async def test_a_change_is_in_force_when_it_returns_and_the_build_says_so(desk: Desk, overrides: Overrides) -> None:
    before = await build_id(desk)
    assert 404 == await answers(desk, "best")

    assert 1 == await overrides.change([COMBO], "tester")

    assert 200 == await answers(desk, "best")
    assert before != await build_id(desk)
    assert await build_id(desk) == overrides.effective.artefact.build
    assert {"targets": ["sim/echo"]} == overrides.config["combos"]["best"]  # type: ignore[index]
    assert frozenset({"best"}) == overrides.overridden("combos")


async def test_taking_all_overrides_back_gives_the_build_back(desk: Desk, overrides: Overrides) -> None:
    before = await build_id(desk)
    await overrides.change([COMBO, Change(section="requests", document={"default_max_tokens": 7})], "tester")
    await overrides.change(
        [Change(section="combos", name="best"), Change(section="requests", document={"default_max_tokens": None})],
        "tester",
    )

    assert before == await build_id(desk)
    assert () == (await overrides.stored()).overrides


async def test_a_change_of_one_thing_leaves_the_rest_of_the_entry_to_the_file(tmp_path: Path) -> None:
    models = '{unseen: {prices: {input: "1", output: "1000"}}, other: {prices: {input: "1", output: "1000"}}}'
    config = CONFIG.replace("models: {unseen: {}}", f"models: {models}")
    first = Desk(tmp_path, config)
    async with first.app.lifespan():
        entry: Any = json.loads(json.dumps(first.built.overrides.config["providers"]))["dark"]
        entry["models"]["unseen"]["prices"]["input"] = "7"
        await first.built.overrides.change([Change(section="providers", name="dark", document=entry)], "tester")
        (kept,) = (await first.built.overrides.stored()).overrides
        assert 'models:\n  unseen:\n    prices:\n      input: "7"\n' == kept.document

    second = Desk(tmp_path, config.replace('"1000"', '"2000"'))
    async with second.app.lifespan():
        await second.built.overrides.refresh()
        served: Any = second.built.overrides.config["providers"]
        assert {"unseen": {"input": "7", "output": "2000"}, "other": {"input": "1", "output": "2000"}} == {
            name: model["prices"] for name, model in served["dark"]["models"].items()
        }
    await NotedDatabase.close_all()


async def test_what_says_the_same_as_the_files_is_no_override(desk: Desk, overrides: Overrides) -> None:
    providers: Any = overrides.config["providers"]
    same: dict[str, object] = providers["dark"]
    other = same | {"base_url": "https://d.test/v1", "connections": [{"id": "main", "key": SECRET}]}
    await overrides.change([Change(section="providers", name="dark", document=other)], "x")
    assert {"dark"} == overrides.overridden("providers")
    await overrides.change([Change(section="providers", name="dark", document=same)], "x")

    assert frozenset() == overrides.overridden("providers")


async def test_what_the_files_have_can_be_taken_away_and_comes_back(desk: Desk, overrides: Overrides) -> None:
    await overrides.change([Change(section="aliases", name="quick", document=REMOVED)], "tester")
    assert 404 == await answers(desk, "quick")

    await overrides.change([Change(section="aliases", name="quick")], "tester")
    assert 200 == await answers(desk, "quick")


async def test_taking_away_what_only_an_override_made_leaves_nothing(desk: Desk, overrides: Overrides) -> None:
    await overrides.change([COMBO], "tester")
    await overrides.change([Change(section="combos", name="best", document=REMOVED)], "tester")

    assert () == (await overrides.stored()).overrides
    assert 404 == await answers(desk, "best")


@pytest.mark.parametrize(
    ("change", "code", "path"),
    [
        (Change(section="combos", name="x", document={"targets": ["sim/echo", "sim/nix"]}), "unknown-model", "combos.x.targets[1]"),
        (Change(section="combos", name="x", document={"target": []}), "unknown-field", "combos.x.target"),
        (Change(section="combos", name="x", document="targets:\n  - sim/nix\n"), "unknown-model", "combos.x.targets[0]"),
        (Change(section="combos", name="x", document="a: [b"), "yaml-syntax", "combos.x"),
        (Change(section="requests", document={"default_max_tokens": "many"}), "wrong-type", "requests.default_max_tokens"),
        (Change(section="server", document={"port": 1}), "fixed-setting", "server.port"),
        (Change(section="keys", name="k", document={"hash": "hmac-sha256:" + "0" * 64}), "fixed-setting", "keys.k"),
        (Change(section="nothing", name="x", document={}), "unknown-field", "nothing.x"),
        (Change(section="providers", name="wide", document=REMOVED), "unknown-model", None),
    ],
)  # fmt: skip
async def test_a_change_that_does_not_compile_says_where_and_changes_nothing(
    desk: Desk, overrides: Overrides, change: Change, code: str, path: str | None
) -> None:
    if path is None:
        await overrides.change([Change(section="aliases", name="far", document="wide/sim/echo-copy")], "tester")
    before, stored = await build_id(desk), await overrides.stored()

    with pytest.raises(Refused) as refused:
        await overrides.change([COMBO, change], "tester")

    fault = next(fault for fault in refused.value.faults if fault.code == code)
    assert "error" == fault.severity
    assert fault.hint
    if path is not None:
        assert path == fault.path
    assert before == await build_id(desk)
    assert stored == await overrides.stored()
    assert 404 == await answers(desk, "best")


async def test_a_change_that_names_nothing_is_no_change(overrides: Overrides) -> None:
    for change in (Change(section="combos", document={"best": {}}), Change(section="requests", document="x")):
        with pytest.raises(InvalidRequest):
            await overrides.change([change], "tester")


async def test_who_knows_an_older_revision_is_told(overrides: Overrides) -> None:
    await overrides.change([COMBO], "tester", expected=0)
    with pytest.raises(Conflict):
        await overrides.change([Change(section="combos", name="best")], "tester", expected=0)

    assert 1 == overrides.revision


async def test_a_change_that_changes_nothing_is_none(overrides: Overrides) -> None:
    await overrides.change([COMBO], "tester")

    assert 1 == await overrides.change([COMBO], "tester")


async def test_changes_made_at_once_are_made_one_after_the_other(desk: Desk, overrides: Overrides) -> None:
    names = [f"combo-{number}" for number in range(8)]
    changes = [Change(section="combos", name=name, document={"targets": ["sim/echo"]}) for name in names]
    await asyncio.gather(*(overrides.change([change], "tester") for change in changes))

    assert 8 == overrides.revision
    assert set(names) <= overrides.overridden("combos")
    assert [200] * 8 == [await answers(desk, name) for name in names]


async def test_the_audit_log_says_who_changed_what(desk: Desk, overrides: Overrides) -> None:
    await overrides.change(
        [COMBO], "tester", action="combo.created", details={"api_key": SECRET, "note": f"x {SECRET}"}
    )
    found = await SqlAudit(desk.built.parts.database).find(AuditQuestion(action="combo"))

    assert 1 == found.total
    entry = found.entries[0]
    assert ("combo.created", "tester", "combos.best", "combos") == (
        entry.action, entry.actor, entry.target, entry.resource_type,
    )  # fmt: skip
    assert {"revision": 1, "build": overrides.effective.artefact.build, "api_key": "…", "note": "x …"} == entry.details


async def test_the_audit_log_says_who_tried(desk: Desk, overrides: Overrides) -> None:
    change = Change(section="combos", name="bad", document={"targets": ["sim/nix"]})
    with pytest.raises(Refused):
        await overrides.change([change], "tester")
    (entry,) = (await SqlAudit(desk.built.parts.database).find(AuditQuestion(status="refused"))).entries

    assert ("configuration.changed", "combos.bad", {"codes": ["unknown-model"]}) == (
        entry.action, entry.target, entry.details,
    )  # fmt: skip


async def test_lines_to_a_provider_are_let_go_when_its_credential_or_address_is_another(
    desk: Desk, overrides: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    retired: list[str] = []
    monkeypatch.setattr(desk.built.parts.upstream, "retire", retired.append)
    await overrides.change([provider(SECRET)], "tester")
    await overrides.change([COMBO], "tester")
    await overrides.change([provider(SECRET)], "tester")
    assert ["dark/main"] == retired[:1] or [] == retired
    retired.clear()

    await overrides.change([provider(SECRET + "-2")], "tester")
    assert ["own/main"] == retired
    moved = provider(SECRET + "-2")
    assert isinstance(moved.document, dict)
    moved.document["base_url"] = "https://other.test/v1"
    await overrides.change([moved], "tester")
    assert ["own/main"] * 2 == retired
    await overrides.change([Change(section="providers", name="own")], "tester")
    assert ["own/main"] * 3 == retired


async def test_another_process_change_is_followed(desk: Desk, overrides: Overrides, tmp_path: Path) -> None:
    other = Desk(tmp_path)
    async with other.app.lifespan():
        await other.built.overrides.change([COMBO], "elsewhere")
    async with asyncio.timeout(20):
        while 200 != await answers(desk, "best"):
            await asyncio.sleep(0.01)

    assert 1 == overrides.revision


def provider(key: str) -> Change:
    return Change(
        section="providers",
        name="own",
        document={
            "base_url": "https://own.test/v1",
            "surfaces": {"openai_chat": {}},
            "connections": [{"id": "main", "key": key}],
            "models": {"a": {}},
        },
    )


async def test_a_secret_is_sealed_used_and_nowhere_in_the_clear(
    desk: Desk, overrides: Overrides, tmp_path: Path
) -> None:
    await overrides.change([provider(SECRET)], "tester")

    assert SECRET == overrides.effective.secrets.connections["own/main"]
    stored = await overrides.stored()
    assert 1 == len(stored.secrets)
    assert f"stored:{stored.secrets[0].id}" in str(stored.overrides[0].document)
    assert SECRET not in json.dumps(overrides.config)
    assert SECRET not in repr(stored) + repr(overrides.effective)
    await desk.built.parts.database.aclose()
    dump = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert SECRET.encode() not in dump


async def test_a_secret_that_nothing_refers_to_is_forgotten(overrides: Overrides) -> None:
    await overrides.change([provider(SECRET)], "tester")
    await overrides.change([provider(SECRET + "-2")], "tester")
    assert [1, 1] == [len((await overrides.stored()).secrets), len((await overrides.stored()).overrides)]

    await overrides.change([Change(section="providers", name="own")], "tester")
    assert () == (await overrides.stored()).secrets


async def test_a_secret_that_is_given_again_changes_nothing(overrides: Overrides) -> None:
    await overrides.change([provider(SECRET)], "tester")
    before = await overrides.stored()

    assert 1 == await overrides.change([provider(SECRET)], "tester")
    assert before == await overrides.stored()


async def test_a_refused_secret_is_in_no_complaint(overrides: Overrides) -> None:
    change = provider(SECRET)
    document = change.document
    assert isinstance(document, dict)
    document["surfaces"] = {"openai_chatt": {}}
    with pytest.raises(Refused) as refused:
        await overrides.change([change], "tester")

    assert SECRET not in repr(refused.value.faults) + str(refused.value)
    assert () == (await overrides.stored()).secrets


async def test_what_is_read_only_is_not_changed(tmp_path: Path) -> None:
    config = CONFIG.replace("scopes: [view]", "scopes: [admin]") + "server: {management: read_only}\n"
    desk, admin = Desk(tmp_path, config), "gw-viewer"
    async with desk.app.lifespan():
        with pytest.raises(PermissionDenied, match="read_only"):
            await desk.built.overrides.change([COMBO], "tester")
        refused = [
            await desk.call(method, path, body, key=admin, headers={"content-type": "application/json"})
            for method, path, body in (
                ("POST", "/api/combos", {"name": "best", "models": ["sim/echo"]}),
                ("DELETE", "/api/combos/best", None),
                ("POST", "/api/keys", {"name": "x"}),
                ("PATCH", "/api/resilience", {"retries": {"per_target": 1}}),
                ("PUT", "/api/settings/require-login", {"requireLogin": False}),
            )
        ]
        assert [403] * 5 == [each.status for each in refused]
        assert all(b"read_only" in each.body for each in refused)
        assert 200 == (await desk.call("GET", "/api/combos", key=admin)).status
        assert 200 == (await desk.call("POST", "/api/resilience/reset", key=admin)).status
        assert 200 == (await desk.call("POST", "/api/keys/limited/revoke", key=admin)).status
    await NotedDatabase.close_all()


async def test_a_stream_goes_on_with_the_plan_it_began_with(desk: Desk, overrides: Overrides) -> None:
    body = {"model": "quick", "stream": True, "messages": [{"role": "user", "content": "w " * 400}]}
    before = await build_id(desk)
    stream = asyncio.create_task(desk.call("POST", "/v1/chat/completions", body))
    await asyncio.sleep(0)
    await overrides.change([Change(section="aliases", name="quick", document=REMOVED)], "tester")
    answer = await stream

    assert 200 == answer.status
    assert answer.body.endswith(b"data: [DONE]\n\n")
    assert before == answer.headers["x-gatewright-build"]
    assert 404 == await answers(desk, "quick")


async def test_what_served_a_plan_goes_with_it(desk: Desk, overrides: Overrides) -> None:
    await desk.call("GET", "/health", key="gw-viewer")  # by now all routes are registered
    before = gateways()
    for number in range(3):
        await answers(desk, "quick")
        await overrides.change([msgspec.structs.replace(COMBO, name=f"best-{number}")], "tester")
        await answers(desk, f"best-{number}")

    assert gateways() <= before


def gateways() -> int:
    """How many are held in this process, by whatever test."""
    gc.collect()
    return sum(isinstance(each, Gateway) for each in gc.get_objects())


async def test_health_outlives_a_swap_but_not_a_new_credential(desk: Desk, overrides: Overrides) -> None:
    health = desk.built.parts.attempts.health
    await overrides.change([provider(SECRET)], "tester")
    ticket = health.enter("own/a", "own/main")
    assert ticket is not None
    ticket.end(UpstreamAuthFailed("no"))
    assert health.hindrance("own/a", "own/main") is not None

    await overrides.change([COMBO], "tester")
    assert health.hindrance("own/a", "own/main") is not None

    await overrides.change([provider(SECRET + "-2")], "tester")
    assert health.hindrance("own/a", "own/main") is None


async def test_while_the_store_is_away_nothing_is_changed_and_all_is_served(
    desk: Desk, overrides: Overrides, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object) -> None:
        raise StoreError("gone")

    before = await build_id(desk)
    for method in ("all", "change", "revision"):
        with monkeypatch.context() as patched:
            patched.setattr(SqlOverrides, method, gone)
            if method == "revision":
                await overrides.catch_up()
            else:
                with pytest.raises(RouteUnavailable):
                    await overrides.change([COMBO], "tester")
            assert 200 == await answers(desk, "quick")
    assert before == await build_id(desk)
    assert 1 == await overrides.change([COMBO], "tester")


async def test_changes_are_followed_on_after_a_fault_that_nobody_foresaw(
    desk: Desk, overrides: Overrides, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where no thread can be started at the moment: the worker would serve the old configuration for good."""
    looked = asyncio.Event()

    async def fail(*_: object) -> int:
        looked.set()
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(SqlOverrides, "revision", fail)
        async with asyncio.timeout(20):
            await looked.wait()
    other = Desk(tmp_path)
    async with other.app.lifespan():
        await other.built.overrides.change([COMBO], "elsewhere")
    async with asyncio.timeout(20):
        while 200 != await answers(desk, "best"):
            await asyncio.sleep(0.01)


async def test_what_another_build_may_serve_and_this_one_not_is_said_and_not_served(
    desk: Desk, overrides: Overrides
) -> None:
    """As while machines are replaced one by one: the store has a change that needs another gateway.yaml."""
    foreign = StoredOverride(section="combos", name="far", document='{"targets": ["newer"]}', author="x", changed_s=1.0)
    store = desk.built.parts.overrides
    await store.change(OverrideChange(put=(foreign,)), 0, [])
    with pytest.raises(Refused):
        await overrides.refresh()
    await overrides.refresh()  # once is enough

    health = await desk.json("GET", "/health", key="gw-viewer")
    assert [False] == [check["ok"] for check in health["checks"] if check["name"] == "configuration"]
    assert 200 == await answers(desk, "quick")

    await store.change(OverrideChange(taken=(("combos", "far"),)), 1, [])
    await overrides.refresh()
    health = await desk.json("GET", "/health", key="gw-viewer")
    assert [True] == [check["ok"] for check in health["checks"] if check["name"] == "configuration"]


async def test_secrets_of_another_store_key_keep_a_change_from_being_made(desk: Desk, overrides: Overrides) -> None:
    other = Vault(lambda: StoreKey("another machine's"), (), os.urandom).seal(SECRET, 1.0)
    await desk.built.parts.overrides.change(OverrideChange(secrets=(other,)), 0, [])

    with pytest.raises(RouteUnavailable, match="GATEWRIGHT_STORE_KEY"):
        await overrides.change([COMBO], "tester")
    assert () == (await overrides.stored()).overrides


async def test_requests_under_way_and_answers_kept_outlive_a_swap(tmp_path: Path) -> None:
    """An idempotency key is joined across the change, and a place that a call holds is given back."""
    desk = Desk(tmp_path, CONFIG.replace("connections: [{id: sim}]", "connections: [{id: sim, max_in_flight: 1}]"))
    async with desk.app.lifespan():
        body = {"model": "sim/slow", "messages": [{"role": "user", "content": "w w"}]}
        twice = {"idempotency-key": "once"}
        first = asyncio.create_task(desk.call("POST", "/v1/chat/completions", body, headers=twice))
        await asyncio.sleep(0.05)
        await desk.built.overrides.change([COMBO], "tester")
        second = await desk.call("POST", "/v1/chat/completions", body, headers=twice)
        assert (await first).body == second.body
        assert "true" == second.headers["x-omniroute-idempotent"]
        assert 200 == await answers(desk, "quick")
    await NotedDatabase.close_all()


async def test_a_connection_may_be_given_more_places_while_calls_wait(tmp_path: Path) -> None:
    desk = Desk(tmp_path, CONFIG.replace("connections: [{id: sim}]", "connections: [{id: sim, max_in_flight: 1}]"))
    async with desk.app.lifespan():
        body = {"model": "sim/slow", "messages": [{"role": "user", "content": "w " * 5}]}
        slow = asyncio.create_task(desk.call("POST", "/v1/chat/completions", body))
        await asyncio.sleep(0.05)
        waits = asyncio.create_task(answers(desk, "quick"))
        await asyncio.sleep(0.05)
        assert not waits.done()
        more = {"connections": [{"id": "sim", "max_in_flight": 2}]}
        await desk.built.overrides.change([Change(section="providers", name="sim", document=more)], "tester")
        assert 200 == await waits
        assert not slow.done()
        slow.cancel()
    await NotedDatabase.close_all()
