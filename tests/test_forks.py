"""`pytest --forks`: what tests come to is the same as in one process, and nothing that goes wrong in a fork is lost."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
CONFTEST = """
import pytest
from tests.support.forks import Forks

def pytest_configure(config):
    config.pluginmanager.register(Forks(2))
"""
MIXED = """
import pytest

def test_good(): pass
def test_bad():
    print("shown because it failed")
    assert 1 == 2
@pytest.fixture
def broken(): raise OSError("in a fixture")
def test_error(broken): pass
def test_skip(): pytest.skip("no reason")
@pytest.mark.xfail
def test_xfail(): assert False
"""
DIES = """
import os

def test_before(): pass
def test_dies(): os._exit(7)
def test_behind(): pass
"""
LOGS = """
import os, pytest
from pathlib import Path

@pytest.fixture(scope="module")
def made():
    with Path(__file__).with_suffix(".log").open("a") as log:
        print("made", os.getpid(), file=log, flush=True)
        yield
        print("ended", os.getpid(), file=log, flush=True)

@pytest.mark.parametrize("n", range(5))
def test_it(made, n): pass

def test_folder(tmp_path): (tmp_path.parent / f"pid-{os.getpid()}").touch()
"""


class Run(NamedTuple):
    """``numbers`` are the numbers of its last line, by what they count; ``said`` is all that it wrote."""

    folder: Path
    code: int
    numbers: Mapping[str, int]
    said: str


def _run(folder: Path, *options: str, conftest: str = "", **files: str) -> Run:
    (folder / "conftest.py").write_text(CONFTEST + conftest)
    (folder / "pytest.ini").write_text("[pytest]\n")
    for name, text in files.items():
        (folder / f"test_{name}.py").write_text(text)
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--rootdir", folder, "--basetemp", folder / "base", *options, folder],
        cwd=ROOT,
        env=os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    last = ended.stdout.splitlines()[-1]
    numbers = {word: int(number) for number, word in re.findall(r"(\d+) ([a-z]+)", last)}
    return Run(folder, ended.returncode, numbers, ended.stdout + ended.stderr)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Of more files than there are forks."""
    return _run(tmp_path_factory.mktemp("forks"), mixed=MIXED, dies=DIES, a=LOGS, b=LOGS, c=LOGS)


def test_no_test_is_lost_and_each_outcome_is_told(whole: Run) -> None:
    assert whole.code == 1
    assert whole.numbers == {"passed": 21, "failed": 1, "errors": 2, "skipped": 1, "xfailed": 1}


@pytest.mark.parametrize("text", ["assert 1 == 2", "shown because it failed", "in a fixture"])
def test_what_failed_is_told_with_its_text(whole: Run, text: str) -> None:
    assert text in whole.said


def test_a_fork_that_dies_fails_its_test_alone(whole: Run) -> None:
    assert re.findall(r"ERROR .*test_dies\.py::(\w+)", whole.said) == ["test_dies"]
    assert "the fork of this test ended with 7" in whole.said


@pytest.mark.parametrize("name", ["a", "b", "c"])
def test_a_file_is_one_process_and_its_fixtures_are_made_and_ended_once(whole: Run, name: str) -> None:
    words = (whole.folder / f"test_{name}.log").read_text().split()

    assert words[::2] == ["made", "ended"]
    assert len({*words[1::2]}) == 1


def test_forks_share_no_folder(whole: Run) -> None:
    found = [path.parent.name for path in (whole.folder / "base").glob("*/pid-*")]

    assert found
    assert len({*found}) == len(found)
    assert all(name.startswith("fork-") for name in found)


def test_what_a_fixture_of_the_session_fails_with_at_its_end_fails_the_run(tmp_path: Path) -> None:
    fixture = """
@pytest.fixture(scope="session", autouse=True)
def whole():
    yield
    raise OSError("at the very end")
"""
    run = _run(tmp_path, conftest=fixture, a="def test_one(): pass")

    assert (run.code, run.numbers) == (1, {"passed": 1, "error": 1})
    assert "at the very end" in run.said


def test_the_run_stops_at_the_first_failure_when_told_to(tmp_path: Path) -> None:
    run = _run(tmp_path, "-x", a="def test_a(): assert 0\ndef test_b(): assert 0\n", b="def test_c(): pass")

    assert (run.code, run.numbers["failed"]) == (1, 1)
