"""A start that finds something wrong: it refuses before the port opens, names the file, and changes nothing of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from runtime.cli.examination import examine
from runtime.errors import ConfigError
from runtime.server import prepare
from runtime.shared.sqlite import SHARED_FILE
from runtime.stores.database import DATABASE_FILE
from tests.support.database import prepared
from tests.test_server import built

CONFIG = """version: 1
discovery: {providers: none}
providers: {sim: {}}
server: {workers: 2}
keys: {ci: {key: "${GW_TEST_CLIENT_KEY}", scopes: [admin]}}
"""


class Fault(NamedTuple):
    """``spoil`` makes it, ``path`` is what must be named, ``doctor`` under which subject `gatewright doctor` tells of it."""

    spoil: Callable[[Path], None]
    path: str
    doctor: str | None


def _edit(name: str, before: bytes, after: bytes) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        data = (root / name).read_bytes()
        assert before in data
        (root / name).write_bytes(data.replace(before, after, 1))

    return spoil


def _write(name: str, data: bytes, mode: int = 0o600) -> Callable[[Path], None]:
    def spoil(root: Path) -> None:
        (root / name).unlink(missing_ok=True)
        (root / name).write_bytes(data)
        (root / name).chmod(mode)

    return spoil


def _remove(name: str) -> Callable[[Path], None]:
    return lambda root: (root / name).unlink()


def _cut_plan(root: Path) -> None:
    os.truncate(root / "generated/plan.json", 100)


def _cut_off(root: Path) -> None:
    """The second half of the database is lost."""
    path = root / "data" / DATABASE_FILE
    os.truncate(path, path.stat().st_size // 2)


FAULTS = {
    "plan tampered with": Fault(_edit("generated/plan.json", b"sim://", b"http://"), "generated/plan.json", "plan"),
    "plan cut off": Fault(_cut_plan, "generated/plan.json", "plan"),
    "no plan": Fault(_remove("generated/plan.json"), "generated/plan.json", "plan"),
    "of another version": Fault(_edit("gateway.lock", b'"compiler": "', b'"compiler": "9'), "gateway.lock", "plan"),
    "lock is no lock": Fault(_write("gateway.lock", b"{}"), "gateway.lock", "plan"),
    "no lock": Fault(_remove("gateway.lock"), "gateway.lock", "plan"),
    "source changed": Fault(_edit("gateway.yaml", b"workers: 2", b"workers: 3"), "gateway.yaml", "plan"),
    "pepper that others read": Fault(_write("data/pepper", b"p\n", 0o644), "data/pepper", "data"),
    "pepper empty": Fault(_write("data/pepper", b""), "data/pepper", "data"),
    "store is no database": Fault(_write(f"data/{DATABASE_FILE}", b"no database" * 1000), DATABASE_FILE, "store"),
    "store cut off": Fault(_cut_off, DATABASE_FILE, "store"),
    "state is no database": Fault(_write(f"data/{SHARED_FILE}", b"no database" * 1000), SHARED_FILE, "shared"),
}


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GW_TEST_CLIENT_KEY", "gw-client-key-for-a-test")
    prepared(tmp_path / "data")
    return built(tmp_path, CONFIG)


def files(root: Path) -> dict[str, bytes]:
    """What must be as it was: all but what SQLite lays beside its files."""
    return {
        path.relative_to(root).as_posix(): path.read_bytes()
        for path in root.rglob("*")
        if path.is_file() and not path.name.endswith(("-wal", "-shm")) and path.name != "pepper"
    }


@pytest.mark.parametrize("name", FAULTS)
def test_fault_38_a_start_refuses_what_is_bad_and_names_the_file(root: Path, name: str) -> None:
    fault = FAULTS[name]
    fault.spoil(root)
    before = files(root)
    with pytest.raises(ConfigError) as refused:
        prepare(root, host=None, port=0)

    assert fault.path in refused.value.message
    assert before == files(root)
    found = [each for each in examine(root, probe=False) if each.status == "fault"]
    assert any(fault.doctor == each.subject and fault.path in each.message for each in found), found


def test_fault_38_a_secret_that_is_missing_is_named(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GW_TEST_CLIENT_KEY")
    with pytest.raises(ConfigError, match=r"\$\{GW_TEST_CLIENT_KEY\}.*keys\.ci"):
        prepare(root, host=None, port=0)
    assert any("GW_TEST_CLIENT_KEY" in each.message for each in examine(root, probe=False) if each.status == "fault")
