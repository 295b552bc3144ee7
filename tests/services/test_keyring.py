"""A key that is not known is looked for once more, and however many are tried, the store is asked little."""

from __future__ import annotations

import asyncio
import time

import msgspec
import pytest

from runtime.errors import AuthenticationFailed, GatewayError, KeysUnavailable, PermissionDenied
from runtime.resilience import Door
from runtime.services.access import Access
from runtime.services.keyring import LOOK_S, UNSURE_S, GoodKeys
from runtime.stores.base import StoreError
from runtime.stores.keys import KeySet, StoredKey
from runtime.web.key import KeyEntry, KeyRecord, KeyRing, hash_key

PEPPER = b"p" * 32
NEW = "gw-made-a-moment-ago-elsewhere"


class Store:
    """Keys as another worker writes them; ``asked`` counts how often it was asked for its revision."""

    def __init__(self) -> None:
        self.keys: list[StoredKey] = []
        self.revoked: dict[str, float] = {}
        self.unread: tuple[str, ...] = ()
        self.asked = 0
        self.failing: type[Exception] | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    def make(self, plain: str) -> None:
        key = StoredKey(id=plain, name=plain, prefix=plain, hash=hash_key(PEPPER, plain), scopes=("chat",), created_s=0)
        self.keys.append(key)

    async def revision(self) -> int:
        self.asked += 1
        found = len(self.keys)
        await self.gate.wait()
        if self.failing:
            raise self.failing("gone")
        return found

    async def all(self) -> KeySet:
        return KeySet(revision=len(self.keys), keys=tuple(self.keys), revoked=self.revoked, unread=self.unread)


class Desk:
    def __init__(self) -> None:
        entry = KeyEntry(record=KeyRecord(id="ci", scopes=frozenset({"chat"})), form="plain", value="configured")
        ring = KeyRing(PEPPER, [entry])
        self.store = Store()
        self.access = Access(ring, time.time, required=True)
        self.door = Door()
        self.faults: list[Exception] = []
        self.good = GoodKeys(ring, self.store, self.access, self.door, self.said)  # type: ignore[arg-type]
        self.access.before_refusing(self.good.look_again)

    def said(self, error: Exception, _: str) -> None:
        self.faults.append(error)

    async def admits(self, plain: str) -> str | None:
        try:
            return (await self.access.admit({"x-api-key": plain}, {}, "chat")).id
        except AuthenticationFailed:
            return None

    async def told(self, plain: str) -> int:
        """The status that whoever presents this gets."""
        try:
            await self.access.admit({"x-api-key": plain}, {}, "chat")
        except GatewayError as error:
            return error.http_status
        return 200


@pytest.fixture
async def desk() -> Desk:
    desk = Desk()
    await desk.good.refresh()
    desk.store.asked = 0
    return desk


async def test_a_key_that_was_just_made_elsewhere_is_good_here_at_once(desk: Desk) -> None:
    desk.store.make("new")

    assert "new" == await desk.admits("new")


async def test_a_key_that_is_known_costs_no_look(desk: Desk) -> None:
    assert ["ci"] * 50 == [await desk.admits("configured") for _ in range(50)]
    assert 0 == desk.store.asked


async def test_wrong_keys_share_looks_and_a_new_key_among_them_is_found(desk: Desk) -> None:
    assert await desk.admits("wrong") is None
    flood = [asyncio.create_task(desk.admits(f"wrong-{number}")) for number in range(1000)]
    await asyncio.sleep(0)
    desk.store.make("new")

    assert "new" == await desk.admits("new")
    assert [None] * 1000 == await asyncio.gather(*flood)
    assert desk.store.asked <= 3


async def test_one_after_the_other_they_wait_for_their_turn(desk: Desk) -> None:
    began_s = time.monotonic()
    for number in range(4):
        assert await desk.admits(f"wrong-{number}") is None

    assert time.monotonic() - began_s >= 3 * LOOK_S * 0.99
    assert 4 == desk.store.asked


async def test_a_look_that_began_before_a_key_was_made_does_not_answer_for_it(desk: Desk) -> None:
    desk.store.gate.clear()
    early = asyncio.create_task(desk.admits("wrong"))
    while not desk.store.asked:
        await asyncio.sleep(0)
    desk.store.make("new")
    late = asyncio.create_task(desk.admits("new"))
    await asyncio.sleep(0)
    desk.store.gate.set()

    assert (None, "new") == (await early, await late)


