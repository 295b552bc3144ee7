"""Snapshots of the store, and putting them back: over each database, and from one kind into the other."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import create_engine, insert, inspect, select, text

from runtime.stores.audit import AuditEntry, AuditQuestion, SqlAudit
from runtime.stores.base import Item, StoredResponse, StoreError
from runtime.stores.database import DATABASE_FILE, Database, database_url
from runtime.stores.keys import SqlKeys, StoredKey
from runtime.stores.migrate import SCHEMA, migrate
from runtime.stores.people import Person, SqlPeople
from runtime.stores.responses import SqlResponses
from runtime.stores.restore import ADDED, LEDGER, REPLACED, fit, restore
from runtime.stores.snapshot import LEFT_OUT, Unfit, examine, snapshot
from runtime.stores.tables import METADATA, settlements
from tests.support.database import prepared

KEY = StoredKey(id="key_1", name="ci", prefix="gw-abcd", hash="0" * 64, scopes=("chat",), created_s=5.0)
ADA = Person(name="ada", password="h1", created_s=1.0, changed_s=1.0)
RESPONSE = StoredResponse(owner="o", id="r1", status="completed", created_s=1.0, body=b"{}", background=True)
ITEMS = (Item(id="i1", body=b'{"a":1}'), Item(id="i2", body=b'{"a":2}'))


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    url = prepared(tmp_path / "data")
    if request.param == "postgresql":
        url = database_url(request.getfixturevalue("prepared_postgres_url"), tmp_path / "data")
    database = Database(url)
    yield database
    await database.aclose()


async def fill(database: Database) -> None:
    await SqlKeys(database).add(KEY)
    await SqlPeople(database).add(ADA)
    await SqlPeople(database).open("t1", "ada", 1.0, 9e9)
    await SqlResponses(database).put(RESPONSE, ITEMS[:1], ITEMS[1:])
    await SqlAudit(database).add(AuditEntry(id="e1", at_s=1.0, action="a", actor="x"))


async def settle(database: Database, id_: str) -> None:
    row: dict[str, object] = {
        column.name: id_ if column.name == "id" else 0 if str(column.type) != "TEXT" else ""
        for column in settlements.columns
        if column.name != "number"
    }
    row |= {column.name: False for column in settlements.columns if str(column.type) == "BOOLEAN"}

    async def add(db: object) -> None:
        await db.execute(insert(settlements).values(row))  # type: ignore[attr-defined]

    await database.write(add)


async def settled(database: Database) -> list[str]:
    async def ask(db: object) -> list[str]:
        return sorted(await db.scalars(select(settlements.c.id)))  # type: ignore[attr-defined]

    return await database.read(ask)


def test_every_table_has_a_fate() -> None:
    """A table that no list has would be lost, or stay by chance: whoever adds one says what becomes of it."""
    lists = (LEFT_OUT, LEDGER, ADDED, REPLACED, frozenset({"revisions"}))

    assert sum(len(each) for each in lists) == len(frozenset().union(*lists))
    assert {table.name for table in METADATA.sorted_tables} == frozenset().union(*lists)


async def test_the_tables_we_know_are_those_that_are_made(database: Database) -> None:
    made = await database.read(lambda db: db.run_sync(lambda connection: inspect(connection).get_table_names()))

    assert set(made) == {table.name for table in METADATA.sorted_tables} | {"schema_version"}


async def test_what_was_deleted_changed_and_added_since_is_as_it_was(database: Database, tmp_path: Path) -> None:
    await fill(database)
    contents = await snapshot(database, tmp_path / "s.sqlite")
    assert (contents.schema, contents.rows["keys"], contents.rows["items"]) == (SCHEMA, 1, 2)
    keys, people, responses = SqlKeys(database), SqlPeople(database), SqlResponses(database)
    before = await keys.revision()
    await keys.delete("key_1")
    await keys.add(msgspec.structs.replace(KEY, id="key_2", hash="1" * 64))
    await people.set_password("ada", "h2", 5.0)
    await responses.delete(RESPONSE.key)

    await restore(database, tmp_path / "s.sqlite")

    assert (await keys.all()).keys == (KEY,)
    assert await people.all() == (ADA,)
    assert await responses.get(RESPONSE.key) == RESPONSE
    assert await responses.conversation(RESPONSE.key) == ITEMS
    assert await keys.revision() > before + 2
    await responses.put(msgspec.structs.replace(RESPONSE, id="r2"), ITEMS, ())
    assert await responses.conversation(("o", "r2")) == ITEMS


async def test_logins_end_and_revoked_keys_stay_revoked(database: Database, tmp_path: Path) -> None:
    await fill(database)
    await snapshot(database, tmp_path / "s.sqlite")
    await SqlPeople(database).open("t2", "ada", 1.0, 9e9)
    await SqlKeys(database).revoke("key_1", 7.0)
    await SqlKeys(database).revoke_configured("ci", "f" * 64, 8.0)

    await restore(database, tmp_path / "s.sqlite")

    assert [await SqlPeople(database).who(token, 2.0) for token in ("t1", "t2")] == [None, None]
    found = await SqlKeys(database).all()
    assert (found.keys[0].revoked_s, found.revoked) == (7.0, {"f" * 64: 8.0})
    assert b"t1" not in [row[0] for row in sqlite3.connect(tmp_path / "s.sqlite").execute("SELECT token FROM logins")]


async def test_a_revoked_key_that_was_deleted_since_comes_back_revoked(database: Database, tmp_path: Path) -> None:
    await fill(database)
    await snapshot(database, tmp_path / "s.sqlite")
    await SqlKeys(database).revoke("key_1", 7.0)
    await SqlKeys(database).delete("key_1")

    await restore(database, tmp_path / "s.sqlite")

    kept = await SqlKeys(database).get("key_1")
    assert kept is not None
    assert 7.0 == kept.revoked_s


async def test_money_and_what_was_done_are_never_turned_back(database: Database, tmp_path: Path) -> None:
    await fill(database)
    await settle(database, "s1")
    await snapshot(database, tmp_path / "s.sqlite")
    await settle(database, "s2")
    await SqlAudit(database).add(AuditEntry(id="e2", at_s=2.0, action="b", actor="x"))

    await restore(database, tmp_path / "s.sqlite")

    assert await settled(database) == ["s1", "s2"]
    page = await SqlAudit(database).find(AuditQuestion())
    assert sorted(entry.id for entry in page.entries) == ["e1", "e2"]


async def test_an_empty_store_gets_the_ledger_too_whatever_it_runs_on(
    database: Database, tmp_path: Path, postgres_url: str
) -> None:
    await fill(database)
    await settle(database, "s1")
    await snapshot(database, tmp_path / "s.sqlite")
    other = Database(database_url(postgres_url if database.file is not None else None, tmp_path / "other"))
    (tmp_path / "other").mkdir()
    try:
        await migrate(other)
        await restore(other, tmp_path / "s.sqlite")

        assert (await SqlKeys(other).all()).keys == (KEY,)
        assert await settled(other) == ["s1"]
        assert (await SqlAudit(other).find(AuditQuestion())).total == 1
        assert await SqlResponses(other).conversation(RESPONSE.key) == ITEMS
        await settle(other, "s2")
        await SqlAudit(other).add(AuditEntry(id="e2", at_s=2.0, action="b", actor="x"))
    finally:
        await other.aclose()


async def test_while_others_write_a_snapshot_is_one_moment(database: Database, tmp_path: Path) -> None:
    """Two keys are added together or not at all; so they are in every snapshot, and in every store it is put into."""
    keys, stop = SqlKeys(database), asyncio.Event()

    async def write() -> int:
        number = 0
        while not stop.is_set():
            pair = [msgspec.structs.replace(KEY, id=f"k{number}{half}", hash=f"{number:063}{half}") for half in "ab"]

            async def both(db: object, pair: list[StoredKey] = pair) -> None:
                for key in pair:
                    statement = text(
                        "INSERT INTO keys (id, tenant, name, prefix, hash, scopes, models, pins, created_s, active)"
                        " VALUES (:id, 'default', '', '', :hash, :none, :none, :none, 1, :yes)"
                    )
                    given = {"id": key.id, "hash": key.hash, "none": b"[]", "yes": True}
                    await db.execute(statement, given)  # type: ignore[attr-defined]

            await database.write(both)
            number += 1
        return number

    writing = asyncio.create_task(write())
    for number in range(3):
        await asyncio.sleep(0.05)
        path = tmp_path / f"{number}.sqlite"
        await snapshot(database, path)
        with closing(sqlite3.connect(path)) as db:
            (count,) = db.execute("SELECT count(*) FROM keys").fetchone()
        assert count % 2 == 0
        await restore(database, path)
        found = (await keys.all()).keys
        assert len({key.id for key in found if key.id.endswith("a")}) * 2 == len(found)
    stop.set()
    assert await writing > 0


async def test_a_snapshot_is_its_owners_and_nothing_is_left_of_one_that_fails(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await fill(database)
    target = tmp_path / "backups"
    target.mkdir()
    await snapshot(database, target / "s.sqlite")
    assert (target / "s.sqlite").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in target.iterdir()] == ["s.sqlite"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("runtime.stores.snapshot._finished", full)
    with pytest.raises(StoreError, match="No space left"):
        await snapshot(database, target / "t.sqlite")
    assert [path.name for path in target.iterdir()] == ["s.sqlite"]


async def make(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir(exist_ok=True)
    database = Database(database_url(None, tmp_path / "data"))
    await migrate(database)
    await fill(database)
    await snapshot(database, tmp_path / "s.sqlite")
    await database.aclose()
    return tmp_path / "s.sqlite"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        ("UPDATE schema_version SET version_num = '9999'", "newer release"),
        ("DELETE FROM schema_version", "says nothing"),
        ("DROP TABLE schema_version", "something else"),
        ("CREATE TRIGGER evil AFTER DELETE ON keys BEGIN DELETE FROM people; END", "trigger 'evil'"),
        ("CREATE VIEW evil AS SELECT 1", "view 'evil'"),
        ("PRAGMA foreign_keys = OFF; DELETE FROM items", "belong to nothing"),
    ],
)
async def test_what_is_not_ours_or_newer_is_refused(tmp_path: Path, spoil: str, said: str) -> None:
    path = await make(tmp_path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.executescript(spoil)

    with pytest.raises(Unfit, match=said):
        examine(path)


@pytest.mark.parametrize("raw", [b"", b"x" * 8192, b"SQLite format 3\0" + b"\0" * 8192])
def test_what_is_no_database_is_refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x.sqlite").write_bytes(raw)

    with pytest.raises(Unfit):
        examine(tmp_path / "x.sqlite")


async def test_every_byte_that_is_cut_off_or_damaged_is_noticed_or_harmless(tmp_path: Path) -> None:
    path = await make(tmp_path)
    whole = path.read_bytes()
    for size in range(0, len(whole), 4096 * 7):
        path.write_bytes(whole[:size])
        with pytest.raises(Unfit):
            examine(path)


def test_a_snapshot_of_an_older_release_is_brought_up(tmp_path: Path) -> None:
    old = tmp_path / "old.sqlite"
    with create_engine(f"sqlite:///{old}").begin() as connection:
        config = Config()
        config.set_main_option("script_location", "runtime.stores:migrations")
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
    with closing(sqlite3.connect(old, isolation_level=None)) as db:
        db.execute(
            "INSERT INTO keys (id, tenant, name, prefix, hash, scopes, models, pins, created_s, active)"
            " VALUES ('key_1', 'default', 'ci', 'gw-', 'h', '[]', '[]', '[]', 1.0, 1)"
        )

    assert examine(old).schema == "0002"
    contents = fit(old)
    assert (contents.schema, contents.rows["keys"], contents.rows["people"]) == (SCHEMA, 1, 0)
    assert not [path.name for path in tmp_path.iterdir() if path != old]


async def test_a_restore_that_fails_changes_nothing(tmp_path: Path) -> None:
    path = await make(tmp_path)
    database = Database(database_url(None, tmp_path / "data"))
    await SqlKeys(database).add(msgspec.structs.replace(KEY, id="key_2", hash="1" * 64))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("DROP TABLE people")

    with pytest.raises(StoreError):
        await restore(database, path)
    assert len((await SqlKeys(database).all()).keys) == 2
    assert await SqlPeople(database).who("t1", 2.0) is not None
    assert (tmp_path / "data" / DATABASE_FILE).exists()
    await database.aclose()
