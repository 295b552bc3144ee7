"""Ids of calls: no two are the same, and none says how many there were."""

from __future__ import annotations

import itertools
import os

from runtime.accounting.call_id import DRAWN, call_ids


def test_an_id_is_the_workers_name_and_what_was_drawn() -> None:
    drawn = iter([bytes(range(256)) * 8, b"\xff" * 8 * DRAWN])
    asked: list[int] = []

    def random(size: int) -> bytes:
        asked.append(size)
        return next(drawn)

    ids = call_ids("w", random)
    first = [next(ids) for _ in range(DRAWN)]
    assert ["w-0001020304050607", "w-08090a0b0c0d0e0f"] == first[:2]
    assert "w-f8f9fafbfcfdfeff" == first[-1]
    assert [8 * DRAWN] == asked, "all of them were drawn at once"
    assert "w-ffffffffffffffff" == next(ids)


def test_ids_are_told_apart() -> None:
    assert 3000 == len(set(itertools.islice(call_ids("w", os.urandom), 3000)))