async def test_what_is_no_key_is_refused_at_once_when_it_is_tried_again(desk: Desk) -> None:
    assert await desk.admits("wrong") is None
    asked, began_s = desk.store.asked, time.monotonic()

    assert [None] * 100 == [await desk.admits("wrong") for _ in range(100)]
    assert desk.store.asked == asked
    assert time.monotonic() - began_s < LOOK_S


async def test_what_is_no_key_waits_for_no_second_look_while_it_is_looked_for(desk: Desk) -> None:
    desk.store.gate.clear()
    first = asyncio.create_task(desk.admits("wrong"))
    while not desk.store.asked:
        await asyncio.sleep(0)
    others = [asyncio.create_task(desk.admits("wrong")) for _ in range(10)]
    await asyncio.sleep(0)
    desk.store.gate.set()

    assert [None] * 11 == await asyncio.gather(first, *others)
    assert 1 == desk.store.asked


async def test_a_key_that_is_good_again_while_it_is_looked_for_is_good(desk: Desk) -> None:
    desk.store.make("paused")
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], active=False)
    await desk.good.refresh()
    desk.store.asked = 0
    desk.store.gate.clear()
    early = asyncio.create_task(desk.admits("paused"))
    while not desk.store.asked:
        await asyncio.sleep(0)
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], active=True)
    desk.store.make("another")  # counts the revision up
    late = asyncio.create_task(desk.admits("paused"))
    await asyncio.sleep(0)
    desk.store.gate.set()

    assert (None, "paused") == (await early, await late)


async def test_a_key_that_may_become_good_again_is_looked_for_each_time(desk: Desk) -> None:
    desk.store.make("paused")
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], active=False)
    assert await desk.admits("paused") is None
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], active=True)
    desk.store.make("another")  # counts the revision up

    assert "paused" == await desk.admits("paused")


async def test_what_is_too_long_for_a_key_costs_no_look(desk: Desk) -> None:
    assert await desk.admits("x" * 5000) is None
    assert desk.store.asked == 0


async def test_what_could_not_be_looked_for_is_looked_for_again(desk: Desk) -> None:
    desk.store.failing = StoreError
    assert 503 == await desk.told(NEW)
    desk.store.failing = None
    desk.store.make(NEW)
    while await desk.told(NEW) == 503:  # nobody looks again for a moment
        await asyncio.sleep(0.01)

    assert NEW == await desk.admits(NEW)


async def test_once_the_store_answers_again_a_new_key_is_good_at_once(desk: Desk) -> None:
    desk.store.failing = StoreError
    assert 503 == await desk.told(NEW)
    desk.store.failing = None
    await desk.good.refresh()
    desk.store.make(NEW)

    assert NEW == await desk.admits(NEW)


async def test_a_key_that_cannot_be_looked_for_is_not_called_a_wrong_one(desk: Desk) -> None:
    desk.store.make("paused" + NEW)
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], active=False)
    await desk.good.refresh()
    assert await desk.admits(f"{NEW}-wrong") is None, "shown to be nothing before"
    desk.store.failing = StoreError

    with pytest.raises(KeysUnavailable) as refused:
        await desk.access.admit({"x-api-key": NEW}, {}, "chat")

    assert 1 == refused.value.retry_after_s
    assert (401, 401) == (await desk.told(f"{NEW}-wrong"), await desk.told("paused" + NEW)), "what is known stands"
    for form in ("new", "gw-short", "sk-" + "x" * 40, "gw-" + "x" * 5000):
        assert 401 == await desk.told(form), "no key of this form is kept"
    assert "ci" == await desk.admits("configured")


async def test_a_worker_that_never_heard_from_the_store_does_not_call_a_key_wrong() -> None:
    desk = Desk()
    desk.store.failing = StoreError

    assert 503 == await desk.told(NEW)


async def test_however_many_keys_are_tried_a_dead_store_is_asked_little(desk: Desk) -> None:
    desk.store.failing = StoreError

    assert [503] * 1000 == await asyncio.gather(*(desk.told(f"{NEW}-{number}") for number in range(1000)))
    assert 1 == desk.store.asked
    asked_s = time.monotonic()
    assert [503] * 1000 == [await desk.told(f"{NEW}-{number}") for number in range(1000)]
    assert desk.store.asked <= 2 + (time.monotonic() - asked_s) / UNSURE_S


