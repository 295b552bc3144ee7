"""`gatewright diff` compares what was built, what the sources say, other places and other revisions."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.cli.conftest import SOUND, Run

CHANGED = SOUND.replace("hello: sim/echo", "hello: sim/tools\n  hi: sim/echo")


@pytest.fixture
def built(run: Run, root: Path) -> Path:
    assert 0 == run("build", "--root", root).code
    return root


def test_no_change_is_the_same(run: Run, built: Path) -> None:
    ran = run("diff", "--root", built)

    assert 0 == ran.code
    assert "no difference" in ran.out


def test_an_edit_is_shown_by_what_callers_will_notice_before_it_is_built(run: Run, built: Path) -> None:
    (built / "gateway.yaml").write_text(CHANGED)
    ran = run("diff", "--root", built)

    assert 2 == ran.code
    assert "+ routes.hi" in ran.out
    assert "hello: targets: sim/echo over sim/default → sim/tools over sim/default" in ran.out


def test_json_names_both_builds(run: Run, built: Path) -> None:
    (built / "gateway.yaml").write_text(CHANGED)
    facts = json.loads(run("diff", "--root", built, "--json").out)

    assert {"old", "new", "changes", "behaviour", "access"} == set(facts)
    assert facts["old"] != facts["new"]


def test_two_builds_are_compared_by_directory_and_by_file(
    run: Run, built: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "gateway.yaml").write_text(CHANGED)
    run("build", "--root", other)

    by_directory = run("diff", built, other)
    assert 2 == by_directory.code
    assert by_directory == run("diff", built / "generated/plan.json", other / "generated/plan.json")
    assert 0 == run("diff", built, built).code


def test_a_revision_is_compared_with_the_sources(run: Run, built: Path) -> None:
    def git(*args: str) -> None:
        identity = ["-c", "user.name=Test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *identity, *args], cwd=built, check=True, capture_output=True)

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    (built / "gateway.yaml").write_text(CHANGED)
    run("build", "--root", built)

    assert 2 == run("diff", "HEAD", "--root", built).code
    assert 0 == run("diff", "--root", built).code


@pytest.mark.parametrize("name", ["no-such-thing", "--output=x"])
def test_what_is_neither_path_nor_revision_is_a_fault(run: Run, built: Path, name: str) -> None:
    assert 1 == run("diff", "--root", built, "--", name).code


def test_a_file_that_is_no_plan_is_a_fault(run: Run, built: Path) -> None:
    ran = run("diff", built / "gateway.yaml", "--root", built)

    assert 1 == ran.code
    assert "is not a plan" in ran.err


def test_faulty_sources_are_a_fault_and_are_explained(run: Run, built: Path) -> None:
    (built / "gateway.yaml").write_text(SOUND + "servr: {}\n")
    ran = run("diff", "--root", built)

    assert 1 == ran.code
    assert "error[unknown-field]" in ran.err


def test_without_a_build_there_is_nothing_to_compare_with(run: Run, root: Path) -> None:
    ran = run("diff", "--root", root)

    assert 1 == ran.code
    assert "gatewright build" in ran.err
