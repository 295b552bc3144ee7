"""The whole application in process, without a socket: what a gateway.yaml compiles to, before the simulated provider."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar
from unittest.mock import patch

import msgspec
from sqlalchemy.engine import URL

from runtime.app import Ready, assemble
from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.effective import Base, Effective
from runtime.config.files import MAIN, Source
from runtime.config.secrets import Secrets
from runtime.lifespan import Job, Life, beside
from runtime.stores.database import Database
from runtime.stores.vault import StoreKey, Vault
from runtime.surface import Surface
from tests.support.database import prepared
from tests.support.registered import Registered
from tests.web.script import Answer, call

__all__ = ["CONFIG", "KEY", "Desk"]

KEY = "gw-desk"
LIMITED_KEY = "gw-limited"
ENVIRONMENT = {"DESK_KEY": KEY, "LIMITED_KEY": LIMITED_KEY, "VIEWER_KEY": "gw-viewer", "DARK_KEY": "dark-0123456789"}
"""What is set when the configuration is changed; at the start the provider `dark` has no credential."""

CONFIG = """version: 1
discovery: {providers: none}
logging: {level: error}
providers:
  sim:
    connections: [{id: sim}]
  wide:
    base_url: http://127.0.0.1:9/v1
    surfaces: {openai_chat: {}}
    auth: {scheme: none}
    open_models: true
    connections: [{id: main}]
    models: {sim/echo-copy: {}, "Qwen/Qwen3-8B:free": {has: [tools, vision], context: 32768}}
  dark:
    base_url: https://dark.test/v1
    surfaces: {openai_chat: {}}
    connections: [{id: main, key: "${DARK_KEY}"}]
    models: {unseen: {}}
aliases:
  quick: sim/echo
keys:
  desk: {key: "${DESK_KEY}", scopes: [chat]}
  limited: {key: "${LIMITED_KEY}", scopes: [chat], models: [sim/tools]}
  viewer: {key: "${VIEWER_KEY}", scopes: [view]}
"""


class NotedDatabase(Database):
    """Closed after each test, because a desk's application never starts, and so never stops."""

    opened: ClassVar[list[NotedDatabase]] = []

    def __init__(self, url: URL, changed: Callable[[str | None], None] = lambda _: None) -> None:
        super().__init__(url, changed)
        self.opened.append(self)

    @classmethod
    async def close_all(cls) -> None:
        """What is asked again opens anew."""
        for each in cls.opened:
            await each.aclose()


def _unless_registering(*jobs: Job) -> Life:
    """The framework's routes are registered when a test asks for one of them, not beside all tests: it takes longer than most."""
    return beside(*(job for job in jobs if getattr(job, "__func__", None) is not Surface.register))


class Desk:
    """Calls an application that was built from ``config`` and keeps what it keeps below ``data``."""

    def __init__(self, data: Path, config: str = CONFIG) -> None:
        sources = (Source(MAIN, config.encode()),)
        compiled = compile_plan(sources, Catalog.shipped())
        assert compiled.artefact is not None, [str(item) for item in compiled.diagnostics]
        plan = compiled.artefact.plan
        lit = {name: None for name, one in plan.connections.items() if one.provider != "dark"}
        secrets = Secrets(connections=lit, keys={"desk": KEY, "limited": LIMITED_KEY, "viewer": "gw-viewer"})
        base = Base(
            sources=sources, catalog=Catalog.shipped(), look_up=lambda reference: ENVIRONMENT.get(reference.env or "")
        )
        ready = Ready(
            effective=Effective(artefact=compiled.artefact, secrets=secrets, overrides=(), base=base),
            base=base,
            vault=Vault(lambda: StoreKey("desk"), (), os.urandom),
            host="127.0.0.1",
            port=1,
            pepper=b"p" * 32,
            dev_key=None,
            data_dir=data,
            database=prepared(data),
        )
        self.plan = plan
        with (
            patch("runtime.lasting.Database", NotedDatabase),
            patch("runtime.app.beside", _unless_registering),
            patch("runtime.app.Surface", Registered),
        ):
            self.built = assemble(ready)
        self.app = self.built.worker

    async def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        headers: Mapping[str, str] | None = None,
        key: str | None = KEY,
        query: str = "",
    ) -> Answer:
        """``body`` is sent as it is, or as JSON."""
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        own: Iterable[tuple[str, str]] = (headers or {}).items()
        credential = [("authorization", f"Bearer {key}")] if key is not None else []
        return await call(self.app, method, path, [*credential, *own], data, query)

    async def json(self, method: str, path: str, body: object = None, **more: Any) -> Any:
        """The answer's body; it must be a success."""
        answer = await self.call(method, path, body, **more)
        assert 200 == answer.status, answer.body
        return msgspec.json.decode(answer.body)
