"""`gatewright explain` prints where a name leads and which lines say so."""

import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run


def test_the_chain_is_shown_with_its_positions(run: Run, root: Path) -> None:
    ran = run("explain", "hello", "--root", root)

    assert 0 == ran.code
    assert "1. sim/echo" in ran.out
    assert "hello (gateway.yaml:5:3)" in ran.out


def test_an_unknown_name_is_a_fault_with_a_suggestion(run: Run, root: Path) -> None:
    ran = run("explain", "hullo", "--root", root)

    assert 1 == ran.code
    assert "did you mean 'hello'?" in ran.out


def test_another_endpoint_is_refused_as_a_request_would_be(run: Run, root: Path) -> None:
    ran = run("explain", "hello", "--endpoint", "embeddings", "--root", root, "--json")

    assert 1 == ran.code
    assert json.loads(ran.out)["problem"]


def test_json_holds_the_targets_in_order(run: Run, root: Path) -> None:
    facts = json.loads(run("explain", "hello", "--json", "--root", root).out)

    assert ["sim/echo"] == [target["model"] for target in facts["targets"]]
    assert "sim/echo" == facts["chosen"]


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("${TEAM_KEY}", "${TEAM_KEY} holds a line break or another character that no header can carry"),
        ("${NO_KEY}", "${NO_KEY} is not set"),
        ("file:no-key", "file:no-key cannot be read"),
        ("${GOOD_KEY}", "${GOOD_KEY} is set"),
    ],
)
def test_a_secret_that_cannot_be_used_is_said_to_be_what_it_is(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch, key: str, reason: str
) -> None:
    (root / "gateway.yaml").write_text(
        "version: 1\ndiscovery: {providers: none}\n"
        f'providers: {{openai: {{models: {{own: {{}}}}, connections: [{{id: team, key: "{key}"}}]}}}}\n'
    )
    monkeypatch.setenv("TEAM_KEY", "sk-secret\nsecond line")
    monkeypatch.setenv("GOOD_KEY", "sk-secret")
    ran = run("explain", "openai/own", "--root", root)

    assert f"openai/team (gateway.yaml:3:55): {reason}\n" in ran.out
    assert "sk-secret" not in ran.out


def test_without_a_name_all_names_are_listed_with_where_they_are_written(run: Run, root: Path) -> None:
    (root / "gateway.yaml").write_text(
        "version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\n"
        'aliases: {hello: sim/echo, "s-*": "sim/*"}\ncombos: {both: {targets: [sim/echo, sim/slow]}}\n'
    )
    ran = run("explain", "--root", root)
    facts = json.loads(run("explain", "--json", "--root", root).out)

    assert 0 == ran.code
    assert [
        "hello (alias) gateway.yaml:4:11",
        "both (combo) gateway.yaml:5:10",
        "s-* (pattern) gateway.yaml:4:28",
        "sim/echo (model) gateway.yaml:3:13",
    ] == ran.out.splitlines()[:4]
    assert {"name": "hello", "kind": "alias", "written": "gateway.yaml:4:11"} == facts[0]


def test_two_questions_at_once_are_a_fault(run: Run, root: Path) -> None:
    ran = run("explain", "hello", "--request", "r", "--root", root)

    assert (1, "gatewright: give one of NAME, --request and --inputs\n") == (ran.code, ran.err)


def test_a_decision_as_a_tenant_is_told_it_has_no_orders_to_be_made_again(run: Run, root: Path) -> None:
    head = {"id": "d", "request_id": "r", "build": "b", "at": 1.0, "key": "k", "company_id": "acme"}
    told = {**head, "operation": "chat", "protocol": "openai_chat", "outcome": "ok", "reasons": []}
    (root / "decision.json").write_text(json.dumps(told))
    ran = run("explain", "--inputs", root / "decision.json", "--root", root)

    assert 1 == ran.code
    assert "holds no inputs: they are told to keys of the operator's tenant only" in ran.err
