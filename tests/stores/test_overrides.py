"""What the store of overrides does, over each database."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from runtime.stores.audit import AuditEntry, AuditQuestion, SqlAudit
from runtime.stores.database import Database
from runtime.stores.overrides import OverrideChange, OverrideSet, SealedSecret, SqlOverrides, StoredOverride

COMBO = StoredOverride(section="combos", name="smart", document='{"targets": []}', author="root", changed_s=1.0)
GONE = StoredOverride(section="aliases", name="ü/*", document=None, author="root", changed_s=2.0)
SECRET = SealedSecret(id="a" * 32, store_key="k", sealed=b"\x00\xff", created_s=1.0)
ENTRY = AuditEntry(id="e1", at_s=1.0, action="combo.created", actor="root")


@pytest.fixture
def store(database: Database) -> SqlOverrides:
    return SqlOverrides(database)


def at(override: StoredOverride, revision: int) -> StoredOverride:
    return msgspec.structs.replace(override, revision=revision)


async def test_nothing_was_changed_at_first(store: SqlOverrides) -> None:
    assert OverrideSet() == await store.all()
    assert 0 == await store.revision()


async def test_a_change_is_kept_with_its_revision_and_its_entry(store: SqlOverrides, database: Database) -> None:
    assert 1 == await store.change(OverrideChange(put=(COMBO, GONE), secrets=(SECRET,)), 0, [ENTRY])

    found = await store.all()
    assert OverrideSet(revision=1, overrides=(at(GONE, 1), at(COMBO, 1)), secrets=(SECRET,)) == found
    assert (ENTRY,) == (await SqlAudit(database).find(AuditQuestion())).entries


async def test_what_is_put_again_takes_the_place_and_what_is_taken_is_gone(store: SqlOverrides) -> None:
    await store.change(OverrideChange(put=(COMBO, GONE), secrets=(SECRET,)), 0, [])
    other = msgspec.structs.replace(COMBO, document="{}", author="ann")
    await store.change(OverrideChange(put=(other,), taken=(("aliases", "ü/*"),), forgotten=(SECRET.id,)), 1, [])

    assert OverrideSet(revision=2, overrides=(at(other, 2),)) == await store.all()


async def test_upon_another_revision_nothing_is_done(store: SqlOverrides, database: Database) -> None:
    await store.change(OverrideChange(put=(COMBO,)), 0, [])
    before = await store.all()

    assert await store.change(OverrideChange(put=(GONE,), secrets=(SECRET,)), 0, [ENTRY]) is None
    assert await store.change(OverrideChange(put=(GONE,)), 7, [ENTRY]) is None
    assert before == await store.all()
    assert 0 == (await SqlAudit(database).find(AuditQuestion())).total


async def test_of_those_who_change_at_once_one_succeeds(store: SqlOverrides) -> None:
    changes = [msgspec.structs.replace(COMBO, name=f"c{number}") for number in range(8)]
    made = await asyncio.gather(*(store.change(OverrideChange(put=(each,)), 0, []) for each in changes))

    assert [1] == [each for each in made if each is not None]
    assert 1 == len((await store.all()).overrides)


async def test_a_secret_gets_another_seal_without_a_revision(store: SqlOverrides) -> None:
    await store.change(OverrideChange(secrets=(SECRET,)), 0, [])
    anew = msgspec.structs.replace(SECRET, store_key="other", sealed=b"1")
    await store.reseal([anew])

    assert OverrideSet(revision=1, secrets=(anew,)) == await store.all()
