"""A journal holds whole entries only, goes on in new files, and is an orphan exactly when its worker is dead."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.accounting.journal import JOURNAL, LOCK, Journal, journal_files

PRICED = ("v", b"[prices]")


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / JOURNAL, "w1", 1 << 20, rotate_bytes=100)


def test_nothing_is_made_before_the_first_entry(journal: Journal) -> None:
    assert not journal.directory.parent.exists()
    journal.open("a", b"x", None)
    assert [LOCK, "00000001.log"] == sorted((each.name for each in journal.directory.iterdir()), reverse=True)
    assert {0o600} == {each.stat().st_mode & 0o777 for each in journal.directory.iterdir()}


def test_a_new_file_begins_with_the_prices_and_what_is_open(journal: Journal) -> None:
    journal.open("a", b"[open a]", PRICED)
    journal.open("a", b"[open a again]", None)
    journal.open("b", b"[open b]", None)
    journal.settle("b", b"[settled b]".ljust(100, b"."))
    journal.open("c", b"[open c]", None)

    first, second = journal_files(journal.directory)
    assert first.read_bytes().startswith(b"[prices][open a][open a again][open b][settled b]")
    assert b"[prices][open a][open a again][open c]" == second.read_bytes()
    assert journal.knows("v")
    assert journal.waiting_bytes == len(first.read_bytes()) + len(second.read_bytes())


@pytest.mark.parametrize("short", [0, 3])
def test_a_write_that_fails_leaves_nothing_behind(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, short: int
) -> None:
    journal.open("a", b"[open a]", None)
    write = os.write

    def full(file: int, data: bytes) -> int:
        if not short:
            raise OSError(errno.ENOSPC, "full")
        return write(file, data[:short])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match=r"full|space"):
        journal.open("b", b"[open b]", PRICED)
    monkeypatch.undo()
    assert not journal.knows("v")
    journal.settle("a", b"[settled a]")

    assert b"[open a][settled a]" == journal_files(journal.directory)[0].read_bytes()


def test_a_disk_without_room_for_a_new_file_is_no_reason_to_leave_the_old_one(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal.open("a", b"a".ljust(100, b"."), None)
    monkeypatch.setattr(os, "open", _refuse)
    journal.settle("a", b"[settled a]")

    (only,) = journal_files(journal.directory)
    assert only.read_bytes().endswith(b"[settled a]")


def _refuse(*_: object) -> int:
    raise OSError(errno.ENOSPC, "full")


def test_a_journal_with_nothing_left_goes_with_its_worker(journal: Journal) -> None:
    journal.open("a", b"x", None)
    journal.settle("a", b"y")
    journal.drained(2)

    assert journal.close()
    assert not journal.directory.exists()


@pytest.mark.parametrize("drained", [1, 2])
def test_a_journal_in_which_something_waits_stays(journal: Journal, drained: int) -> None:
    journal.open("a", b"x", None)
    if drained == 1:
        journal.settle("a", b"y")
    journal.drained(drained)

    assert not journal.close()
    assert len(journal_files(journal.directory)) == 1


_LIMITED = """
import resource, sys
from pathlib import Path
from runtime.accounting.journal import JOURNAL, Journal
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
journal = Journal(Path(sys.argv[1]) / JOURNAL, "w1", 1 << 20)
refused = 0
for number in range(200):
    try:
        journal.settle("a", b"[%05d]" % number)
    except OSError:
        refused += 1
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
journal.settle("a", b"[again]")
print(refused)
"""


def test_fault_29_where_there_is_no_more_room_nothing_is_half_written(tmp_path: Path) -> None:
    """The system's own refusal, which comes after a part of the entry was written."""
    ran = subprocess.run(
        [sys.executable, "-c", _LIMITED, str(tmp_path)], capture_output=True, text=True, check=True, cwd=os.curdir
    )

    entries = b"".join(b"[%05d]" % number for number in range(1000 // 7))
    assert entries + b"[again]" == (tmp_path / JOURNAL / "w1" / "00000001.log").read_bytes()
    assert 200 - 1000 // 7 == int(ran.stdout)
