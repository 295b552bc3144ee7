"""What the store of people, their logins and their attempts does, over each database."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from runtime.stores.attempts import SqlAttempts
from runtime.stores.database import Database
from runtime.stores.people import Login, Person, SqlPeople

ADA = Person(name="ada", password="h1", created_s=1.0, changed_s=1.0)
BOB = Person(name="bob", password="h2", tenant="acme", scopes=("view",), created_s=2.0, changed_s=2.0)


@pytest.fixture
def people(database: Database) -> SqlPeople:
    return SqlPeople(database)


async def test_nobody_is_there_to_begin_with(people: SqlPeople) -> None:
    assert not await people.any()
    assert await people.all() == ()
    assert await people.get("admin") is None


async def test_what_was_added_is_there_once(people: SqlPeople) -> None:
    assert await people.add(BOB)
    assert not await people.add(msgspec.structs.replace(BOB, password="other"))
    assert await people.add(ADA)

    assert await people.all() == (ADA, BOB)


async def test_of_many_first_ones_there_is_one(people: SqlPeople) -> None:
    tries = [people.add_first(msgspec.structs.replace(ADA, name=f"p{number}")) for number in range(8)]

    assert sum(await asyncio.gather(*tries)) == 1
    assert len(await people.all()) == 1


async def test_a_login_is_its_persons_until_it_is_over(people: SqlPeople) -> None:
    await people.add(BOB)
    await people.open("t1", "bob", 10.0, 20.0)

    found = await people.who("t1", 19.9)
    assert found == Login(name="bob", tenant="acme", scopes=("view",), created_s=10.0, expires_s=20.0)
    assert await people.who("t1", 20.0) is None
    assert await people.who("t2", 11.0) is None
    assert await people.prolong("t1", 30.0)
    assert await people.who("t1", 29.0) is not None
    assert await people.close("t1") == "bob"
    assert await people.close("t1") is None
    assert not await people.prolong("t1", 40.0)
    assert await people.who("t1", 11.0) is None


async def test_a_new_password_ends_all_other_logins(people: SqlPeople) -> None:
    await people.add(ADA)
    await people.add(BOB)
    for token, name in (("a1", "ada"), ("a2", "ada"), ("b1", "bob")):
        await people.open(token, name, 1.0, 99.0)

    assert await people.set_password("ada", "new", 5.0, keep="a2")
    assert [await people.who(token, 2.0) is not None for token in ("a1", "a2", "b1")] == [False, True, True]
    changed = await people.get("ada")
    assert changed == msgspec.structs.replace(ADA, password="new", changed_s=5.0)
    assert not await people.set_password("eve", "new", 5.0)


async def test_whoever_is_removed_is_logged_in_nowhere(people: SqlPeople) -> None:
    await people.add(ADA)
    await people.open("a1", "ada", 1.0, 99.0)

    assert await people.remove("ada")
    assert await people.who("a1", 2.0) is None
    assert not await people.remove("ada")
    assert await people.add(ADA)
    assert await people.who("a1", 2.0) is None


async def test_logins_that_are_over_are_forgotten_when_another_begins(people: SqlPeople) -> None:
    await people.add(ADA)
    await people.open("a1", "ada", 1.0, 5.0)
    await people.open("a2", "ada", 6.0, 99.0)

    assert not await people.prolong("a1", 99.0)


async def test_so_many_attempts_may_fail_and_no_more_however_many_are_made_at_once(database: Database) -> None:
    attempts = SqlAttempts(database, 5, 900.0)

    waits = await asyncio.gather(
        *(attempts.begin(f"n{number}", ("account:a", "address:x"), 10.0) for number in range(20))
    )
    assert sorted(waits)[:5] == [0.0] * 5
    assert sorted(waits)[5:] == [900.0] * 15
    assert await attempts.begin("later", ("account:a", "address:y"), 100.0) == 810.0
    assert await attempts.begin("elsewhere", ("account:b", "address:x"), 100.0) == 810.0
    assert await attempts.begin("else", ("account:b", "address:y"), 100.0) == 0.0
    assert await attempts.begin("after", ("account:a", "address:x"), 910.1) == 0.0


async def test_an_attempt_that_succeeds_does_not_count_and_clears_its_account_only(database: Database) -> None:
    attempts = SqlAttempts(database, 3, 900.0)
    for number in range(2):
        await attempts.begin(f"bad{number}", ("account:a", "address:x"), 1.0)
    await attempts.begin("good", ("account:a", "address:x"), 2.0)
    await attempts.succeeded("good", "account:a")

    assert await attempts.begin("b1", ("account:a", "address:y"), 3.0) == 0.0
    assert await attempts.begin("b2", ("account:c", "address:x"), 3.0) == 0.0
    assert await attempts.begin("b3", ("account:c", "address:x"), 3.0) > 0.0
    await attempts.begin("busy", ("account:d", "address:z"), 3.0)
    await attempts.withdraw("busy")
    await attempts.forget_all()
    assert await attempts.begin("b4", ("account:c", "address:x"), 3.0) == 0.0


async def test_fault_34_a_clock_that_is_set_back_locks_nobody_out_for_longer(database: Database) -> None:
    attempts = SqlAttempts(database, 3, 900.0)
    for number in range(3):
        await attempts.begin(f"bad{number}", ("account:a", "address:x"), 4000.0)

    assert await attempts.begin("back", ("account:a", "address:x"), 400.0) == 900.0
    assert await attempts.begin("soon", ("account:a", "address:x"), 1000.0) == 300.0
    assert await attempts.begin("after", ("account:a", "address:x"), 1300.1) == 0.0


def test_no_repr_shows_a_hash() -> None:
    assert "h1" not in repr(ADA)
