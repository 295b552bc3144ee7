"""Which backups are kept: what was just made always, whatever the clock says."""

from __future__ import annotations

from pathlib import Path

from runtime.services.backup_files import BackupFiles

NOON_S = 1_796_000_000.0


class Clock:
    def __init__(self) -> None:
        self.at_s = NOON_S

    def __call__(self) -> float:
        return self.at_s


def made(files: BackupFiles) -> Path:
    path = files.named("manual")
    path.touch()
    return path


def test_what_was_just_made_is_kept_though_the_clock_was_set_back(tmp_path: Path) -> None:
    clock, numbers = Clock(), iter(range(10))
    files = BackupFiles(tmp_path, clock, lambda many: next(numbers).to_bytes(many, "big"))
    ahead = [made(files) for _ in range(2)]
    clock.at_s -= 86_400
    new = made(files)

    assert [ahead[0].name] == files.prune(2, None, new)
    assert {new.name, ahead[1].name} == {each.name for each in files.listed()}
    assert [ahead[1].name] == files.prune(1, None, new)


def test_of_two_of_one_second_the_one_that_was_just_made_is_kept(tmp_path: Path) -> None:
    numbers = iter((9, 1))
    files = BackupFiles(tmp_path, Clock(), lambda many: next(numbers).to_bytes(many, "big"))
    earlier, new = made(files), made(files)

    assert [earlier.name] == files.prune(1, None, new)
    assert [new.name] == [each.name for each in files.listed()]


def test_of_the_others_those_go_that_are_too_many_or_too_old(tmp_path: Path) -> None:
    clock, numbers = Clock(), iter(range(10))
    files = BackupFiles(tmp_path, clock, lambda many: next(numbers).to_bytes(many, "big"))
    paths: list[Path] = []
    for _ in range(4):
        paths.append(made(files))
        clock.at_s += 100

    assert [paths[0].name] == files.prune(10, NOON_S + 50, paths[-1])
    assert [paths[1].name] == files.prune(2, None)
    assert [paths[2].name] == files.prune(2, clock.at_s), "the newest stays, however old"
