"""The web framework's application of all routes, made once for all workers that a process forks.

To register hundreds of operations takes longer than the rest of a worker's start, and comes to the same in each: routes know
neither a plan nor a service. That a worker registers them by itself is seen where a server is a program of its own.
"""

from __future__ import annotations

import asyncio
import logging
import os
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest import mock

from litestar.logging import LoggingConfig

from runtime.app import Ready, assemble
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.effective import Base, Effective
from runtime.config.files import MAIN, Source
from runtime.config.secrets import Secrets
from runtime.stores.database import database_url
from runtime.stores.vault import StoreKey, Vault
from runtime.surface import Served, Surface
from runtime.web.framework import application
from runtime.web.front import Front

if TYPE_CHECKING:
    from litestar import Litestar

__all__ = ["Registered", "register_before_forks"]

CONFIG = b"version: 1\ndiscovery: {providers: none}\nlogging: {level: error}\nproviders: {sim: {}}\n"

OnFault = Callable[[Exception, str], None]


class Registered:
    """The routes of a gateway, and the application that has them all. One surface per process may be made of it."""

    def __init__(self) -> None:
        with tempfile.TemporaryDirectory() as data:
            surface = cast("Surface", assemble(_ready(Path(data))).worker._app)
        self.standing, self.front, self.routes = surface._standing, surface._front, surface._routes
        self.told: OnFault | None = None
        with mock.patch.object(LoggingConfig, "configure", return_value=logging.getLogger):
            self.app = application(self.routes, self.front, self._on_fault)

    def log(self) -> None:
        """What the framework does when it registers, and in no process before: it begins a thread."""
        config = self.app.logging_config
        assert config is not None
        self.app.get_logger = config.configure()
        self.app.logger = self.app.get_logger("litestar")

    def _on_fault(self, error: Exception, request_id: str) -> None:
        assert self.told is not None
        self.told(error, request_id)


def register_before_forks() -> None:
    """From now on a worker that this process forks finds its routes registered."""
    made = Registered()

    class Forked(Surface):
        def __init__(self, services: Sequence[Served], front: Front, on_fault: OnFault) -> None:
            assert made.told is None, "another surface of this process would have its services replaced"
            assert list(made.standing) == [each.build for each in services]
            self._standing, self._front, self._routes = made.standing, made.front, made.routes
            self._on_fault = made.told = on_fault
            self._app: Litestar | None = None
            self._registering: asyncio.Future[Litestar] | None = None
            self.use(services, front)

        def _register(self) -> Litestar:
            made.log()
            return made.app

    mock.patch("runtime.app.Surface", Forked).start()


def _ready(data: Path) -> Ready:
    sources, catalog = (Source(MAIN, CONFIG),), Catalog.shipped()
    artefact = compile_plan(sources, catalog).artefact
    assert artefact is not None
    secrets = Secrets(connections=dict.fromkeys(artefact.plan.connections), keys={})
    base = Base(sources=sources, catalog=catalog, look_up=lambda _: None)
    return Ready(
        effective=Effective(artefact=artefact, secrets=secrets, overrides=(), base=base),
        base=base,
        vault=Vault(lambda: StoreKey("unused"), (), os.urandom),
        host="127.0.0.1",
        port=1,
        pepper=b"p" * 32,
        dev_key=None,
        data_dir=data,
        database=database_url(None, data),
    )
