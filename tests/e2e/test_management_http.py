"""Management over a real server: who may, what is answered, and that what is refused changes nothing."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gateway import Running, gateway, run_cli
from tests.support.vendor import KEY, Vendor, vendor

CONFIG = """version: 1
discovery: {{providers: environment}}
keys:
  boss: {{key: "${{BOSS}}", scopes: [admin]}}
  one: {{key: "${{ONE}}", scopes: [chat, view]}}
  two: {{key: "${{TWO}}", scopes: [chat, view]}}
  blind: {{key: "${{BLIND}}", scopes: [chat]}}
providers:
  failing:
    base_url: {url}/v1
    surfaces: {{openai_chat: {{}}}}
    connections: [{{id: main, key: "${{VENDOR_KEY}}", max_in_flight: 4}}]
    models: {{fault-500: {{}}, fault-429: {{}}, plain: {{}}}}
  sim: {{}}
combos:
  smart:
    strategy: weighted
    targets:
      - {{model: failing/fault-500, weight: 1000000}}
      - {{model: sim/echo, weight: 1}}
      - {{model: failing/plain, when: {{needs: [vision]}}}}
      - openai/gpt-5.6
aliases: {{quick: smart}}
retries: {{per_target: 1, backoff: 1ms}}
breakers: {{minimum_calls: 3}}
cache: {{exact: {{models: [sim/*], temperature: any}}}}
"""

KEYS = {"BOSS": "boss-key", "ONE": "key-one", "TWO": "key-two", "BLIND": "key-blind"}


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Running, Vendor]]:
    with vendor("openai_chat") as fake:
        config = CONFIG.format(url=fake.url)
        with gateway(tmp_path_factory.mktemp("management"), config, {"VENDOR_KEY": KEY, **KEYS}) as served:
            yield served, fake


@pytest.fixture
def served(running: tuple[Running, Vendor]) -> Running:
    call(running[0], "POST", "/api/resilience/reset", "BOSS")
    call(running[0], "PUT", "/api/resilience", "BOSS", {})
    return running[0]


def call(
    running: Running,
    method: str,
    path: str,
    key: str | None,
    body: object = None,
    headers: dict[str, str] | None = None,
) -> tuple[int, dict[str, str], Any]:
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    head = {"content-type": "application/json", **(headers or {})}
    head |= {"authorization": f"Bearer {KEYS.get(key, key)}"} if key else {}
    request = urllib.request.Request(running.url + path, data, head, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            found, status, raw = response.headers, response.status, response.read()
    except urllib.error.HTTPError as error:
        found, status, raw = error.headers, error.code, error.read()
    return status, {name.lower(): value for name, value in found.items()}, json.loads(raw)


def chat(running: Running, model: str, key: str = "ONE", **headers: str) -> tuple[int, dict[str, str], Any]:
    body = {"model": model, "messages": [{"role": "user", "content": "a secret prompt"}]}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return call(running, "POST", "/v1/chat/completions", key, body, named)


OPERATIONS = [
    ("GET", "/api/explain/some", "view", None),
    ("GET", "/api/models/availability", "view", None),
    ("POST", "/api/models/availability", "view", {"model": "smart"}),
    ("GET", "/api/resilience", "view", None),
    ("PATCH", "/api/resilience", "admin", {"breakers": {"error_percent": 1}}),
    ("PUT", "/api/resilience", "admin", {"breakers": {"error_percent": 1}}),
    ("POST", "/api/resilience/reset", "admin", None),
    ("GET", "/api/rate-limits", "view", None),
    ("GET", "/api/rate-limit", "view", None),
    ("GET", "/api/sessions", "view", None),
    ("GET", "/api/telemetry/summary", "view", None),
    ("GET", "/api/cache", "view", None),
    ("GET", "/api/cache/stats", "view", None),
    ("DELETE", "/api/cache", "admin", None),
    ("DELETE", "/api/cache/stats", "admin", None),
]


@pytest.mark.parametrize(("method", "path", "scope", "body"), OPERATIONS)
def test_only_who_may_is_answered(served: Running, method: str, path: str, scope: str, body: object) -> None:
    before = call(served, "GET", "/api/resilience", "BOSS")[2]
    refused = [call(served, method, path, key, body) for key in (None, "BLIND", *(["ONE"] if scope == "admin" else []))]

    assert [401, 403, *([403] if scope == "admin" else [])] == [status for status, _, _ in refused]
    assert {"application/problem+json"} == {headers["content-type"] for _, headers, _ in refused}
    assert before["breakers"] == call(served, "GET", "/api/resilience", "BOSS")[2]["breakers"]


def test_a_key_sees_its_own_decisions_and_the_admin_all(served: Running) -> None:
    _, headers, _ = chat(served, "quick", "ONE", x_request_id="mine")
    id_ = headers["x-gatewright-decision"]

    answers = {key: call(served, "GET", f"/api/explain/{id_}", key) for key in ("ONE", "TWO", "BOSS")}
    assert {"ONE": 200, "TWO": 404, "BOSS": 200} == {key: status for key, (status, _, _) in answers.items()}
    assert answers["ONE"][2] == answers["BOSS"][2]
    assert 404 == call(served, "GET", "/api/explain/mine", "TWO")[0]
    assert id_ == call(served, "GET", "/api/explain/mine", "ONE")[2]["id"]


def test_the_reasons_say_which_line_which_figure_and_what_happened(served: Running) -> None:
    status, headers, _ = chat(served, "quick")
    told = call(served, "GET", f"/api/explain/{headers['x-gatewright-decision']}", "ONE")[2]

    assert (200, "ok", "sim/echo", "one") == (status, told["outcome"], told["served"], told["key"])
    kinds = [reason["kind"] for reason in told["reasons"]]
    assert [
        "resolve",
        "resolve",
        "left_out",
        "left_out",
        "order",
        "attempt",
        "retry",
        "attempt",
        "attempt",
        "served",
    ] == kinds
    texts = [reason["text"] for reason in told["reasons"]]
    assert "quick is an alias of smart" == texts[0]
    assert "gateway.yaml:23:11" == told["reasons"][0]["written"]
    assert "the connection is dark: ${OPENAI_API_KEY} is not set" == texts[2]
    assert texts[3].startswith("only when it needs vision")
    order = told["reasons"][4]
    assert ["failing/fault-500", "sim/echo"] == [choice["name"] for choice in order["choices"]]
    assert [1000000, 1] == [choice["weight"] for choice in order["choices"]]
    assert "gateway.yaml:19:9" == order["choices"][0]["written"]
    steps = {kind: [r.get("written") for r in told["reasons"] if r["kind"] == kind] for kind in set(kinds)}
    assert ["gateway.yaml:19:9", "gateway.yaml:19:9", "gateway.yaml:20:9"] == steps["attempt"]
    assert ["gateway.yaml:20:9"] == steps["served"]
    assert None not in steps["retry"] + steps["left_out"]
    assert "secret prompt" not in json.dumps(told)


def test_errors_carry_the_id_too_and_can_be_explained(served: Running) -> None:
    status, headers, _ = chat(served, "nonsense")
    told = call(served, "GET", f"/api/explain/{headers['x-gatewright-decision']}", "ONE")[2]

    assert (404, "error", "model_not_found", 404) == (status, told["outcome"], told["error"], told["status"])
    assert any("'nonsense'" in reason["text"] for reason in told["reasons"])
    assert "x-gatewright-decision" not in chat(served, "quick", "wrong")[1]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/chat/completions", {"stream": True, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/messages", {"max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/responses", {"input": "hi"}),
        ("/v1beta/models/sim/echo:generateContent", {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        ("/api/chat", {"messages": [{"role": "user", "content": "hi"}]}),
        ("/v1/chat/completions", {"messages": 7}),
    ],
)
def test_every_dialect_says_the_id_whole_or_streamed_or_refused(
    served: Running, path: str, body: dict[str, Any]
) -> None:
    data = json.dumps({"model": "sim/echo", **body}).encode()
    head = {"authorization": f"Bearer {KEYS['ONE']}", "content-type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(served.url + path, data, head), timeout=30) as response:
            response.read()
            id_ = response.headers["x-gatewright-decision"]
    except urllib.error.HTTPError as error:
        id_ = error.headers["x-gatewright-decision"]
    told = call(served, "GET", f"/api/explain/{id_}", "ONE")[2]
    assert (id_, "refused" if body.get("messages") == 7 else "served") == (told["id"], told["reasons"][-1]["kind"])


def test_the_command_line_asks_the_server_and_makes_the_order_anew(served: Running, tmp_path: Path) -> None:
    _, headers, _ = chat(served, "smart")
    id_, env = headers["x-gatewright-decision"], {"GATEWRIGHT_KEY": KEYS["ONE"], "VENDOR_KEY": KEY, **KEYS}

    shown = run_cli("explain", "--request", id_, "--url", served.url, root=served.root, env=env)
    as_json = run_cli("explain", "--request", id_, "--url", served.url, "--json", root=served.root, env=env)
    (tmp_path / "decision.json").write_text(as_json.stdout)
    again = run_cli("explain", "--inputs", str(tmp_path / "decision.json"), root=served.root, env=env)

    assert (0, 0, 0) == (shown.returncode, as_json.returncode, again.returncode), shown.stderr + again.stderr
    assert "[order] the targets of smart by weighted" in shown.stdout
    assert "combos.smart by weighted: failing/fault-500, sim/echo: the same again\n" == again.stdout

    changed = json.loads(as_json.stdout)
    changed["inputs"]["orderings"][0]["order"].reverse()
    (tmp_path / "decision.json").write_text(json.dumps(changed))
    differs = run_cli("explain", "--inputs", str(tmp_path / "decision.json"), root=served.root, env=env)
    assert (2, True) == (differs.returncode, "differs" in differs.stdout)
    changed["inputs"]["orderings"][0]["order"] = [7, 0]
    (tmp_path / "decision.json").write_text(json.dumps(changed))
    nothing = run_cli("explain", "--inputs", str(tmp_path / "decision.json"), root=served.root, env=env)
    assert (1, "") == (nothing.returncode, nothing.stdout)
    assert "this is no decision: inputs.orderings[0].order[0]: none of the choices has the key 7" in nothing.stderr

    for arguments, mark in (
        (("--request", "none", "--url", served.url), "answered 404"),
        (("--request", id_, "--url", "http://127.0.0.1:9"), "no gateway answers"),
        (("--request", id_, "--url", served.url, "--key", "wrong"), "answered 401"),
        (("--request", id_, "--url", "file:///etc/passwd"), "no address of a gateway"),
        (("quick", "--request", id_), "give one of NAME"),
    ):
        refused = run_cli("explain", *arguments, root=served.root, env=env)
        assert (1, True) == (refused.returncode, mark in refused.stderr), refused.stderr


def test_what_rests_is_not_available_and_a_reset_ends_it(served: Running) -> None:
    chat(served, "failing/fault-429")  # waits as it is asked to, and is refused again
    for _ in range(3):
        chat(served, "failing/fault-500")
    listed = {each["model"]: each for each in call(served, "GET", "/api/models/availability", "ONE")[2]["models"]}
    state = call(served, "GET", "/api/resilience", "ONE")[2]
    one = call(served, "POST", "/api/models/availability", "ONE", {"model": "quick"})[2]

    assert (False, "circuit_open") == (listed["failing/fault-500"]["available"], listed["failing/fault-500"]["reason"])
    assert listed["failing/fault-500"]["until"] > 1_700_000_000
    assert (False, "rate_limit") == (listed["failing/fault-429"]["available"], listed["failing/fault-429"]["reason"])
    assert listed["smart"]["available"]
    assert {"open"} == {each["state"] for each in state["circuits"] if each["model"] == "failing/fault-500"}
    assert [("failing/main", "failing/fault-429", "rate_limit")] == [
        (each["connection"], each["model"], each["kind"]) for each in state["resting"]
    ]
    targets = {each["model"]: (each["available"], each.get("reason")) for each in one["targets"]}
    assert {
        "failing/fault-500": (False, "circuit_open"), "sim/echo": (True, None), "failing/plain": (True, None),
        "openai/gpt-5.6": (False, "dark"),
    } == targets  # fmt: skip

    reset = call(served, "POST", "/api/resilience/reset", "BOSS")[2]
    assert (True, 1, 1) == (reset["ok"], reset["reset_count"], reset["cooldowns"])
    after = {each["model"]: each for each in call(served, "GET", "/api/models/availability", "ONE")[2]["models"]}
    assert after["failing/fault-500"]["available"]
    assert after["failing/fault-429"]["available"]


def test_an_unknown_model_is_no_model(served: Running) -> None:
    status, _, told = call(served, "POST", "/api/models/availability", "ONE", {"model": "smrt"})
    assert (404, True) == (status, "did you mean 'smart'?" in told["detail"])
    assert 400 == call(served, "POST", "/api/models/availability", "ONE", {"name": "smart"})[0]


def test_settings_change_while_it_runs(served: Running) -> None:
    change = {
        "breakers": {"error_percent": 90, "window": "10s"},
        "timeouts": {"queue": "2s"},
        "retries": {"per_target": 0},
    }
    status, _, told = call(served, "PATCH", "/api/resilience", "BOSS", change)
    assert 200 == status, told
    again = call(served, "PATCH", "/api/resilience", "BOSS", {"breakers": {"minimum_calls": 7}})[2]
    _, headers, _ = chat(served, "smart")
    reasons = call(served, "GET", f"/api/explain/{headers['x-gatewright-decision']}", "BOSS")[2]["reasons"]
    put = call(served, "PUT", "/api/resilience", "BOSS", {"cooldowns": {"quota": "1m"}})[2]

    assert (200, 90, "10s", "2s", 3) == (
        status, told["breakers"]["error_percent"], told["breakers"]["window"], told["timeouts"]["queue"],
        told["breakers"]["minimum_calls"],
    )  # fmt: skip
    expected = [
        "breakers.error_percent",
        "breakers.minimum_calls",
        "breakers.window",
        "retries.per_target",
        "timeouts.queue",
    ]
    assert expected == sorted(again["changed"])
    assert "until it is changed again" == again["lasts"]
    assert "retry" not in [reason["kind"] for reason in reasons]
    assert ["cooldowns.quota"] == put["changed"]


@pytest.mark.parametrize(
    ("body", "param", "told"),
    [
        ({"breakers": {"error_percent": 101}}, "breakers.error_percent", "100"),
        ({"breakers": {"error_percnt": 50}}, "breakers.error_percnt", "did you mean 'error_percent'?"),
        ({"breakers": {"window": 30}}, "breakers.window", "30 has no unit"),
        ({"retries": {"per_target": "many"}}, "retries.per_target", "whole number"),
        ({"retries": [1]}, "retries", "expected an object, found an array"),
        ({"breakers": None}, "breakers", "expected an object, found null"),
        ({"foo": 1}, "foo", "expected an object"),
        ({"retries": {"backoff": "1m"}}, "retries.backoff", "longer than max_backoff (5s)"),
        ({"breakers": {"max_open_for": "1s"}}, "breakers.max_open_for", "open_for (5s) is longer"),
        ({"timeouts": {"total": "1s"}}, "timeouts.total", "total"),
        ({"cooldowns": {"max": "1s"}, "breakers": {"mode": "shut"}}, "breakers.mode", "open"),
        ({"breaker": {}}, "breaker", "did you mean 'breakers'?"),
        ({"server": {"port": 1}, "breakers": {"window": "10s"}}, "server", "known here: breakers, cooldowns"),
        ({"breakers": {"window": [1]}}, "breakers.window", "expected a whole number or a text, found an array"),
        (b'{"breakers": {"window": "1s", "window": "2s"}}', "breakers.window", "written twice"),
        (b"", None, "needs a body"),
        (b"{", None, ""),
        (b"[]", None, "expected an object, found an array"),
    ],
)
def test_a_bad_setting_is_refused_with_its_path_and_changes_nothing(
    served: Running, body: object, param: str | None, told: str
) -> None:
    before = call(served, "GET", "/api/resilience", "BOSS")[2]
    assert 400 == call(served, "PUT", "/api/resilience", "BOSS", body)[0]
    status, headers, problem = call(served, "PATCH", "/api/resilience", "BOSS", body)

    assert (400, "application/problem+json") == (status, headers["content-type"])
    assert (param, True) == (problem.get("param"), told in problem["detail"]), problem
    after = call(served, "GET", "/api/resilience", "BOSS")[2]
    assert {name: before[name] for name in ("breakers", "cooldowns", "retries", "timeouts", "changed")} == {
        name: after[name] for name in ("breakers", "cooldowns", "retries", "timeouts", "changed")
    }


def test_connections_with_their_places_and_limits(served: Running) -> None:
    told = call(served, "GET", "/api/rate-limits", "ONE")[2]
    configured = call(served, "GET", "/api/rate-limit", "ONE")[2]

    found = {each["connection"]: each for each in told["connections"]}
    assert {"failing/main", "sim/default"} == found.keys()
    assert (4, 0, 0, True) == tuple(
        found["failing/main"][name] for name in ("max_in_flight", "running", "queued", "active")
    )
    assert [{"connection": "failing/main", "max_in_flight": 4, "limits": []}] == configured["connections"]


def test_the_summary_counts_by_provider_and_model(served: Running) -> None:
    before = call(served, "GET", "/api/telemetry/summary", "ONE")[2]["providers"].get("sim", {"count": 0})["count"]
    for _ in range(5):
        chat(served, "sim/echo", x_gatewright_no_cache="true", x_omniroute_no_cache="true")
    told = call(served, "GET", "/api/telemetry/summary?window_ms=60000", "ONE")[2]

    assert before + 5 == told["providers"]["sim"]["count"] == told["models"]["sim/echo"]["count"]
    assert 0 < told["models"]["sim/echo"]["p50"] <= told["models"]["sim/echo"]["p99"]
    assert (60000, 1, 1) == (told["window_ms"], told["workers"], told["heard"])
    assert 400 == call(served, "GET", "/api/telemetry/summary?window_ms=1", "ONE")[0]


def test_the_caches_are_told_and_emptied(served: Running) -> None:
    call(served, "DELETE", "/api/cache", "BOSS")
    before = call(served, "GET", "/api/cache", "ONE")[2]["exactCache"]
    for _ in range(3):
        chat(served, "sim/echo")
    told = call(served, "GET", "/api/cache/stats", "ONE")[2]

    assert (0, 1) == (before["memorySize"], told["exactCache"]["memorySize"])
    assert (2, 1) == tuple(told["exactCache"][name] - before[name] for name in ("hits", "misses"))
    assert "semanticCache" not in told
    assert {"activeKeys": 0, "windowMs": 5000} == told["idempotency"]
    other = call(served, "DELETE", "/api/cache?model=smart", "BOSS")[2]
    status, _, nobody = call(served, "DELETE", "/api/cache?model=sim/ehco", "BOSS")
    assert (404, "model_not_found", True) == (status, nobody["kind"], "did you mean 'sim/echo'?" in nobody["detail"])
    cleared = call(served, "DELETE", "/api/cache/stats", "BOSS")[2]
    assert ((True, 0), (True, 1)) == tuple((each["success"], each["entries"]) for each in (other, cleared))
    assert 0 == call(served, "GET", "/api/cache", "ONE")[2]["exactCache"]["memorySize"]


def test_a_question_of_availability_has_no_other_fields(served: Running) -> None:
    status, headers, told = call(
        served, "POST", "/api/models/availability", "ONE", {"model": "sim/echo", "modle": "sim/echo"}
    )

    assert (400, "application/problem+json", "modle") == (status, headers["content-type"], told["param"])


@pytest.mark.parametrize(
    "path",
    ["/api/explain/", "/api/explain", "/api/explain/a/b", "/api/keys/a/b", "/api/cache/all", "/api/unheard-of", "/api"],
)
def test_unknown_paths_of_the_management_are_refused_as_its_operations_are(served: Running, path: str) -> None:
    status, headers, told = call(served, "GET", path, "BOSS")

    assert (404, "application/problem+json", "not_found") == (status, headers["content-type"], told["kind"])
    assert {"error"} == call(served, "GET", "/api/pull", "BOSS")[2].keys(), "Ollama's clients read this"


def test_an_answer_from_the_cache_and_several_prompts_are_explained(served: Running) -> None:
    chat(served, "sim/echo")
    _, headers, _ = chat(served, "sim/echo")
    cached = call(served, "GET", f"/api/explain/{headers['x-gatewright-decision']}", "ONE")[2]
    body = {"model": "smart", "prompt": ["one", "two"]}
    _, headers, _ = call(served, "POST", "/v1/completions", "ONE", body)
    prompts = call(served, "GET", f"/api/explain/{headers['x-gatewright-decision']}", "ONE")[2]

    assert ["resolve", "served"] == [reason["kind"] for reason in cached["reasons"]]
    assert "from the cache" in cached["reasons"][-1]["text"]
    assert 2 == [reason["kind"] for reason in prompts["reasons"]].count("order")
    assert ("smart", "chat") == (prompts["inputs"]["name"], prompts["inputs"]["endpoint"])


def test_sessions_are_listed_for_their_key(served: Running) -> None:
    own = call(served, "GET", "/api/sessions", "TWO")[2]
    assert {"count", "sessions", "by_api_key"} == own.keys()
    assert set(own["by_api_key"]) <= {"two"}


def test_whichever_worker_is_asked(tmp_path: Path) -> None:
    """Two processes: what one decided the other explains, what one is told both do, and figures are of both."""
    config = CONFIG.format(url="http://127.0.0.1:9").replace("version: 1", "version: 1\nserver: {workers: 2}")
    with gateway(tmp_path, config, {"VENDOR_KEY": KEY, **KEYS}) as served:
        deadline = time.monotonic() + 60
        while call(served, "GET", "/api/resilience", "ONE")[2]["heard"] < 2:
            assert time.monotonic() < deadline, "the workers do not hear of each other"
        ids: list[str] = []
        while len({id_.partition("-")[0] for id_ in ids}) < 2:  # until both workers have served
            assert time.monotonic() < deadline, f"only one worker serves: {ids}"
            ids.append(chat(served, "smart")[1]["x-gatewright-decision"])
        for id_ in ids * 3:  # one that is busy may answer too late to be heard
            while call(served, "GET", f"/api/explain/{id_}", "ONE")[0] != 200:
                assert time.monotonic() < deadline, f"a worker cannot explain {id_}"
        while (summary := call(served, "GET", "/api/telemetry/summary", "ONE")[2])["heard"] < 2:
            assert time.monotonic() < deadline, summary
        call(served, "PATCH", "/api/resilience", "BOSS", {"retries": {"attempts": 3}})
        deadline = time.monotonic() + 60
        seen = 0
        while seen < 20:
            seen = (
                seen + 1 if call(served, "GET", "/api/resilience", "ONE")[2]["changed"] == ["retries.attempts"] else 0
            )
            assert time.monotonic() < deadline, "a worker does not know of the change"

    assert (len(ids), 2) == (summary["providers"]["sim"]["count"], summary["heard"])
