"""What the store of client keys does, over each database."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import update

from runtime.stores.base import StoreError
from runtime.stores.database import Database
from runtime.stores.keys import KeyChange, SqlKeys, StoredKey
from runtime.stores.tables import keys
from runtime.window import Limit

KEY = StoredKey(
    id="key_1", name="ci", prefix="gw-abcd", hash="0" * 64, scopes=("chat",), models=("fast", "a/*"), created_s=5.0
)


@pytest.fixture
def store(database: Database) -> SqlKeys:
    return SqlKeys(database)


async def test_what_was_added_is_there(store: SqlKeys) -> None:
    await store.add(KEY)

    assert KEY == await store.get("key_1")
    assert (KEY,) == (await store.all()).keys


async def test_an_unknown_key_is_none_everywhere(store: SqlKeys) -> None:
    assert await store.get("none") is None
    assert await store.change("none", lambda _: KeyChange(name="x")) is None
    assert await store.revoke("none", 1.0) is None
    assert not await store.delete("none")


async def test_only_what_is_given_is_changed(store: SqlKeys) -> None:
    await store.add(KEY)

    changed = await store.change("key_1", lambda _: KeyChange(name="other", expires_s=9.0, active=False, models=()))
    assert changed == msgspec.structs.replace(KEY, name="other", expires_s=9.0, active=False, models=())
    again = await store.change("key_1", lambda _: KeyChange(expires_s=None))
    assert again == msgspec.structs.replace(KEY, name="other", active=False, models=())


async def test_two_changes_at_once_both_happen(store: SqlKeys) -> None:
    await store.add(KEY)
    added = (Limit(of="requests", amount=10, length_ms=60_000), Limit(of="usd", amount=5, calendar="day"))

    await asyncio.gather(*(
        store.change("key_1", lambda before, one=one: KeyChange(limits=(*before.limits, one))) for one in added
    ))  # fmt: skip
    kept = await store.get("key_1")
    assert kept is not None
    assert set(added) == set(kept.limits)


async def test_a_change_that_is_refused_leaves_all_as_it_was(store: SqlKeys) -> None:
    await store.add(KEY)

    def refuse(_: StoredKey) -> KeyChange:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await store.change("key_1", refuse)
    assert (await store.get("key_1"), await store.revision()) == (KEY, 1)


async def test_a_key_stays_revoked_since_the_first_time(store: SqlKeys) -> None:
    await store.add(KEY)
    await store.revoke("key_1", 7.0)

    revoked = await store.revoke("key_1", 8.0)
    assert revoked is not None
    assert revoked.revoked_s == 7.0
    assert not revoked.good(7.0)
    assert await store.revoke_configured("ci", "f" * 64, 3.0) == 3.0
    assert await store.revoke_configured("ci", "f" * 64, 4.0) == 3.0
    assert (await store.all()).revoked == {"f" * 64: 3.0}


async def test_a_key_that_was_revoked_stays_so_when_it_is_deleted(store: SqlKeys) -> None:
    await store.add(KEY)
    await store.revoke("key_1", 7.0)
    assert {KEY.hash: 7.0} == (await store.all()).ended
    assert await store.delete("key_1")
    assert {KEY.hash: 7.0} == (await store.all()).ended

    await store.add(msgspec.structs.replace(KEY, id="key_2", hash="1" * 64))
    assert await store.delete("key_2")
    assert "1" * 64 not in (await store.all()).ended


async def test_a_key_that_cannot_be_read_takes_no_other_with_it(store: SqlKeys, database: Database) -> None:
    await store.add(KEY)
    await store.add(msgspec.structs.replace(KEY, id="key_2", hash="1" * 64))
    newer = update(keys).where(keys.c.id == "key_1").values(limits=b'[{"of":"hops","amount":1}]')
    await database.write(lambda db: db.execute(newer))

    found = await store.all()
    assert (("key_1",), ["key_2"]) == (found.unread, [key.id for key in found.keys])
    with pytest.raises(StoreError, match="key_1"):
        await store.get("key_1")


async def test_calls_have_their_turn_while_many_keys_are_read(store: SqlKeys, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten thousand at once would stop every stream of every worker for half a second, at each change of one of them."""
    for number in range(40):
        await store.add(msgspec.structs.replace(KEY, id=f"key_{number}", hash=f"{number:064}"))
    read, most = 0, 0

    async def calls() -> None:
        nonlocal read
        while True:
            read = 0
            await asyncio.sleep(0)

    def noted(**fields: Any) -> StoredKey:
        nonlocal read, most
        read += 1
        most = max(most, read)
        return StoredKey(**fields)

    monkeypatch.setattr("runtime.stores.keys.AT_ONCE", 10)
    monkeypatch.setattr("runtime.stores.keys.StoredKey", noted)
    beside = asyncio.create_task(calls())
    try:
        assert 40 == len((await store.all()).keys)
    finally:
        beside.cancel()

    assert 0 < most <= 10


