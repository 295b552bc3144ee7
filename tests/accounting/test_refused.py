"""A row that the database refuses is in nobody's way: it is set aside and told of, and what limits count of it stays."""

from __future__ import annotations

import contextlib
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from runtime.accounting.drain import Drain
from runtime.accounting.frames import PriceTable, Refused, encode_frame, scan
from runtime.accounting.journal import JOURNAL, LOCK, ROTATE_BYTES
from runtime.accounting.refused import Aside, SetAside, read_refused, refused_files
from runtime.canonical import Usage
from runtime.stores.database import Database
from runtime.stores.entries import NO_COUNTS, Settlement
from runtime.stores.ledger import Taken
from runtime.stores.spending import post_spend
from runtime.stores.tables import days, settlements, spent
from runtime.telemetry import CallRecord
from tests.support.accounting import NOW_S, USED, Books, answered, asked, call

SQLITE = """
CREATE TRIGGER {name} BEFORE INSERT ON {table} WHEN NOT ({rule}) BEGIN SELECT RAISE(ABORT, 'against {name}'); END
"""
"""As a rule that was added to a table would say it; SQLite adds none."""


async def forbid(database: Database, table: str, rule: str, name: str = "a_rule") -> None:
    """From now on rows of ``table`` keep ``rule``, in which their columns stand as NEW.x."""

    async def ask(db: AsyncConnection) -> None:
        if db.dialect.name == "sqlite":
            await db.execute(text(SQLITE.format(name=name, table=table, rule=rule)))
        else:  # a constraint, by which whoever gets the database next sees that it has not its shape
            await db.execute(text(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK ({rule.replace('NEW.', '')})"))

    await database.write(ask)


async def allow(database: Database, table: str, name: str = "a_rule") -> None:
    async def ask(db: AsyncConnection) -> None:
        sqlite = db.dialect.name == "sqlite"
        await db.execute(text(f"DROP TRIGGER {name}" if sqlite else f"ALTER TABLE {table} DROP CONSTRAINT {name}"))

    await database.write(ask)


class Told(Books):
    """And what is told of rows that are set aside. Limits count in the same database."""

    def __init__(
        self, directory: Path, database: Database, worker: str = "w1", rotate_bytes: int = ROTATE_BYTES
    ) -> None:
        super().__init__(directory, database, worker, post=post_spend, rotate_bytes=rotate_bytes)
        self.refused: list[SetAside] = []
        self.drain = Drain(
            self.ledger, self.store, lambda: (1e9, 10**9), lambda: NOW_S, self.behind.append, self.refused.append
        )
        self.folder = directory / JOURNAL

    @property
    def aside(self) -> list[str]:
        """The ids of the calls in the files."""
        return sorted(each.id for each in read_refused(refused_files(self.folder)))


def odd_call(books: Books, model: str = "odd") -> CallRecord:
    """One that the rules below are against."""
    record = books.begin()
    record.model = model
    answered(asked(books, record))
    books.ledger.settle(record)
    return record


async def rows(database: Database) -> list[str]:
    async def ask(db: AsyncConnection) -> list[str]:
        return sorted((await db.execute(select(settlements.c.id))).scalars())

    return await database.read(ask)


async def counted(database: Database) -> tuple[int, int]:
    """The requests and nano-dollars that limits of the key count for the day."""

    async def ask(db: AsyncConnection) -> tuple[int, int]:
        of = select(spent.c.requests, spent.c.nano_usd).where(spent.c.subject == "key/k", spent.c.span == "day")
        found = (await db.execute(of)).all()
        return sum(row[0] for row in found), sum(row[1] for row in found)

    return await database.read(ask)


async def summed(database: Database) -> int:
    """The requests that the sums by day have."""

    async def ask(db: AsyncConnection) -> int:
        return sum((await db.execute(select(days.c.requests))).scalars())

    return await database.read(ask)


async def bring_in(books: Told, worker: str = "again") -> None:
    """As the guide says."""
    (folder := books.folder / worker).mkdir()
    for number, path in enumerate(refused_files(books.folder), 1):
        path.rename(folder / f"{number:08d}.log")
    (folder / LOCK).touch()
    await books.drain.adopt()


async def test_one_row_that_is_refused_is_set_aside_and_all_others_are_taken_in(
    database: Database, tmp_path: Path
) -> None:
    await forbid(database, "settlements", "NEW.model <> 'odd'")
    books = Told(tmp_path, database)
    good = [call(books).settlement for _ in range(5)]
    odd = odd_call(books)
    good += [call(books).settlement for _ in range(6)]
    await books.drain.once()

    assert (sorted(good), [odd.settlement]) == (await rows(database), books.aside)
    assert ("ok", [], 0) == (books.drain.standing, books.behind, books.journal.waiting_bytes)
    (told,) = books.refused
    assert (odd.settlement, odd.id, books.folder / "w1.refused") == (told.call, told.request_id, told.file)
    assert "a_rule" in told.reason
    assert 0o600 == told.file.stat().st_mode & 0o777
    await books.drain.once()
    assert 1 == len(books.refused)


async def test_what_a_refused_row_used_counts_for_limits_and_once_only(database: Database, tmp_path: Path) -> None:
    await forbid(database, "settlements", "NEW.model <> 'odd'")
    books = Told(tmp_path, database)
    good, odd = call(books), odd_call(books)
    await books.drain.once()

    assert ((2, 9_000_000), 1) == (await counted(database), await summed(database))
    assert books.refused[0].counted

    await bring_in(books)
    assert ([odd.settlement], ["again.refused"]) == (books.aside, [each.name for each in refused_files(books.folder)])
    assert ((2, 9_000_000), 1) == (await counted(database), await summed(database)), "it is refused again"

    await allow(database, "settlements")
    await bring_in(books, "once_more")
    assert sorted([good.settlement, odd.settlement]) == await rows(database)
    assert ((2, 9_000_000), 2, []) == (await counted(database), await summed(database), books.aside)


async def test_what_limits_cannot_count_either_is_said_not_to_be_counted(database: Database, tmp_path: Path) -> None:
    await forbid(database, "spent", "NEW.subject <> 'key/bad'")
    books = Told(tmp_path, database)
    record = books.begin("bad")
    answered(asked(books, record))
    books.ledger.settle(record)
    good = call(books)
    await books.drain.once()

    assert ([good.settlement], [record.settlement], [False]) == (
        await rows(database), books.aside, [each.counted for each in books.refused]
    )  # fmt: skip
    await allow(database, "spent")
    await bring_in(books)
    assert sorted([good.settlement, record.settlement]) == await rows(database)


@pytest.mark.parametrize("table", ["attempts", "days"])
async def test_wherever_it_is_refused_the_others_are_taken_in(database: Database, tmp_path: Path, table: str) -> None:
    await forbid(database, table, "NEW.cost_nano_usd <= 4500000")
    books = Told(tmp_path, database)
    dear = by_tenant(books, "dear", msgspec.structs.replace(USED, output=101))
    good = [by_tenant(books, f"t{number}", USED) for number in range(3)]
    await books.drain.once()

    assert ("ok", 1) == (books.drain.standing, len(books.refused))
    assert (sorted(good), [dear]) == (await rows(database), books.aside)


def by_tenant(books: Books, tenant: str, used: Usage) -> str:
    record = books.begin()
    record.tenant = tenant
    answered(asked(books, record), used)
    books.ledger.settle(record)
    return record.settlement


async def test_prices_that_are_refused_are_in_no_calls_way(database: Database, tmp_path: Path) -> None:
    await forbid(database, "prices", "NEW.version = 'none'")
    books = Told(tmp_path, database)
    made = [call(books).settlement for _ in range(3)]
    await books.drain.once()

    assert sorted(made) == await rows(database)
    (told,) = books.refused
    assert told.call.startswith("prices ")
    assert [PriceTable] == [type(each) for each in scan(told.file.read_bytes()).frames]


async def test_a_database_that_refuses_everything_is_waited_for(database: Database, tmp_path: Path) -> None:
    """Then no row is at fault, and nothing is set aside."""
    await forbid(database, "settlements", "NEW.status > 1000")
    books = Told(tmp_path, database)
    made = [call(books).settlement for _ in range(5)]
    await books.drain.once()
    await books.drain.once()

    assert ("behind", [], []) == (books.drain.standing, await rows(database), books.aside)
    assert "a_rule" in str(books.behind)
    assert (0, 0) == await counted(database)
    await allow(database, "settlements")
    await books.drain.once()
    assert ("ok", sorted(made), 0) == (books.drain.standing, await rows(database), books.journal.waiting_bytes)


async def test_rows_that_are_all_refused_are_all_set_aside(database: Database, tmp_path: Path) -> None:
    await forbid(database, "settlements", "NEW.model <> 'odd'")
    books = Told(tmp_path, database, rotate_bytes=2000)
    made = [odd_call(books).settlement for _ in range(20)]
    await books.drain.once()

    assert (sorted(made), []) == (books.aside, await rows(database))
    assert (20, 90_000_000) == await counted(database)
    assert 20 == len(books.refused)


async def test_calls_that_died_with_their_worker_are_set_aside_likewise(database: Database, tmp_path: Path) -> None:
    await forbid(database, "settlements", "NEW.model <> 'odd'")
    dead, heir = Told(tmp_path, database, "dead"), Told(tmp_path, database, "heir")
    lost = [call(dead, settle=False).settlement]
    for _ in range(2):
        record = dead.begin()
        record.model = "odd"
        asked(dead, record)
    lost.append(call(dead, settle=False).settlement)
    dead.die()
    await heir.drain.adopt()

    assert sorted(lost) == await rows(database)
    assert (2, ["dead.refused"]) == (len(heir.aside), [each.name for each in refused_files(heir.folder)])
    assert {"lost"} == {each.outcome for each in read_refused(refused_files(heir.folder))}
    assert (4, 12_000_000) == await counted(database)
    assert not dead.journal.directory.exists()


class KilledError(Exception):
    """The process died here."""


async def test_whatever_dies_in_between_nothing_is_lost_nor_counted_twice(database: Database, tmp_path: Path) -> None:
    """Before and after every question to the database."""
    await forbid(database, "settlements", "NEW.model <> 'odd'")
    dead = Told(tmp_path, database, "w0")
    good, odd = [call(dead).settlement], [odd_call(dead).settlement]
    good += [call(dead).settlement for _ in range(2)]
    odd += [odd_call(dead).settlement]
    good += [call(dead, settle=False).settlement]
    for _ in range(2):
        record = dead.begin()
        record.model = "odd"
        asked(dead, record)
        odd.append(record.settlement)
    dead.die()
    questions, told = 0, list[SetAside]()
    while (tmp_path / JOURNAL / "w0").exists():
        questions += 1
        for after in (False, True):
            heir = Told(tmp_path, database, f"h{questions}{after}")
            _dies_at(heir, 1 if questions % 2 else 2, after=after)
            with contextlib.suppress(KilledError):
                await heir.drain.adopt()
            told += heir.refused
        assert questions < 100

    assert (sorted(good), sorted(odd)) == (await rows(database), dead.aside)
    assert (8, 5 * 4_500_000 + 3 * 3_000_000) == await counted(database)
    assert sorted(odd) == sorted({each.call for each in told})


def _dies_at(books: Told, commits: int, *, after: bool) -> None:
    """With so many transactions that changed something."""
    left = commits
    take = books.store.take

    async def counted_take(piece: Taken) -> int:
        nonlocal left
        left -= 1
        if not left and not after:
            raise KilledError
        taken = await take(piece)
        if left <= 0:
            raise KilledError
        return taken

    books.store.take = counted_take  # type: ignore[method-assign]


A_CALL = Settlement(
    "w-0", NOW_S, "r", "d", "t", "k", "chat", "openai_chat", "m", "", "p/m", "p", "p/main", "", False, "", 0, "ok", "", 200, 1, -1,
    NO_COUNTS, False, 5, False, (),
)  # fmt: skip


async def test_a_file_that_is_cut_anywhere_loses_nothing_before_the_cut(tmp_path: Path) -> None:
    first, second = (_refused(f"w-{n}") for n in (1, 2))
    whole = encode_frame(first) + encode_frame(second)
    path = tmp_path / "w.refused"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        Aside(tmp_path).put("w", second)
        kept = [first] if cut >= len(encode_frame(first)) else []
        assert [*kept, second] == scan(path.read_bytes()).frames, cut


def _refused(id_: str) -> Refused:
    return Refused(msgspec.structs.replace(A_CALL, id=id_), counted=True)
