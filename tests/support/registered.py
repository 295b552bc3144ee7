"""The web framework's application of all routes, made once in a process for all gateways of it and of those that it forks.

To register hundreds of operations takes longer than all else at a start, and comes to the same for each: routes know neither
a plan nor a service. That a worker registers them by itself is seen where a server is a program of its own.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from contextvars import ContextVar
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast
from unittest import mock

from runtime.app import Ready, assemble
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.effective import Base, Effective
from runtime.config.files import MAIN, Source
from runtime.config.secrets import Secrets
from runtime.stores.database import database_url
from runtime.stores.vault import StoreKey, Vault
from runtime.surface import Build, Surface
from runtime.web.framework import application
from runtime.web.front import Front

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import Receive, Scope, Send

__all__ = ["Registered", "register_before_forks"]

CONFIG = b"version: 1\ndiscovery: {providers: none}\nlogging: {level: error}\nproviders: {sim: {}}\n"
ASKED: ContextVar[Surface] = ContextVar("asked")
"""The surface of the call that the shared application answers."""


class Registered(Surface):
    """Asks the application that it shares for what has no straight route."""

    def _register(self) -> Litestar:
        shared = _shared(tuple(self._standing))

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            asked = ASKED.set(self)
            try:
                await shared(scope, receive, send)
            finally:
                ASKED.reset(asked)

        return cast("Litestar", answer)


class _Service:
    """Stands for the service of the surface that is asked."""

    def __init__(self, build: Build) -> None:
        self._build = build

    def __getattr__(self, name: str) -> Callable[..., object]:
        def ask(*given: object, **named: object) -> object:
            asked: Callable[..., object] = getattr(ASKED.get()._standing[self._build].now, name)
            return asked(*given, **named)

        return ask


class _Front:
    """Stands for the front of the surface that is asked."""

    @property
    def now(self) -> Front:
        return ASKED.get()._front.now


def register_before_forks() -> None:
    """From now on an application of this process, or of one that it forks, finds its routes registered."""
    mock.patch("runtime.app.Surface", Registered).start()
    with tempfile.TemporaryDirectory() as data:
        surface = cast("Surface", assemble(_ready(Path(data))).worker._app)
    _shared(tuple(surface._standing))


@cache
def _shared(builds: tuple[Build, ...]) -> Litestar:
    front = _Front()
    return application(
        [build(_Service(build), front) for build in builds],
        front,
        lambda error, request_id: ASKED.get()._on_fault(error, request_id),
    )


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
