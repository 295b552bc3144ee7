"""The findings of ``gatewright doctor``: one function per subject, each of which gives at least one finding.

Reads the machine and the built plan; never writes, never raises for what it came to report, never shows a secret.
"""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import shutil
import socket
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

import httpx
import msgspec
from sqlalchemy.engine import URL

from runtime.cli.kept import backups, kept, refused, waiting
from runtime.cli.lookup import look_up_below
from runtime.config.catalog import Catalog
from runtime.config.effective import Base
from runtime.config.files import read_sources
from runtime.config.lock import PLAN, load_artefact
from runtime.config.plan import Artefact, Plan
from runtime.config.secrets import Secrets, environment, resolve_secrets
from runtime.errors import ConfigError
from runtime.in_force import Stored, hidden, open_vault, outcome_of, peek
from runtime.shared import SharedError
from runtime.shared.choose import open_state, place_of, url_complaint
from runtime.shared.sqlite import SCHEMA, SHARED_FILE
from runtime.shared.sqlite_file import check_file
from runtime.stores.base import StoreError
from runtime.stores.database import Database, database_url
from runtime.stores.migrate import SCHEMA as SHAPE
from runtime.stores.migrate import schema_version

__all__ = ["Finding", "examine"]

Status = Literal["ok", "warning", "fault"]

MIN_FREE_BYTES = 256 * 2**20
MIN_FILES = 1024
PROBE_S = 5.0
SANE_SINCE_S = 1_735_689_600  # 2025-01-01: before it, certificates of today are not yet valid


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """What was found about ``subject``. A `fault` keeps the server from starting, a `warning` may surprise later."""

    subject: str
    status: Status
    message: str


def examine(root: Path, *, probe: bool) -> tuple[Finding, ...]:
    """Everything that can be said about serving the project below ``root``."""
    findings = [*python(), *clock(time.time()), *open_files(), *disk(root)]
    try:
        artefact = load_artefact(root)
    except ConfigError as error:
        return (*findings, _finding("plan", "fault", error.message))
    secrets = resolve_secrets(artefact.plan, look_up_below(root, artefact.plan))
    server = artefact.plan.server
    findings += [*plan(artefact), *port(server.host, server.port), *data_directory(root / server.data_dir)]
    findings += credentials(artefact.plan, secrets)
    findings += store(artefact.plan, root / server.data_dir, secrets.urls.get("store.url"))
    findings += overrides(root, artefact)
    findings += keepings(artefact.plan, root / server.data_dir, secrets.urls.get("store.url"))
    findings += asyncio.run(shared(artefact.plan, root / server.data_dir, secrets.urls.get("shared.url")))
    if probe:
        findings += asyncio.run(reach(artefact.plan, secrets))
    return tuple(findings)


def python() -> Iterator[Finding]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield _finding("python", "ok", f"{sys.implementation.name} {version}")


def clock(now_s: float) -> Iterator[Finding]:
    if now_s < SANE_SINCE_S:
        yield _finding("clock", "fault", "the clock is years behind: no provider's certificate will be accepted")
    else:
        yield _finding("clock", "ok", time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(now_s)))


def open_files() -> Iterator[Finding]:
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if soft != resource.RLIM_INFINITY and soft < MIN_FILES:
        yield _finding(
            "open files", "warning", f"the limit is {soft}: each stream takes two; raise it with `ulimit -n`"
        )
    else:
        yield _finding("open files", "ok", f"the limit is {'none' if soft == resource.RLIM_INFINITY else soft}")


def disk(root: Path) -> Iterator[Finding]:
    free = shutil.disk_usage(root).free
    status: Status = "ok" if free >= MIN_FREE_BYTES else "warning"
    yield _finding("disk", status, f"{free // 2**20} MiB are free")


def plan(artefact: Artefact) -> Iterator[Finding]:
    yield _finding("plan", "ok", f"{PLAN} is build {artefact.build}, as its sources say")
    routes, keys = len(artefact.plan.routes), len(artefact.plan.keys)
    yield _finding(
        "plan", "ok", f"{routes} public names, {keys} client keys, {len(artefact.plan.egress)} hosts to call"
    )


