"""Secrets the gateway keeps: made once, readable by nobody else, never replaced."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.config.keyfile import kept_secret, pepper
from runtime.errors import ConfigError


def test_secret_is_made_once_with_mode_0600(tmp_path: Path) -> None:
    made = iter(["first", "second"])
    path = tmp_path / "data" / "dev-key"

    assert kept_secret(path, lambda: next(made)) == "first"
    assert kept_secret(path, lambda: next(made)) == "first"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [path] == list(path.parent.iterdir())


def test_drafts_that_were_left_are_in_nobodys_way(tmp_path: Path) -> None:
    for process in (1, os.getpid()):
        (tmp_path / f".pepper.{process}").touch()

    assert kept_secret(tmp_path / "pepper", lambda: "made") == "made"


def test_a_secret_is_on_the_disk_before_anybody_is_told_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, synced = tmp_path / "pepper", list[tuple[bool, str]]()

    def fsync(descriptor: int) -> None:
        at = Path(f"/proc/self/fd/{descriptor}").readlink()
        synced.append((path.exists(), "directory" if at.is_dir() else at.read_text(encoding="ascii")))

    monkeypatch.setattr(os, "fsync", fsync)
    kept_secret(path, lambda: "made")

    assert synced == [(False, "made\n"), (True, "directory")]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_secret_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "dev-key"
    path.write_text("known")
    path.chmod(mode)

    with pytest.raises(ConfigError, match="chmod 600"):
        kept_secret(path, lambda: "new")


def test_empty_secret_is_refused_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "dev-key"
    path.touch(mode=0o600)

    with pytest.raises(ConfigError, match="is empty"):
        kept_secret(path, lambda: "new")


def test_secret_in_a_place_that_cannot_be_written_says_which(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.touch()

    with pytest.raises(ConfigError, match="file/dev-key"):
        kept_secret(blocker / "dev-key", lambda: "new")


def test_pepper_of_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    kept = pepper(tmp_path, lambda _: None)

    assert kept == pepper(tmp_path, lambda _: None)
    assert pepper(tmp_path, lambda _: "from the environment") == b"from the environment"


def test_a_damaged_secret_is_refused_not_replaced(tmp_path: Path) -> None:
    path = tmp_path / "pepper"
    path.write_bytes(b"\xff\xfe0123")
    path.chmod(0o600)

    with pytest.raises(ConfigError, match="pepper is damaged: it holds more than ASCII"):
        kept_secret(path, lambda: "new")