async def test_a_store_that_is_silent_is_asked_once_at_a_time(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.services.keyring.LOOK_LIMIT_S", 0.05)
    desk.store.gate.clear()

    assert [503] * 100 == await asyncio.gather(*(desk.told(f"{NEW}-{number}") for number in range(100)))
    assert [503] * 100 == [await desk.told(f"{NEW}-{number}") for number in range(100)]
    assert 1 == desk.store.asked
    desk.store.make(NEW)
    desk.store.gate.set()
    while await desk.told(NEW) == 503:
        await asyncio.sleep(0.01)

    assert NEW == await desk.admits(NEW)


async def test_where_the_store_is_gone_what_is_known_stands(desk: Desk) -> None:
    desk.store.failing = StoreError

    assert await desk.admits("new") is None
    assert "ci" == await desk.admits("configured")


async def test_a_client_that_leaves_takes_no_look_from_the_others(desk: Desk) -> None:
    desk.store.gate.clear()
    left = asyncio.create_task(desk.admits("wrong"))
    while not desk.store.asked:
        await asyncio.sleep(0)
    desk.store.make("new")
    stays = asyncio.create_task(desk.admits("new"))
    left.cancel()
    await asyncio.wait((left,))
    desk.store.gate.set()

    assert "new" == await stays


async def test_nothing_that_goes_wrong_keeps_it_from_hearing_of_the_next_revocation(desk: Desk) -> None:
    desk.store.make("leaked")
    await desk.good.refresh()
    desk.store.failing = ValueError
    following = asyncio.create_task(desk.good.run())
    for _ in range(3):
        asked = desk.store.asked
        desk.good.told(b"")
        while desk.store.asked == asked:
            await asyncio.sleep(0)
            assert not following.done()
    desk.store.failing = None
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], revoked_s=1.0)
    desk.store.make("another")  # counts the revision up
    desk.good.told(b"")
    while await desk.admits("leaked") is not None:
        await asyncio.sleep(0)
    following.cancel()

    assert ["gone"] == list(map(str, desk.faults)), "once, not each time"


async def test_a_key_that_was_revoked_here_is_not_good_because_it_is_configured(desk: Desk) -> None:
    desk.store.make("configured")
    await desk.good.refresh()
    assert "ci" == await desk.admits("configured")
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], revoked_s=1.0)
    desk.store.make("another")
    await desk.good.refresh()
    assert await desk.admits("configured") is None

    desk.good.adopt(desk.good.configured, lambda name: name)
    assert await desk.admits("configured") is None, "nor because the configuration was read again"


async def test_a_worker_that_starts_knows_what_was_revoked_before(desk: Desk) -> None:
    desk.store.make("leaked")
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], revoked_s=1.0)
    desk.store.revoked = {hash_key(PEPPER, "configured"): 1.0}
    other = Desk()
    other.store.keys, other.store.revoked = desk.store.keys, desk.store.revoked
    await other.good.refresh()

    assert [None, None] == [await other.admits("leaked"), await other.admits("configured")]


async def test_a_key_that_cannot_be_read_is_refused_and_named(desk: Desk) -> None:
    desk.store.make("fine")
    desk.store.unread = ("key_newer",)
    await desk.good.refresh()
    await desk.good.refresh()

    assert "fine" == await desk.admits("fine")
    assert ["keys that cannot be read are refused: key_newer"] == list(map(str, desk.faults))


async def test_a_key_that_is_good_again_is_good_with_what_it_may_do_now(desk: Desk) -> None:
    """What was found of a key before it changed is not what is found afterwards."""
    desk.store.make("wide")
    await desk.good.refresh()
    assert "wide" == await desk.admits("wide")
    for change in ({"active": False}, {"active": True, "scopes": ("view",)}, {"scopes": ("chat",), "expires_s": 1.0}):
        desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], **change)
        desk.store.make(f"another-{change}")
        await desk.good.refresh()
        try:
            assert await desk.admits("wide") is None
        except PermissionDenied:
            assert "scopes" in change
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], expires_s=None)
    desk.store.make("last")
    await desk.good.refresh()

    assert "wide" == await desk.admits("wide")


async def test_a_call_of_a_key_that_is_gone_ends_and_a_call_of_another_goes_on(desk: Desk) -> None:
    desk.store.make("gone")
    desk.store.make("stays")
    await desk.good.refresh()

    async def called(owner: str) -> str:
        try:
            with desk.door as visit:
                visit.owner = owner
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            return str(desk.door.farewell())
        return ""

    calls = {owner: asyncio.create_task(called(owner)) for owner in ("gone", "stays", "ci")}
    while desk.door.calls < len(calls):
        await asyncio.sleep(0)
    desk.store.keys[0] = msgspec.structs.replace(desk.store.keys[0], revoked_s=1.0)
    desk.store.make("another")
    await desk.good.refresh()

    assert "the API key was revoked" == await calls["gone"]
    assert {"stays", "ci"} == desk.door.owners
    for owner in ("stays", "ci"):
        calls[owner].cancel()
