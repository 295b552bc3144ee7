"""Starting to serve: check everything a start needs, say where to call, and hand over to Granian.

Knows the command line's wishes (host, port, workers), the environment (through `runtime.config.secrets`) and the process; builds
nothing of the application itself, which `runtime.app` does in each worker. Refuses, before the port opens, a plan that is
stale, secrets that are missing, and an open door: without authentication only loopback is served.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import resource
import secrets
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from sqlalchemy.engine import URL

from runtime.app import Ready, build
from runtime.catalog import Endpoint
from runtime.config.keyfile import kept_secret, pepper
from runtime.config.lock import load_artefact
from runtime.config.plan import LOCAL_EMBEDDING, Plan, SecretRef
from runtime.config.secrets import environment, resolve_secrets
from runtime.errors import ConfigError, GatewayError, InvalidRequest
from runtime.handover import REPLACED
from runtime.in_force import in_force, open_vault, read_stored
from runtime.protocols import CODECS, DIALECTS, client_codec
from runtime.replay.local import demand_minilm
from runtime.services.backup_files import stamp_of
from runtime.services.logging_in import FIRST
from runtime.services.upgrade import back_up_before_upgrade
from runtime.shared.choose import place_of, url_complaint
from runtime.shared.sqlite import SCHEMA, SHARED_FILE
from runtime.shared.sqlite_file import check_file
from runtime.stores.base import StoreError
from runtime.stores.database import Database, database_url
from runtime.stores.migrate import migrate_apart
from runtime.stores.people import Person, SqlPeople
from runtime.supervisor import Supervisor
from runtime.web.head import readable_bytes
from runtime.web.key import mint
from runtime.web.password import demand_good_password, hash_password
from runtime.worker import Worker

__all__ = ["load_codecs", "prepare", "serve"]

INITIAL_PASSWORD = SecretRef(env="INITIAL_PASSWORD")
"""Where the operator may give the very first password, for machines that nobody opens a terminal on."""

FAREWELL_S = 5
MAX_FILES = 65_536
OWN_FILES = 64
FILES_PER_CLIENT = 3
"""A client's connection, its provider's, and one for the kept ones and for targets that are asked at the same time."""


def load_codecs() -> None:
    """Import what every worker speaks with its clients once, before workers are forked that would each do so."""
    for name in (*CODECS, *DIALECTS):
        client_codec(name)


def serve(
    root: Path, *, host: str | None, port: int | None, workers: int | None = None, out: Callable[[str], None]
) -> int:
    """Serve the built plan below ``root`` until the process is told to stop. ``host``, ``port`` and ``workers`` win over the plan's.

    Returns the exit code. Raises ConfigError for what keeps it from starting.
    """
    ready = msgspec.structs.replace(prepare(root, host=host, port=port, workers=workers), supervisor=os.getpid())
    server = ready.plan.server
    grace_s = server.shutdown_grace_ms // 1000
    granian = Supervisor(
        "runtime.app:build",
        address=ready.host,
        port=ready.port,
        interface=Interfaces.ASGI,
        http=HTTPModes.http1,
        workers=ready.workers,
        loop=Loops.uvloop,
        websockets=False,
        backpressure=clients_at_once(_open_files()),
        http1_settings=HTTP1Settings(
            header_read_timeout=ready.plan.timeouts.body_read_ms,
            max_buffer_size=readable_bytes(server.header_limit_bytes),
        ),
        log_enabled=False,
        workers_kill_timeout=grace_s + FAREWELL_S,
        respawn_failed_workers=True,
        process_name=None,
    )
    granian.on_open = lambda: out("\n".join(banner(ready)))
    granian.say = out
    _hold_orders_while_workers_start()

    def load(opened: int | None = None) -> Worker:
        return build(msgspec.structs.replace(ready, opened=opened))

    granian.serve(target_loader=load, wrap_loader=False)
    if granian.gave_up:
        out("The gateway ends: its workers died again as soon as they were started.")
        return 1
    return 0


def prepare(root: Path, *, host: str | None, port: int | None, workers: int | None = None) -> Ready:
    """Everything a worker needs, checked. Makes the key files of the data directory where they are missing."""
    artefact = load_artefact(root)
    plan = artefact.plan
    address = host if host is not None else plan.server.host
    look_up = environment(root)
    found = resolve_secrets(plan, look_up)
    if plan.cache.semantic is not None and plan.cache.semantic.embedding == LOCAL_EMBEDDING:
        demand_minilm()  # before workers die of it, one after the other
    data = root / plan.server.data_dir
    salt = pepper(data, look_up)
    database = database_url(found.urls.get("store.url"), data)
    if _back_up(database, data, salt) and hasattr(os, "fork"):
        migrate_apart(database)  # what that loads would stay in all workers, twelve megabytes
    vault = open_vault(data, look_up)
    stored = asyncio.run(read_stored(database, vault))
    base, served = in_force(root, artefact, look_up, stored)
    if (first := look_up(INITIAL_PASSWORD)) is not None:
        asyncio.run(_add_first(database, first))
    many = plan.server.workers if workers is None else workers
    _check_shared(plan, many, data, found.urls.get("shared.url"))
    return Ready(
        effective=served,
        revision=stored.found.revision,
        resealed=stored.resealed,
        base=base,
        vault=vault,
        host=address,
        workers=many,
        data_dir=data,
        database=database,
        port=_port(address, port if port is not None else plan.server.port),
        pepper=salt,
        dev_key=_dev_key(plan, address, data, salt),
        began_s=time.time(),
        unix_offset_s=time.time() - time.monotonic(),
        start=secrets.token_hex(8),
    )


def clients_at_once(files: int) -> int:
    """How many connections a worker accepts that may open ``files``; others wait in the system's queue.

    Granian knows no pause after an `accept` that failed for want of files, and would spin; and a worker whose clients took
    them all could call no provider.
    """
    return max(1, (files - OWN_FILES) // FILES_PER_CLIENT)


def _open_files() -> int:
    """Raise what this process may open to what the system lets it have; how much that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MAX_FILES if hard == resource.RLIM_INFINITY else min(hard, MAX_FILES)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return min(soft, MAX_FILES) if soft != resource.RLIM_INFINITY else MAX_FILES
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


