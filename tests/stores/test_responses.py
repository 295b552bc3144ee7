"""What every store of responses does, run over each of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from runtime.stores.base import Item, Key, ResponseStore, Status, StoredResponse
from runtime.stores.database import Database, database_url
from runtime.stores.responses import SqlResponses
from tests.support.database import prepared
from tests.support.responses import MemoryResponses

GIB = 1 << 30


@pytest.fixture(params=["memory", "sqlite", "postgresql"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[ResponseStore]:
    if request.param == "memory":
        yield MemoryResponses()
        return
    url = None if request.param == "sqlite" else request.getfixturevalue("prepared_postgres_url")
    database = Database(prepared(tmp_path) if url is None else database_url(url, tmp_path))
    yield SqlResponses(database)
    await database.aclose()


def response(key: Key, status: Status = "completed", created_s: float = 100.0, body: bytes = b"{}") -> StoredResponse:
    return StoredResponse(owner=key[0], id=key[1], status=status, created_s=created_s, body=body, background=True)


def items(*names: str) -> list[Item]:
    return [Item(id=name, body=f'{{"text":"{name}"}}'.encode()) for name in names]


def ids(found: tuple[Item, ...] | None) -> list[str]:
    assert found is not None
    return [item.id for item in found]


A, B = ("anna", "resp_1"), ("ben", "resp_1")


async def test_what_was_put_is_got(store: ResponseStore) -> None:
    kept = response(A, body=b'{"id":"resp_1","text":"\xc3\xa9"}')
    await store.put(kept, items("q"), items("a"))

    assert kept == await store.get(A)


async def test_an_unknown_response_is_none_everywhere(store: ResponseStore) -> None:
    assert await store.get(A) is None
    assert await store.conversation(A) is None
    assert await store.context(A, limit=5, newest_first=True, after=None) is None
    assert await store.item("anna", "q") is None
    assert await store.set_status(A, "completed", b"") is False
    assert await store.delete(A) is False
    assert await store.renew([A], 5.0) == frozenset()


async def test_another_owners_response_does_not_exist(store: ResponseStore) -> None:
    await store.put(response(A, "queued"), items("q"), items("a"))

    assert await store.get(B) is None
    assert await store.conversation(B) is None
    assert await store.context(B, limit=5, newest_first=True, after=None) is None
    assert await store.item("ben", "q") is None
    assert await store.set_status(B, "completed", b"") is False
    assert await store.delete(B) is False
    assert await store.renew([B], 5.0) == frozenset()
    assert await store.get(A) is not None


async def test_two_owners_may_have_the_same_id(store: ResponseStore) -> None:
    await store.put(response(A, body=b"1"), items("q"), ())
    await store.put(response(B, body=b"2"), items("q"), ())
    await store.delete(A)

    kept = await store.get(B)
    assert kept is not None
    assert kept.body == b"2"
    assert await store.item("ben", "q") == items("q")[0]
    assert await store.item("anna", "q") is None


async def test_a_conversation_is_what_was_asked_and_then_what_was_answered_in_order(store: ResponseStore) -> None:
    await store.put(response(A), items("z", "y", "x"), items("c", "b"))

    assert ids(await store.conversation(A)) == ["z", "y", "x", "c", "b"]


async def test_putting_again_replaces(store: ResponseStore) -> None:
    await store.put(response(A, body=b"1"), items("old"), items("old-answer"))
    await store.put(response(A, body=b"2"), items("new"), ())

    kept = await store.get(A)
    assert kept is not None
    assert kept.body == b"2"
    assert ids(await store.conversation(A)) == ["new"]
    assert await store.item("anna", "old") is None


async def test_pages_go_both_ways_and_end(store: ResponseStore) -> None:
    await store.put(response(A), items("1", "2", "3", "4", "5"), items("answer"))

    for newest_first, expected in ((False, ["1", "2", "3", "4", "5"]), (True, ["5", "4", "3", "2", "1"])):
        seen: list[str] = []
        after = None
        for more in (True, True, False):
            page = await store.context(A, limit=2, newest_first=newest_first, after=after)
            assert page is not None
            assert page.more is more
            seen += ids(page.items)
            after = seen[-1]
        assert seen == expected


async def test_a_page_behind_an_item_that_is_not_there_is_a_lookup_error(store: ResponseStore) -> None:
    await store.put(response(A), items("1"), items("answer"))

    with pytest.raises(LookupError):
        await store.context(A, limit=2, newest_first=True, after="answer")


async def test_an_id_that_stands_twice_does_not_make_pages_go_in_circles(store: ResponseStore) -> None:
    await store.put(response(A), items("1", "same", "2", "same", "3"), ())

    for newest_first, last in ((False, "3"), (True, "1")):
        page = await store.context(A, limit=1, newest_first=newest_first, after="same")
        assert page is not None
        assert ids(page.items) == [last]


async def test_the_latest_item_of_an_id_is_found(store: ResponseStore) -> None:
    await store.put(response(A), [Item(id="q", body=b"1")], ())
    await store.put(response(("anna", "resp_2")), [Item(id="q", body=b"2")], ())

    assert await store.item("anna", "q") == Item(id="q", body=b"2")
    assert ids(await store.conversation(A)) == ["q"]


async def test_a_follow_up_outlives_what_it_follows(store: ResponseStore) -> None:
    await store.put(response(A), items("q1"), items("a1"))
    await store.put(response(("anna", "resp_2")), items("q1", "a1", "q2"), items("a2"))
    assert await store.delete(A) is True

    assert ids(await store.conversation(("anna", "resp_2"))) == ["q1", "a1", "q2", "a2"]
    assert await store.delete(("anna", "resp_2")) is True
    assert await store.item("anna", "q1") is None


async def test_the_first_end_of_a_running_response_stands(store: ResponseStore) -> None:
    await store.put(response(A, "queued"), items("q"), ())

    assert await store.set_status(A, "in_progress", b"1") is True
    assert await store.set_status(A, "cancelled", b"2") is True
    assert await store.set_status(A, "completed", b"3", items("a")) is False
    kept = await store.get(A)
    assert kept is not None
    assert (kept.status, kept.body) == ("cancelled", b"2")
    assert ids(await store.conversation(A)) == ["q"]


async def test_an_end_brings_the_output(store: ResponseStore) -> None:
    await store.put(response(A, "in_progress"), items("q"), ())
    await store.set_status(A, "completed", b"2", items("a", "b"))

    assert ids(await store.conversation(A)) == ["q", "a", "b"]


async def test_only_what_runs_renews_its_lease(store: ResponseStore) -> None:
    ended, gone = ("anna", "ended"), ("anna", "gone")
    await store.put(response(A, "in_progress"), (), ())
    await store.put(response(ended), (), ())

    assert await store.renew([A, ended, gone], 7.0) == frozenset({A})
    kept = await store.get(A)
    assert kept == msgspec.structs.replace(response(A, "in_progress"), lease_until_s=7.0)


async def test_old_responses_are_swept_and_running_ones_are_not(store: ResponseStore) -> None:
    keys = [("anna", f"resp_{number}") for number in range(250)]
    for number, key in enumerate(keys):
        await store.put(response(key, created_s=float(number)), items(f"q{number}"), ())
    await store.put(response(("anna", "run"), "in_progress", created_s=0.0), (), ())
    await store.put(response(("anna", "dead"), "in_progress", created_s=0.0), (), ())
    await store.renew([("anna", "run")], 241.0)
    await store.renew([("anna", "dead")], 239.0)

    assert await store.sweep(240.0, GIB) == 241
    assert await store.get(("anna", "dead")) is None
    assert [await store.get(key) is not None for key in keys] == [False] * 240 + [True] * 10
    assert await store.get(("anna", "run")) is not None
    assert await store.item("anna", "q1") is None


async def test_the_oldest_go_until_all_fits(store: ResponseStore) -> None:
    keys = [("anna", f"resp_{number}") for number in range(20)]
    for number, key in enumerate(keys):
        await store.put(response(key, created_s=float(number), body=b"x" * 100_000), (), ())

    swept = await store.sweep(0.0, 1_000_000)

    assert 10 <= swept <= 12
    assert [await store.get(key) is not None for key in keys] == [False] * swept + [True] * (20 - swept)
    assert await store.sweep(0.0, 1_000_000) == 0


@pytest.mark.parametrize("background", [False, True])
async def test_what_it_takes_that_each_of_a_long_conversation_lists_all_its_items_counts(
    store: ResponseStore, background: bool
) -> None:
    """7320 places of 240 small items."""
    listed: tuple[Item, ...] = ()
    for number in range(60):
        key, answer = ("anna", f"resp_{number}"), items(*(f"a{number}.{place}" for place in range(4)))
        one = response(key, "queued" if background else "completed", created_s=float(number))
        await store.put(one, listed, () if background else answer)
        if background:
            assert await store.set_status(key, "completed", b"{}", answer)
        listed += tuple(answer)

    assert 0 == await store.sweep(0.0, 450_000)
    assert 0 < await store.sweep(0.0, 300_000)
