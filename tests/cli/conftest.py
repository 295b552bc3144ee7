"""Run one command line in this process and look at what it said."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.cli import main

SOUND = """\
version: 1
providers:
  sim: {}
aliases:
  hello: sim/echo
"""


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``run("check", "--strict", stdin=b"…")`` answers with exit code, standard output and standard error."""

    def run_once(*args: str | Path, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = main([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return Ran(code, out, err)

    return run_once


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with a sound gateway.yaml and no schemas."""
    (tmp_path / "gateway.yaml").write_text(SOUND, "utf-8")
    return tmp_path
