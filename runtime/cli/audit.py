"""``gatewright audit``: compute every cost and every sum of the ledger again, and say what differs. Changes nothing."""

from __future__ import annotations

import asyncio
import datetime as dt
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import rich_click as click

from runtime.cli.terminal import DIFFERS, FAULT, SAME, Stop, as_json, print_json, root_option

if TYPE_CHECKING:
    from runtime.accounting.audit import Examined

__all__ = ["audit"]


@click.command()
@root_option
@as_json
def audit(root: Path, as_json: bool) -> int:
    """Go through the books: every cost again from its counts and price version, every sum from its rows.

    A server may be writing meanwhile. Exits 2 when something differs, or is not in the ledger because the database refused it.
    """
    from runtime.accounting.price import usd

    found = _examined(root)
    code = DIFFERS if found.differing or found.refused else SAME
    if as_json:
        print_json(found)
        return code
    for each in found.differences:
        click.echo(f"{each.kind:6} {each.where}: the ledger has {each.kept}, it should be {each.found}")
    click.echo(
        f"{found.requests:,} requests, {found.attempts:,} attempts, ${usd(found.cost_nano_usd)}; "
        f"{found.estimated:,} estimated, {found.unpriced:,} with something unpriced, {found.lost:,} lost with a worker"
    )
    click.echo(f"{found.price_versions:,} versions of prices, {found.days_checked:,} days added up again")
    if found.days_unchecked_to is not None:
        day = dt.date(1970, 1, 1) + dt.timedelta(days=found.days_unchecked_to)
        click.echo(f"up to {day} requests are gone by retention: their sums by day stand alone")
    if found.refused:
        cost = usd(found.refused_nano_usd)
        click.echo(f"{found.refused:,} requests, ${cost}, are missing: the database refused them (`gatewright doctor`)")
    click.echo(f"{found.differing:,} differences" if found.differing else "nothing differs")
    return code


def _examined(root: Path) -> Examined:
    from runtime.accounting.audit import examine
    from runtime.accounting.journal import JOURNAL
    from runtime.accounting.refused import read_refused, refused_files
    from runtime.config.lock import load_artefact
    from runtime.config.secrets import environment, resolve_secrets
    from runtime.stores.base import StoreError
    from runtime.stores.database import Database, database_url
    from runtime.stores.ledger_review import review
    from runtime.stores.migrate import SCHEMA, schema_version

    plan = load_artefact(root).plan
    secrets = resolve_secrets(plan, environment(root))
    data_dir = root / plan.server.data_dir
    url = database_url(secrets.urls.get("store.url"), data_dir)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").exists():
        raise Stop(FAULT, f"there is no database at {url.database}")

    async def read() -> Examined:
        database = Database(url)
        try:
            version = await schema_version(database)
            if version is None or version < SCHEMA:
                raise Stop(
                    FAULT, f"the database has the shape {version or 'of nothing'}; `serve` brings it to {SCHEMA}"
                )
            return await review(database, examine)
        finally:
            await database.aclose()

    try:
        refused = read_refused(refused_files(data_dir / JOURNAL))
        cost = sum(each.cost_nano_usd for each in refused)
        return msgspec.structs.replace(asyncio.run(read()), refused=len(refused), refused_nano_usd=cost)
    except (StoreError, OSError) as error:
        raise Stop(FAULT, f"the ledger cannot be read: {error}") from error