def port(host: str, number: int) -> Iterator[Finding]:
    """Whether the address can be listened on now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((host, number))
        except OSError as error:
            taken = error.errno == errno.EADDRINUSE
            reason = "another process listens there" if taken else (error.strerror or str(error))
            yield _finding("port", "fault", f"{host}:{number} cannot be listened on: {reason}")
        else:
            yield _finding("port", "ok", f"{host}:{number} is free")


def data_directory(path: Path) -> Iterator[Finding]:
    """Whether the directory can be written to, or made, and keeps its secrets to itself."""
    if not path.exists():
        parent = next(above for above in path.absolute().parents if above.exists())
        made = os.access(parent, os.W_OK)
        yield _finding("data", "ok" if made else "fault", f"{path} {'will' if made else 'cannot'} be made")
        return
    if not path.is_dir() or not os.access(path, os.W_OK | os.X_OK):
        yield _finding("data", "fault", f"{path} cannot be written to")
        return
    yield _finding("data", "ok", f"{path} can be written to")
    for file in sorted(path.iterdir()):
        if file.name not in {"pepper", "dev-key", "store-key"}:
            continue
        mode = file.stat().st_mode & 0o777
        if mode & 0o077:
            yield _finding("data", "fault", f"{file} can be read by others (mode {mode:04o}); run: chmod 600 {file}")
        if file.stat().st_size == 0:
            yield _finding("data", "fault", f"{file} is empty; delete it, and a new one is made")


def credentials(plan: Plan, secrets: Secrets) -> Iterator[Finding]:
    """Which connections can be used: names only."""
    for item in secrets.missing:
        yield _finding("secrets", "fault", f"{item.reference} {item.reason} ({item.entity})")
    lit = [id_ for id_ in plan.connections if id_ in secrets.connections]
    dark = len(plan.connections) - len(lit)
    yield _finding("providers", "ok", f"usable: {', '.join(lit) or 'none'}; {dark} more have no credential here")
    if not plan.keys and plan.server.authentication == "required":
        yield _finding("keys", "warning", "no client key is configured; `gatewright keys new` makes one")


def store(plan: Plan, data_dir: Path, url: str | None) -> Sequence[Finding]:
    """Whether the database can be reached, and which shape it has. Makes nothing."""
    if url is None and plan.store.url is not None:
        return ()  # said already
    try:
        address = database_url(url, data_dir)
    except ConfigError as error:
        return (_finding("store", "fault", error.message),)
    if address.get_backend_name() == "sqlite" and not Path(address.database or "").exists():
        return (_finding("store", "ok", f"{address.database} will be made"),)
    try:
        version = asyncio.run(_shape(address))
    except StoreError as error:
        return (_finding("store", "fault", str(error)),)
    where = address.render_as_string(hide_password=True)
    if version is None or version < SHAPE:
        return (_finding("store", "ok", f"{where} will be brought from {version or 'nothing'} to {SHAPE} by `serve`"),)
    if version > SHAPE:
        return (
            _finding("store", "warning", f"{where} has the shape {version} of a newer release; this one knows {SHAPE}"),
        )
    return (_finding("store", "ok", f"{where} has the shape {version}"),)


def overrides(root: Path, artefact: Artefact) -> Iterator[Finding]:
    """What lies over the build, whether it compiles with it, and whether its secrets can be opened."""
    look_up = environment(root)
    data_dir = root / artefact.plan.server.data_dir
    url = resolve_secrets(artefact.plan, look_up).urls.get("store.url")
    if url is None and artefact.plan.store.url is not None:
        return  # said already
    try:
        found = asyncio.run(peek(database_url(url, data_dir)))
        vault = open_vault(data_dir, look_up)
        secrets = vault.open(found.secrets) if found.secrets else {}
        base = Base(sources=read_sources(root), catalog=Catalog.shipped(), look_up=look_up)
        outcome = outcome_of(base, artefact, Stored(found=found, secrets=secrets)) if found.overrides else None
    except ConfigError as error:
        yield _finding("overrides", "fault", error.message)
        return
    if outcome is None:
        yield _finding("overrides", "ok", "nothing was changed through the management API")
    elif outcome.effective is None:
        for item in outcome.diagnostics:
            yield _finding("overrides", "fault", f"{item}; `gatewright overrides` takes changes back")
    else:
        build = outcome.effective.artefact.build
        yield _finding("overrides", "ok", f"{len(found.overrides)} lie over the build; what is served is build {build}")
        for connection in hidden(artefact, outcome.effective):
            message = f"{connection} of the files is hidden by a change; `gatewright overrides` takes changes back"
            yield _finding("overrides", "warning", message)
        if artefact.plan.server.management == "read_only":
            yield _finding("overrides", "warning", "management is read only, and earlier changes are still in force")


async def _shape(address: URL) -> str | None:
    database = Database(address)
    try:
        return await schema_version(database)
    finally:
        await database.aclose()


def keepings(plan: Plan, data_dir: Path, url: str | None) -> Iterator[Finding]:
    """What the store keeps, its backups, and what is on the way into it."""
    if url is None and plan.store.url is not None:
        return  # said already
    try:
        yield _finding("keys", "ok", asyncio.run(kept(database_url(url, data_dir))))
    except (ConfigError, StoreError):
        return  # said already
    yield _finding("ledger", "ok", waiting(data_dir))
    try:
        message = refused(data_dir)
    except OSError as error:
        message = f"what the database refused cannot be read: {error}"
    if message is not None:
        yield _finding("ledger", "warning", message)
    for sound, message in backups(data_dir):
        yield _finding("backups", "ok" if sound else "warning", message)


async def shared(plan: Plan, data_dir: Path, url: str | None) -> Sequence[Finding]:
    """Whether the state that workers share can be reached. Without it the gateway serves, and shares nothing."""
    settings, place = plan.shared, place_of(plan.shared, plan.server.workers)
    if place == "memory":
        return (_finding("shared", "ok", "each worker keeps its own state in memory"),)
    if place == "file":
        return (_shared_file(data_dir / SHARED_FILE),)
    if url is None:
        return ()  # said already
    complaint = url_complaint(url)
    if complaint is not None:
        return (_finding("shared", "fault", f"{settings.url} leads to no Redis: {complaint}"),)
    state = open_state(settings, plan.server.workers, data_dir, url)
    try:
        await state.get("doctor", "")
    except SharedError as error:
        return (_finding("shared", "warning", f"{settings.url} cannot be reached: {error}"),)
    finally:
        await state.aclose()
    return (_finding("shared", "ok", f"{settings.url} answers"),)


def _shared_file(path: Path) -> Finding:
    if not path.exists():
        return _finding("shared", "ok", f"{path} will be made")
    try:
        check_file(path, SCHEMA)
    except ConfigError as error:
        return _finding("shared", "fault", error.message)
    return _finding("shared", "ok", f"workers share {path}")


async def reach(plan: Plan, secrets: Secrets) -> Sequence[Finding]:
    """One request without a credential per usable connection: any answer will do."""
    usable = [plan.connections[id_] for id_ in secrets.connections if plan.connections[id_].base_url.startswith("http")]
    async with httpx.AsyncClient(timeout=PROBE_S, follow_redirects=False) as client:
        return await asyncio.gather(*(_probe(client, item.id, item.base_url) for item in usable))


async def _probe(client: httpx.AsyncClient, name: str, base_url: str) -> Finding:
    try:
        answer = await client.get(base_url)
    except httpx.HTTPError as error:
        return _finding("reach", "warning", f"{name} does not answer: {type(error).__name__}")
    return _finding("reach", "ok", f"{name} answers with status {answer.status_code}")


def _finding(subject: str, status: Status, message: str) -> Finding:
    return Finding(subject=subject, status=status, message=message)