async def test_every_change_counts_and_no_use_does(store: SqlKeys) -> None:
    seen = [await store.revision()]
    await store.add(KEY)
    seen.append(await store.revision())
    await store.change("key_1", lambda _: KeyChange(name="b"))
    seen.append(await store.revision())
    await store.revoke("key_1", 1.0)
    seen.append(await store.revision())
    await store.revoke_configured("ci", "f" * 64, 1.0)
    seen.append(await store.revision())
    await store.delete("key_1")
    seen.append(await store.revision())
    await store.used({"key_1": 1.0})

    assert seen == [0, 1, 2, 3, 4, 5]
    assert await store.revision() == 5
    assert (await store.all()).revision == 5


async def test_the_latest_use_stands(store: SqlKeys) -> None:
    await store.add(KEY)
    await store.used({"key_1": 9.0, "gone": 1.0})
    await store.used({"key_1": 8.0})

    kept = await store.get("key_1")
    assert kept is not None
    assert kept.last_used_s == 9.0


async def test_two_keys_have_two_hashes(store: SqlKeys) -> None:
    await store.add(KEY)

    with pytest.raises(StoreError):
        await store.add(msgspec.structs.replace(KEY, id="key_2"))
    assert await store.revision() == 1


def test_a_key_is_good_until_it_expires() -> None:
    assert KEY.good(1e12)
    assert msgspec.structs.replace(KEY, expires_s=10.0).good(9.9)
    assert not msgspec.structs.replace(KEY, expires_s=10.0).good(10.0)
    assert not msgspec.structs.replace(KEY, active=False).good(1.0)
    assert KEY.hash not in repr(KEY)


# -- pages


def made(number: int, tenant: str = "default", created_s: float | None = None) -> StoredKey:
    at_s = 5.0 + number if created_s is None else created_s
    return msgspec.structs.replace(KEY, id=f"key_{number}", hash=f"{number:064x}", tenant=tenant, created_s=at_s)


async def paged(store: SqlKeys, tenant: str | None, limit: int) -> list[str]:
    """The ids of all pages."""
    seen: list[str] = []
    after: tuple[float, str] | None = None
    while True:
        page = await store.page(tenant, limit=limit, after=after)
        assert len(page.keys) <= limit
        seen += [key.id for key in page.keys]
        after = page.after
        assert page.more == (after is not None)
        if after is None:
            return seen


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 8])
async def test_pages_hold_every_key_once_the_oldest_first(store: SqlKeys, limit: int) -> None:
    """Also those that were made at the same moment."""
    for number in (3, 1, 2):
        await store.add(made(number, created_s=9.0))
    for number in (7, 5, 6, 4):
        await store.add(made(number, "other" if number == 5 else "default"))

    everybody = [f"key_{number}" for number in (1, 2, 3, 4, 5, 6, 7)]
    assert everybody == await paged(store, None, limit)
    assert [id_ for id_ in everybody if id_ != "key_5"] == await paged(store, "default", limit)
    assert ["key_5"] == await paged(store, "other", limit)
    assert [7, 6, 1, 0] == [(await store.page(who, limit=1)).total for who in (None, "default", "other", "nobody")]


async def test_a_key_that_comes_or_goes_between_two_pages_moves_no_other(store: SqlKeys) -> None:
    for number in (1, 2, 3, 4):
        await store.add(made(number))
    first = await store.page(None, limit=2)
    await store.delete("key_2")  # behind which the next page begins
    await store.add(made(0))
    await store.add(made(5))

    rest = await store.page(None, limit=9, after=first.after)
    assert ["key_3", "key_4", "key_5"] == [key.id for key in rest.keys]


async def test_a_page_without_room_says_whether_there_is_anything(store: SqlKeys) -> None:
    empty = await store.page(None, limit=0)
    await store.add(KEY)
    full = await store.page(None, limit=0)

    assert [(False, 0), (True, 1)] == [(page.more, page.total) for page in (empty, full)]
    assert [()] * 2 == [empty.keys, full.keys]


async def test_a_key_that_cannot_be_read_does_not_end_the_pages(store: SqlKeys, database: Database) -> None:
    for number in (1, 2, 3):
        await store.add(made(number))
    newer = update(keys).where(keys.c.id == "key_2").values(scopes=b"{")
    await database.write(lambda db: db.execute(newer))

    assert ["key_1", "key_3"] == await paged(store, None, 1)


async def test_which_of_some_keys_are_revoked_for_good_is_told(store: SqlKeys) -> None:
    await store.add(made(1))
    await store.add(made(2))
    await store.revoke("key_1", 7.0)
    await store.revoke_configured("ci", "f" * 64, 8.0)

    asked = [f"{1:064x}", f"{2:064x}", "f" * 64, "e" * 64]
    assert {asked[0]: 7.0, asked[2]: 8.0} == await store.ended(asked)
    assert {} == await store.ended([])
    assert {asked[2]: 8.0} == await store.ended([asked[2]])
