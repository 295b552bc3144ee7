"""`gatewright explain` prints where a name leads and which lines say so."""

import json
from pathlib import Path

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
