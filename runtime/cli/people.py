"""``gatewright people``: who may log in to manage the gateway. Works on the store, whether or not a server runs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import msgspec
import rich_click as click
from click import argument, option  # typed, which rich_click's are not

from runtime.cli.terminal import FAULT, Stop, as_json, note, print_json, root_option

if TYPE_CHECKING:
    from runtime.stores.database import Database

__all__ = ["people"]

SCOPES = ("view", "action", "admin")

T = TypeVar("T")

stdin_option = option(
    "--password-stdin", is_flag=True, help="Read the password from standard input, up to its first line end."
)


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """What ``people list --json`` prints of each."""

    name: str
    tenant: str
    scopes: tuple[str, ...]
    password_set: str


@click.group(invoke_without_command=True)
@click.pass_context
def people(context: click.Context) -> None:
    """Say who may log in, and set their passwords."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@people.command("list")
@root_option
@as_json
def list_(root: Path, as_json: bool) -> None:
    """List who may log in. Passwords cannot be shown: the store has none, only their hashes."""

    async def ask(database: Database) -> list[Shown]:
        from runtime.stores.people import SqlPeople

        return [
            Shown(name=one.name, tenant=one.tenant, scopes=one.scopes, password_set=_time(one.changed_s))
            for one in await SqlPeople(database).all()
        ]

    found = _on_store(root, ask)
    if as_json:
        print_json(found)
        return
    for one in found:
        click.echo(f"{one.name:20} {one.tenant:16} {', '.join(one.scopes):20} password of {one.password_set}")
    if not found:
        note("Nobody can log in. `gatewright people add` adds somebody.")


@people.command()
@root_option
@argument("name", default="admin")
@option("--tenant", default="default", show_default=True, help="Whose data they see; `default` is the operator.")
@option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    default=("admin",),
    show_default=True,
    help="What they may do.",
)
@stdin_option
def add(root: Path, name: str, tenant: str, scopes: tuple[str, ...], password_stdin: bool) -> None:
    """Add somebody, called `admin` unless named, and set the password."""
    from runtime.errors import RequestError
    from runtime.web.password import demand_good_name, hash_password

    _demand_tenant(root, tenant)
    try:
        demand_good_name(name)
    except RequestError as error:
        raise Stop(FAULT, error.message) from error
    hashed = hash_password(_password(password_stdin))
    now_s = time.time()

    async def ask(database: Database) -> bool:
        from runtime.stores.people import Person, SqlPeople

        person = Person(name=name, password=hashed, tenant=tenant, scopes=scopes, created_s=now_s, changed_s=now_s)
        return await SqlPeople(database).add(person)

    if not _on_store(root, ask):
        raise Stop(FAULT, f"{name!r} is there already; `gatewright people password {name}` sets the password")
    note(f"{name} can log in.")


@people.command()
@root_option
@argument("name", default="admin")
@stdin_option
def password(root: Path, name: str, password_stdin: bool) -> None:
    """Set the password of somebody, end all of their logins, and let them try anew if they were locked out."""
    from runtime.web.password import hash_password

    hashed = hash_password(_password(password_stdin))

    async def ask(database: Database) -> bool:
        from runtime.stores.people import SqlPeople

        return await SqlPeople(database).set_password(name, hashed, time.time())

    if not _on_store(root, ask):
        raise Stop(FAULT, f"there is nobody called {name!r}; `gatewright people add {name}` adds them")
    _forget_attempts(root)
    note(f"The password of {name} was set; logins with the one before are over.")


@people.command()
@root_option
@argument("name")
def remove(root: Path, name: str) -> None:
    """Remove somebody, and end all of their logins at once."""

    async def ask(database: Database) -> bool:
        from runtime.stores.people import SqlPeople

        return await SqlPeople(database).remove(name)

    if not _on_store(root, ask):
        raise Stop(FAULT, f"there is nobody called {name!r}")
    note(f"{name} cannot log in any more.")


@people.command()
@root_option
def unlock(root: Path) -> None:
    """Forget all attempts to log in that failed, so that whoever was locked out may try at once."""
    _forget_attempts(root)
    note("Everybody may try anew.")


def _forget_attempts(root: Path) -> None:
    async def ask(database: Database) -> None:
        from runtime.stores.attempts import SqlAttempts

        await SqlAttempts(database, 1, 1.0).forget_all()

    _on_store(root, ask)


def _password(from_stdin: bool) -> str:
    """The password: from standard input, or asked for twice. Raises Stop for one that is too weak."""
    from runtime.errors import RequestError
    from runtime.web.password import demand_good_password

    if from_stdin:
        try:
            plain = sys.stdin.readline().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Stop(FAULT, "the password is no text in UTF-8") from None
    else:
        plain = _asked()
    try:
        demand_good_password(plain)
    except RequestError as error:
        raise Stop(FAULT, error.message) from error
    return plain


def _asked() -> str:
    nobody = Stop(FAULT, "there is nobody to ask for the password here; pipe it in with `--password-stdin`")
    if not _somebody_is_there():
        raise nobody
    try:
        return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))
    except click.Abort:
        if sys.stdin.isatty():  # with Ctrl-C or Ctrl-D, by whom it was asked
            raise
        raise nobody from None


def _somebody_is_there() -> bool:
    """Without a terminal what asks would warn that it cannot hide the answer, and take what was piped in for one."""
    if sys.stdin.isatty():
        return True
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True


def _demand_tenant(root: Path, tenant: str) -> None:
    from runtime.config.lock import load_artefact
    from runtime.web.key import OPERATOR

    known = load_artefact(root).plan.tenants
    if tenant != OPERATOR and tenant not in known:
        raise Stop(FAULT, f"there is no tenant {tenant!r}; known: {', '.join([OPERATOR, *known])}")


def _on_store(root: Path, ask: Callable[[Database], Awaitable[T]]) -> T:
    """What ``ask`` answers, on the store that the built plan names. Raises Stop."""
    from runtime.config.lock import load_artefact
    from runtime.config.secrets import environment, resolve_secrets
    from runtime.stores.base import StoreError
    from runtime.stores.database import Database, database_url
    from runtime.stores.migrate import migrate

    plan = load_artefact(root).plan
    found = resolve_secrets(plan, environment(root))
    if plan.store.url is not None and "store.url" not in found.urls:
        raise Stop(FAULT, f"`store.url` leads nowhere: {plan.store.url} is not set")
    url = database_url(found.urls.get("store.url"), root / plan.server.data_dir)

    async def run() -> T:
        database = Database(url)
        try:
            await migrate(database)
            return await ask(database)
        finally:
            await database.aclose()

    try:
        return asyncio.run(run())
    except StoreError as error:
        raise Stop(FAULT, f"the store cannot be used: {error}") from error


def _time(at_s: float) -> str:
    return datetime.fromtimestamp(at_s, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
