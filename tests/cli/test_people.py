"""`gatewright people`: who may log in, without a server and beside one."""

import asyncio
import json
from pathlib import Path

import pytest

from runtime.stores.attempts import SqlAttempts
from runtime.stores.database import Database, database_url
from runtime.stores.people import Person, SqlPeople
from runtime.web.password import password_matches
from tests.cli.conftest import SOUND, Run

GOOD = b"a fine and long passphrase\n"
OTHER = b"another fine passphrase\n"


@pytest.fixture(autouse=True)
def _easy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashes are made and compared in a moment; how hard they are is another test's."""
    monkeypatch.setattr("runtime.web.password._TIME", 1)
    monkeypatch.setattr("runtime.web.password._MEMORY_KIB", 8)


@pytest.fixture
def built(run: Run, root: Path) -> Path:
    (root / "gateway.yaml").write_text(SOUND + "tenants: {acme: {}}\n")
    assert 0 == run("build", "--root", root).code
    return root


def people(root: Path) -> dict[str, Person]:
    async def ask() -> tuple[Person, ...]:
        database = Database(database_url(None, root / "data"))
        try:
            return await SqlPeople(database).all()
        finally:
            await database.aclose()

    return {person.name: person for person in asyncio.run(ask())}


def test_nobody_is_there_until_somebody_is_added(run: Run, built: Path) -> None:
    assert run("people", "list", "--root", built, "--json").out.strip() == "[]"
    assert "gatewright people add" in run("people", "list", "--root", built).err

    added = run("people", "add", "--root", built, "--password-stdin", stdin=GOOD)
    assert (added.code, GOOD.decode().strip() in added.out + added.err) == (0, False)
    found = people(built)["admin"]
    assert (found.tenant, found.scopes) == ("default", ("admin",))
    assert password_matches(found.password, GOOD.decode().strip())
    assert GOOD.strip() not in (built / "data" / "gatewright.db").read_bytes()
    assert ["admin"] == [one["name"] for one in json.loads(run("people", "list", "--root", built, "--json").out)]
    assert "admin" in run("people", "list", "--root", built).out


def test_a_tenant_and_scopes_are_given_and_have_to_exist(run: Run, built: Path) -> None:
    eve = ("people", "add", "eve", "--root", built, "--password-stdin")

    assert run(*eve, "--tenant", "acme", "--scope", "view", stdin=GOOD).code == 0
    assert (people(built)["eve"].tenant, people(built)["eve"].scopes) == ("acme", ("view",))
    assert "no tenant 'acne'" in run("people", "add", "x", "--root", built, "--tenant", "acne").err
    assert run("people", "add", "x", "--root", built, "--scope", "chat").code == 1


def test_where_nobody_can_be_asked_it_says_how_else_a_password_is_given(
    run: Run, built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_terminal(*_: object, **__: object) -> str:
        raise EOFError

    monkeypatch.setattr("getpass.getpass", no_terminal)
    refused = run("people", "add", "--root", built, stdin=b"")

    assert refused.code == 1
    assert "`--password-stdin`" in refused.err


@pytest.mark.parametrize("stdin", [b"short\n", b"CHANGEMECHANGEME\n", b"", b"x" * 201 + b"\n"])
def test_a_weak_password_is_none(run: Run, built: Path, stdin: bytes) -> None:
    refused = run("people", "add", "--root", built, "--password-stdin", stdin=stdin)

    assert refused.code == 1
    assert "password" in refused.err
    assert run("people", "list", "--root", built, "--json").out.strip() == "[]"


def test_a_name_is_taken_once_and_has_to_be_one(run: Run, built: Path) -> None:
    add = ("people", "add", "--root", built, "--password-stdin")

    assert run(*add, stdin=GOOD).code == 0
    assert "is there already" in run(*add, stdin=OTHER).err
    assert password_matches(people(built)["admin"].password, GOOD.decode().strip())
    assert run(*add, "a b", stdin=GOOD).code == 1


def test_a_new_password_ends_logins_and_lets_try_anew(run: Run, built: Path) -> None:
    run("people", "add", "--root", built, "--password-stdin", stdin=GOOD)
    database = Database(database_url(None, built / "data"))

    async def before() -> None:
        await SqlPeople(database).open("t1", "admin", 1.0, 9e9)
        assert await SqlAttempts(database, 1, 900.0).begin("a", ("account:x",), 1.0) == 0.0
        await database.aclose()

    async def after() -> tuple[bool, float]:
        found = (
            await SqlPeople(database).who("t1", 2.0),
            await SqlAttempts(database, 1, 900.0).begin("b", ("account:x",), 2.0),
        )
        await database.aclose()
        return found[0] is None, found[1]

    asyncio.run(before())
    assert run("people", "password", "--root", built, "--password-stdin", stdin=OTHER).code == 0
    assert password_matches(people(built)["admin"].password, OTHER.decode().strip())
    assert asyncio.run(after()) == (True, 0.0)
    assert (
        "nobody called 'bob'" in run("people", "password", "bob", "--root", built, "--password-stdin", stdin=OTHER).err
    )


def test_somebody_is_removed_once(run: Run, built: Path) -> None:
    run("people", "add", "--root", built, "--password-stdin", stdin=GOOD)

    assert run("people", "remove", "admin", "--root", built).code == 0
    assert run("people", "remove", "admin", "--root", built).code == 1
    assert people(built) == {}
    assert run("people", "unlock", "--root", built).code == 0


def test_a_store_whose_url_is_missing_is_said(run: Run, built: Path) -> None:
    (built / "gateway.yaml").write_text(SOUND + 'store: {url: "${NO_SUCH_URL}"}\n')
    assert run("build", "--root", built).code == 0

    assert "NO_SUCH_URL" in run("people", "list", "--root", built).err
