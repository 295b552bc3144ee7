"""What the store said of keys is read as it was written, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from runtime.stores.heard import HeardKeys
from runtime.stores.keys import KeySet, StoredKey
from runtime.window import Limit

FOUND = KeySet(
    revision=3,
    keys=(
        StoredKey(id="k", name="k", prefix="gw-", hash="ab", scopes=("chat",), created_s=1.5),
        StoredKey(
            id="l", name="l", prefix="gw-", hash="cd", scopes=("chat",), created_s=2,
            limits=(Limit(of="usd", amount=5, calendar="day"),),
        ),
    ),
    revoked={"ef": 7.0},
)  # fmt: skip


def test_what_was_written_is_read(tmp_path: Path) -> None:
    heard = HeardKeys(tmp_path / "known", b"p" * 32)
    assert heard.read() is None
    heard.keep(KeySet(revision=1, keys=(), revoked={}))
    heard.keep(FOUND)

    assert FOUND == heard.read()
    assert ["known"] == [each.name for each in tmp_path.iterdir()]
    assert 0o600 == (tmp_path / "known").stat().st_mode & 0o777


def test_a_file_that_is_cut_or_changed_anywhere_is_none(tmp_path: Path) -> None:
    path = tmp_path / "known"
    HeardKeys(path, b"p" * 32).keep(FOUND)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at])
        assert HeardKeys(path, b"p" * 32).read() is None, at
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        assert HeardKeys(path, b"p" * 32).read() is None, at


def test_what_was_heard_with_another_pepper_is_none(tmp_path: Path) -> None:
    HeardKeys(tmp_path / "known", b"p" * 32).keep(FOUND)

    assert HeardKeys(tmp_path / "known", b"q" * 32).read() is None


def test_the_same_is_not_written_again(tmp_path: Path) -> None:
    heard = HeardKeys(tmp_path / "known", b"p" * 32)
    heard.keep(FOUND)
    before = (tmp_path / "known").stat().st_ino
    heard.keep(FOUND)

    assert before == (tmp_path / "known").stat().st_ino


def test_where_it_cannot_be_written_nothing_older_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard = HeardKeys(tmp_path / "known", b"p" * 32)
    heard.keep(KeySet(revision=1, keys=(), revoked={}))

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        heard.keep(FOUND)
    assert [] == list(tmp_path.iterdir())
    assert heard.read() is None
