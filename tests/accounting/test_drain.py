"""What a journal holds comes into the ledger once, whoever brings it, whatever dies in between."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection
from typing_extensions import override

from runtime.accounting.drain import OLD, Drain
from runtime.accounting.journal import journal_files
from runtime.stores.base import StoreError
from runtime.stores.database import Database, database_url
from runtime.stores.entries import Settlement
from runtime.stores.history import History
from runtime.stores.ledger import SqlLedger, Taken
from runtime.stores.migrate import migrate
from runtime.stores.tables import attempts, days, journals, prices, settlements
from runtime.telemetry import CallRecord
from tests.support.accounting import NOW_S, Books, answered, asked, call
from tests.support.database import prepared
from tests.support.ports import kept_port


async def rows(database: Database) -> dict[str, tuple[str, int]]:
    """What was settled: id to outcome and cost."""

    async def ask(db: AsyncConnection) -> dict[str, tuple[str, int]]:
        found = await db.execute(select(settlements.c.id, settlements.c.outcome, settlements.c.cost_nano_usd))
        return {row[0]: (row[1], row[2]) for row in found}

    return await database.read(ask)


async def count(database: Database, what: str) -> int:
    table = {"attempts": attempts, "prices": prices, "journals": journals}[what]

    async def ask(db: AsyncConnection) -> int:
        return (await db.execute(select(func.count()).select_from(table))).scalar_one()

    return await database.read(ask)


async def totals(database: Database) -> tuple[int, int, int]:
    """Requests, attempts and cost, as the sums by day have them."""

    async def ask(db: AsyncConnection) -> tuple[int, int, int]:
        columns = [func.coalesce(func.sum(days.c[name]), 0) for name in ("requests", "attempts", "cost_nano_usd")]
        row = (await db.execute(select(*columns))).one()
        return int(row[0]), int(row[1]), int(row[2])

    return await database.read(ask)


async def test_what_was_settled_is_in_the_ledger_once(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    made = [call(books) for _ in range(3)]
    await books.drain.once()
    await books.drain.once()

    assert {each.settlement: ("ok", 4_500_000) for each in made} == await rows(database)
    assert (3, 3, 13_500_000) == await totals(database)
    assert (3, 1) == (await count(database, "attempts"), await count(database, "prices"))
    assert 0 == books.journal.waiting_bytes


LONG = "p/" + "".join(map(chr, Random(7).sample(range(0x20000, 0x2A6D0), 990)))
"""A thousand characters that nothing compresses."""


@pytest.mark.parametrize(
    ("name", "kept"),
    [("p/m\0", "p/m\ufffd"), (LONG, LONG[:251]), ("p/" + "m" * 998, "p/" + "m" * 998)],
    ids=["NUL", "long", "fit"],
)
async def test_a_name_that_no_store_holds_is_in_nobodys_way(
    database: Database, tmp_path: Path, name: str, kept: str
) -> None:
    books = Books(tmp_path, database)
    odd = books.begin()
    odd.model = odd.session = name
    answered(asked(books, odd, target=name))
    books.ledger.settle(odd)
    other = call(books)
    await books.drain.once()

    assert [] == books.behind
    assert {each.settlement: ("ok", 4_500_000) for each in (odd, other)} == await rows(database)
    assert (2, 2, 9_000_000) == await totals(database)
    found = await History(database).request(None, odd.settlement)
    assert found is not None
    settled = found.settlement
    assert {kept} == {settled.model, settled.target, settled.session, settled.attempts[0].target}


async def test_the_journal_of_a_dead_worker_is_taken_in_by_another(database: Database, tmp_path: Path) -> None:
    dead, heir = Books(tmp_path, database, "dead"), Books(tmp_path, database, "heir")
    first, second = call(dead), call(dead)
    await dead.drain.once()
    third, lost = call(dead), call(dead, settle=False)
    dead.die()

    assert 1 == await heir.drain.adopt()
    assert {
        **{each.settlement: ("ok", 4_500_000) for each in (first, second, third)},
        lost.settlement: ("lost", 3_000_000),  # the thousand tokens that were sent
    } == await rows(database)
    assert (4, 4, 16_500_000) == await totals(database)
    assert not dead.journal.directory.exists()
    assert (0, 0) == (await heir.drain.adopt(), await count(database, "journals"))


async def test_of_a_lost_call_what_had_ended_before_is_known(database: Database, tmp_path: Path) -> None:
    dead, heir = Books(tmp_path, database, "dead"), Books(tmp_path, database, "heir")
    record = dead.begin()
    answered(asked(dead, record), None, "rate_limit", 429)
    asked(dead, record, target="q/m")
    dead.die()
    await heir.drain.adopt()

    found = await History(database).request(None, record.settlement)
    assert found is not None
    assert [("p/m", "rate_limit", 0), ("q/m", "lost", 3_000_000)] == [
        (each.target, each.outcome, each.cost_nano_usd) for each in found.settlement.attempts
    ]
    assert ("lost", "q/m", True) == (found.settlement.outcome, found.settlement.target, found.settlement.estimated)


async def test_the_journal_of_a_worker_that_lives_is_left_alone(database: Database, tmp_path: Path) -> None:
    one, other = Books(tmp_path, database, "one"), Books(tmp_path, database, "other")
    call(one)
    call(other)

    assert 0 == await other.drain.adopt()
    assert {} == await rows(database)


async def test_what_was_torn_off_is_left_out_and_nothing_else(database: Database, tmp_path: Path) -> None:
    dead, heir = Books(tmp_path, database, "dead"), Books(tmp_path, database, "heir")
    first, torn = call(dead), call(dead)
    dead.die()
    (path,) = journal_files(dead.journal.directory)
    path.write_bytes(path.read_bytes()[:-5])
    await heir.drain.adopt()

    assert {first.settlement: ("ok", 4_500_000), torn.settlement: ("lost", 3_000_000)} == await rows(database)


async def test_files_go_as_they_are_drained(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database, rotate_bytes=500)
    opened = call(books, settle=False)
    for _ in range(10):
        call(books)
        await books.drain.once()
    books.ledger.settle(opened)
    await books.drain.once()

    assert 1 == len(journal_files(books.journal.directory))
    assert 11 == len(await rows(database))
    await books.drain.aclose()
    assert (False, 0) == (books.journal.directory.exists(), await count(database, "journals"))


async def test_a_database_that_went_back_gets_again_what_is_still_there(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    made = call(books)
    await books.drain.once()

    async def restore(db: AsyncConnection) -> None:
        for table in (settlements, attempts, days, journals):
            await db.execute(table.delete())

    await database.write(restore)
    call(books)
    await books.drain.once()
    await books.drain.once()
    assert made.settlement in await rows(database)
    assert (2, 2, 9_000_000) == await totals(database)


async def test_what_else_counts_them_is_told_of_each_settlement_once(database: Database, tmp_path: Path) -> None:
    told: list[str] = []

    async def post(_: AsyncConnection, given: Sequence[Settlement]) -> None:
        told.extend(each.id for each in given)

    books = Books(tmp_path, database, post=post)
    made = [call(books).settlement for _ in range(3)]
    await books.drain.once()
    await books.drain.once()
    assert made == told


async def test_fault_30_while_the_store_is_gone_the_journal_waits(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    take = books.store.take

    async def gone(_: Taken) -> int:
        raise StoreError("gone")

    books.store.take = gone  # type: ignore[method-assign]
    call(books)
    await books.drain.once()
    await books.drain.once()
    assert ("behind", ["gone"]) == (books.drain.standing, books.behind)
    assert books.journal.waiting_bytes

    books.store.take = take  # type: ignore[method-assign]
    await books.drain.once()
    assert ("ok", ["gone", None]) == (books.drain.standing, books.behind)
    assert 1 == len(await rows(database))


class Line:
    """Between us and a database, and cut when it shall be gone."""

    def __init__(self, behind: int, port: int) -> None:
        self._behind = behind
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self.port = port

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._carry, "127.0.0.1", self.port)

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for each in self._writers:
            each.transport.abort()
        self._writers.clear()
        await asyncio.sleep(0)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", self._behind)
        self._writers |= {writer, back}

        async def pump(one: asyncio.StreamReader, other: asyncio.StreamWriter) -> None:
            with contextlib.suppress(ConnectionError):
                while data := await one.read(65536):
                    other.write(data)
                    await other.drain()
            other.close()

        await asyncio.gather(pump(reader, back), pump(there, writer))


@pytest.fixture
def port() -> Iterator[int]:
    with kept_port() as kept:
        yield kept


async def test_fault_30_a_server_that_goes_and_comes_is_drained_into_again(
    postgres_url: str, tmp_path: Path, port: int
) -> None:
    direct = Database(database_url(postgres_url, tmp_path))
    await migrate(direct)
    url = database_url(postgres_url, tmp_path)
    line = Line(url.port or 5432, port)
    await line.open()
    database = Database(url.set(port=line.port))
    books = Books(tmp_path, database)
    call(books)
    await books.drain.once()
    await line.cut()
    call(books)
    await books.drain.once()
    assert "behind" == books.drain.standing
    await line.open()
    async with asyncio.timeout(60):
        while books.drain.standing != "ok":
            await books.drain.once()

    assert (2, 2, 9_000_000) == await totals(direct)
    await line.cut()
    await database.aclose()
    await direct.aclose()


async def test_a_journal_that_somebody_took_away_is_begun_anew(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    call(books)
    await books.drain.once()
    shutil.rmtree(tmp_path / "journal")
    await books.drain.once()
    assert "was taken away" in (books.drain.trouble or "")

    after = call(books)
    await books.drain.once()
    assert ("ok", 2) == (books.drain.standing, len(await rows(database)))
    assert after.settlement in await rows(database)


async def test_a_store_is_not_back_because_there_was_nothing_to_bring(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)

    async def gone(*_: object) -> int:
        raise StoreError("gone")

    for name in ("prune", "drained"):
        setattr(books.store, name, gone)
    await books.drain._quietly(OLD, books.drain._prune())
    await books.drain.once()
    assert ("behind", ["gone"]) == (books.drain.standing, books.behind)

    del books.store.drained
    await books.drain.once()
    assert ("ok", ["gone", None]) == (books.drain.standing, books.behind)


async def test_old_requests_go_and_their_sums_stay(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database, keep=(1e9, 2))
    for _ in range(5):
        call(books)
    await books.drain.once()
    assert 3 == await books.drain._prune()
    assert 2 == len(await rows(database)) == await count(database, "attempts")
    assert (5, 5, 22_500_000) == await totals(database)

    assert 2 == await books.store.prune(NOW_S, 10)
    assert {} == await rows(database)


async def test_drains_of_one_worker_at_the_same_time_take_nothing_twice(database: Database, tmp_path: Path) -> None:
    books = Books(tmp_path, database)
    for _ in range(20):
        call(books)
    await asyncio.gather(*(books.drain.once() for _ in range(5)))

    assert (20, 20, 90_000_000) == await totals(database)


# -- any order of events

EVENTS = st.lists(
    st.sampled_from(["open", "settle", "drain", "kill", "tear", "adopt", "rotate", "restore", "fail"]),
    max_size=25,
)


@settings(max_examples=40, deadline=None)
@given(events=EVENTS)
def test_whatever_happens_in_whatever_order_every_call_is_there_once(
    events: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    asyncio.run(_live(events, tmp_path_factory.mktemp("ledger")))


async def _live(events: list[str], directory: Path) -> None:
    database = Database(prepared(directory))
    worker, expected, open_calls = 1, dict[str, set[str]](), list[CallRecord]()
    books = Books(directory, database, "w1", rotate_bytes=2000)

    def killed() -> None:
        nonlocal worker, books
        books.die()
        worker += 1
        books = Books(directory, database, f"w{worker}", rotate_bytes=2000)
        for each in open_calls:
            expected[each.settlement] = {"lost"}
        open_calls.clear()

    for event in events:
        match event:
            case "open" | "rotate":
                for _ in range(1 if event == "open" else 4):
                    record = books.begin()
                    answered(asked(books, record))
                    open_calls.append(record)
            case "settle" if open_calls:
                record = open_calls.pop(0)
                books.ledger.settle(record)
                expected[record.settlement] = {"ok"}
            case "drain":
                await books.drain.once()
            case "kill":
                killed()
            case "tear" if books.journal.current and open_calls:
                record = open_calls.pop()
                path = journal_files(books.journal.directory)[-1]
                books.ledger.settle(record)
                now = journal_files(books.journal.directory)[-1]
                now.write_bytes(now.read_bytes()[:-3])
                expected[record.settlement] = {"lost"} if path == now else {"lost", "ok"}
                killed()
            case "adopt":
                await books.drain.adopt()
            case "fail":
                books.store.take, take = _gone, books.store.take  # type: ignore[method-assign]
                await books.drain.once()
                books.store.take = take  # type: ignore[method-assign]
            case _:
                pass
    killed()
    await books.drain.adopt()
    found = await rows(database)
    assert expected.keys() == found.keys()
    assert all(found[id_][0] in outcomes for id_, outcomes in expected.items())
    requests, _, cost = await totals(database)
    assert (len(found), sum(each[1] for each in found.values())) == (requests, cost)
    await database.aclose()


async def _gone(_: Taken) -> int:
    raise StoreError("gone")


async def test_a_store_that_is_gone_is_told_of_once_until_it_is_back(database: Database, tmp_path: Path) -> None:
    """Nothing that needs no store says that it is back."""
    books, turns = Books(tmp_path, database), asyncio.Queue[None]()
    gone = True

    class Gone(SqlLedger):
        @override
        async def take(self, piece: Taken) -> int:
            turns.put_nowait(None)
            if gone:
                raise StoreError("gone")
            return await super().take(piece)

    drain = Drain(books.ledger, Gone(database), lambda: (1e9, 10**9), lambda: NOW_S, books.behind.append)
    call(books)
    running = asyncio.create_task(drain.run())
    await turns.get()
    await turns.get()
    assert ("behind", ["gone"]) == (drain.standing, books.behind)
    gone = False
    while turns.empty():
        await asyncio.sleep(0)
    await drain.once()
    running.cancel()
    assert ("ok", ["gone", None]) == (drain.standing, books.behind)


async def test_a_journal_that_cannot_be_taken_in_is_told_of_until_it_is(database: Database, tmp_path: Path) -> None:
    """However well one's own is drained."""
    lost, books = Books(tmp_path, database, "w0"), Books(tmp_path, database)
    call(lost)
    lost.journal.close_files()
    (odd := lost.journal.directory / "00000000.log").mkdir()
    call(books)
    running = asyncio.create_task(books.drain.run())
    while not books.behind:
        await asyncio.sleep(0)
    running.cancel()
    await books.drain.once()
    await books.drain.once()
    assert ("behind", 1) == (books.drain.standing, len(books.behind))

    odd.rmdir()
    running = asyncio.create_task(books.drain.run())
    while len(books.behind) == 1:
        await asyncio.sleep(0)
    running.cancel()
    assert ("ok", None) == (books.drain.standing, books.behind[-1])
    assert 2 == len(await rows(database))


async def test_it_has_caught_up_when_what_the_dead_left_is_in_or_can_never_be(
    database: Database, tmp_path: Path
) -> None:
    lost, books = Books(tmp_path, database, "w0"), Books(tmp_path, database)
    call(lost)
    lost.journal.close_files()
    take = books.store.take
    books.store.take = _gone  # type: ignore[method-assign]
    with contextlib.suppress(StoreError):
        await books.drain.catch_up()
    assert not books.drain.caught_up

    books.store.take = take  # type: ignore[method-assign]
    await books.drain.catch_up()
    assert books.drain.caught_up

    odd, other = Books(tmp_path, database, "w2"), Books(tmp_path, database, "w3")
    call(odd)
    odd.journal.close_files()
    (odd.journal.directory / "00000000.log").mkdir()
    with pytest.raises(IsADirectoryError):
        await other.drain.catch_up()
    assert other.drain.caught_up
