"""What stands where a file of the configuration should: said by every command, waited for by none."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime.cli.watch import snapshot
from runtime.config.files import read_sources, unread_names
from tests.cli.conftest import Run


def pipe(path: Path) -> None:
    os.mkfifo(path)


def to_nowhere(path: Path) -> None:
    path.symlink_to("nowhere")


def to_itself(path: Path) -> None:
    path.symlink_to(path.name)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "directory": (Path.mkdir, "{name} is a directory; a file is to stand there"),
    "pipe": (pipe, "{name} is a pipe; a file is to stand there"),
    "dangling": (to_nowhere, "{name}, a link to nowhere, cannot be read: No such file or directory"),
    "loop": (to_itself, "{name}, a link to {last}, cannot be read: Too many levels of symbolic links"),
}
COMMANDS = (("check",), ("build",), ("build", "--check"), ("explain",), ("explain", "hello"), ("export",))


@pytest.mark.parametrize("name", ["gateway.yaml", "gateway.d/part.yaml"])
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_what_is_no_file_is_said_to_be_none(
    run: Run, root: Path, command: tuple[str, ...], odd: str, name: str
) -> None:
    make, told = ODD[odd]
    (root / "gateway.d").mkdir()
    (root / name).unlink(missing_ok=True)
    make(root / name)
    ran = run(*command, "--root", root)

    assert 1 == ran.code
    assert f"gatewright: {told.format(name=name, last=Path(name).name)}\n" in ran.err


@pytest.mark.parametrize("odd", ["directory", "pipe"])
@pytest.mark.parametrize("name", ["gateway.yaml", "gateway.lock", "generated/plan.json"])
def test_a_server_waits_for_no_pipe(run: Run, root: Path, odd: str, name: str) -> None:
    assert 0 == run("build", "--root", root).code
    (root / name).unlink()
    make, told = ODD[odd]
    make(root / name)
    ran = run("serve", "--port", "0", "--root", root)

    assert (1, f"gatewright: {told.format(name=name)}\n") == (ran.code, ran.err)


def test_a_secret_is_waited_for_in_no_pipe(run: Run, root: Path) -> None:
    pipe(root / "secret")
    with (root / "gateway.yaml").open("a") as file:
        file.write('keys: {k: {key: "file:secret", scopes: [chat]}}\n')
    ran = run("check", "--secrets", "--root", root)

    assert "the file behind file:secret cannot be read" in ran.err + ran.out
    assert 0 == run("build", "--root", root).code
    served = run("serve", "--port", "0", "--root", root)
    assert (1, "gatewright: secrets are missing: file:secret cannot be read (keys.k)\n") == (served.code, served.err)


def test_parts_are_a_directory(run: Run, root: Path) -> None:
    (root / "gateway.d").write_text("version: 1\n")
    ran = run("check", "--root", root)

    assert 1 == ran.code
    assert "gateway.d is no directory" in ran.err


@pytest.mark.parametrize("beside", [".#part.yaml", "._part.yaml"])
def test_what_an_editor_puts_beside_a_part_is_no_part(root: Path, beside: str) -> None:
    (root / "gateway.d").mkdir()
    (root / "gateway.d/part.yaml").write_text("version: 1\n")
    to_nowhere(root / "gateway.d" / beside)

    assert ["gateway.yaml", "gateway.d/part.yaml"] == [source.path for source in read_sources(root)]
    assert () == unread_names(root)


def test_a_file_that_goes_while_it_is_looked_at_is_not_there(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor takes the old file away before it puts the new one in its place."""
    real = Path.stat

    def stat(path: Path, *, follow_symlinks: bool = True) -> os.stat_result:
        found = real(path, follow_symlinks=follow_symlinks)
        if path.name == "gateway.yaml":
            path.unlink()
        return found

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", stat)
        seen = snapshot(root)

    assert [root / "gateway.yaml"] == list(seen)
    assert {} == snapshot(root)