def _hold_orders_while_workers_start() -> None:
    """Keep orders to stop waiting until the worker can take them.

    A worker begins with the handlers of its parent, which do nothing for it, then has Granian's, which drop what comes too
    early. An order lost there would be waited out for the whole kill timeout. The application takes it when it is ready.
    """
    orders = {signal.SIGTERM, REPLACED}
    os.register_at_fork(
        before=lambda: signal.pthread_sigmask(signal.SIG_BLOCK, orders),
        after_in_parent=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, orders),
    )


def _check_shared(plan: Plan, workers: int, data: Path, url: str | None) -> None:
    """Raise ConfigError for a shared state that cannot be; one that is not reached now is served without."""
    place = place_of(plan.shared, workers)
    if place == "redis" and (complaint := url_complaint(url or "")) is not None:
        raise ConfigError(f"`shared.url` ({plan.shared.url}) leads to no Redis: {complaint}")
    if place == "file":
        check_file(data / SHARED_FILE, SCHEMA)


def _back_up(url: URL, data: Path, salt: bytes) -> bool:
    """Keep the store as it is, before it is brought into another shape. Raises ConfigError where that fails.

    Whether a file is to be brought into shape: an older release's, or one that is not there yet.
    """
    new = url.get_backend_name() == "sqlite" and not Path(url.database or "").exists()
    try:
        kept = asyncio.run(back_up_before_upgrade(url, data, stamp_of(salt), time.time, secrets.token_bytes))
    except StoreError as error:
        raise ConfigError(f"the store cannot be used: {error}") from error
    except GatewayError as error:
        raise ConfigError(f"the store cannot be backed up before it is brought into shape: {error}") from error
    return new or kept is not None


async def _add_first(url: URL, password: str) -> None:
    """Let the operator log in, who gave the very first password; later it changes nothing. Raises ConfigError."""
    database = Database(url)
    try:
        people = SqlPeople(database)
        if await people.any():
            return
        demand_good_password(password)
        hashed, now_s = await asyncio.to_thread(hash_password, password), time.time()
        await people.add_first(Person(name=FIRST, password=hashed, created_s=now_s, changed_s=now_s))
    except InvalidRequest:
        raise ConfigError(
            f"{INITIAL_PASSWORD} is no good password: 12 characters at least, and none of those that are tried first"
        ) from None
    except StoreError as error:
        raise ConfigError(f"the store cannot be used: {error}") from error
    finally:
        await database.aclose()


def _first_model(ready: Ready) -> str | None:
    """A public name to try first: the simulated provider's where it is there, else any that can be called."""
    callable_names = [
        route.name
        for route in ready.plan.routes.values()
        if route.endpoint is Endpoint.CHAT
        and any(
            connection in ready.secrets.connections for target in route.targets for connection in target.connections
        )
    ]
    return "sim/echo" if "sim/echo" in callable_names else next(iter(callable_names), None)


def _dev_key(plan: Plan, host: str, data: Path, salt: bytes) -> str | None:
    """The data directory's own key, for a plan that has none, on loopback only."""
    if plan.server.authentication == "none":
        if not _loopback(host):
            raise ConfigError(f"`server.authentication` is `none`, and {host} can be reached from other machines")
        return None
    if plan.keys:
        return None
    if not _loopback(host):
        raise ConfigError(
            f"{host} can be reached from other machines, and no `keys` are configured; see `gatewright keys new`"
        )
    return kept_secret(data / "dev-key", lambda: mint(secrets.token_bytes, salt)[0])


def _loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _port(host: str, wanted: int) -> int:
    """``wanted``, or a free port for 0. Raises ConfigError when it is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, wanted))
        except OSError as error:
            raise ConfigError(f"cannot listen on {host}:{wanted}: {error.strerror}") from error
        return int(probe.getsockname()[1])


def banner(ready: Ready) -> list[str]:
    """What a newcomer needs to make a first call. The key is shown only when it is the data directory's own."""
    url = f"http://{f'[{ready.host}]' if ':' in ready.host else ready.host}:{ready.port}"
    lines = [f"Gatewright serves build {ready.effective.artefact.build} at {url}/v1"]
    if ready.resealed:
        lines.append(f"{ready.resealed} stored secrets were encrypted anew; the earlier store key is needed no more")
    if changed := len(ready.effective.overrides):
        lines.append(
            f"{changed} override{'s' if changed > 1 else ''} of the management API in force over the build; "
            "see `gatewright diff --overrides`"
        )
    if ready.dev_key is None:
        return lines
    lines.append(f"Key (kept in data/dev-key): {ready.dev_key}")
    model = _first_model(ready)
    if model is not None:
        body = f'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello"}}], "stream": true}}'
        lines.append(f"Try: curl -N {url}/v1/chat/completions -H 'Authorization: Bearer {ready.dev_key}' -d '{body}'")
    return lines
