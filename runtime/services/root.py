"""What this server is, for whoever opens its address, and the document that describes it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from importlib import resources
from typing import Final

import msgspec

from generated.types.root import ApiLinks, ApiRoot
from runtime.web.exchange import Exchange

__all__ = ["Root"]

JSON: Final = ("content-type", "application/json")
TEXT: Final = ("content-type", "text/plain; charset=utf-8")
OLLAMA: Final = b"Ollama is running"
"""The very words that Ollama's clients compare with."""


class Root:
    """Implements `generated.api.root.RootService`."""

    def __init__(self, version: str, build: str) -> None:
        self._answer = msgspec.json.encode(
            ApiRoot(
                name="Gatewright",
                version=version,
                build=build,
                links=ApiLinks(openapi="/openapi.json", models="/v1/models", health="/health"),
            )
        )

    async def get_root(self, exchange: Exchange) -> None:
        """What this is; `Ollama is running` for what probes the bare address as Ollama's clients do."""
        probed = exchange.path.strip("/") == "" and _probes(exchange.headers)
        stamp = ("x-request-id", exchange.request_id)
        await exchange.respond(
            200, ((TEXT if probed else JSON), ("vary", "accept, user-agent"), stamp), OLLAMA if probed else self._answer
        )

    async def get_hello(self) -> str:
        return "hello"

    async def get_document(self) -> msgspec.Raw:
        return self._document

    async def get_spec(self) -> msgspec.Raw:
        return self._document

    @cached_property
    def _document(self) -> msgspec.Raw:
        """Read once, when it is first asked for."""
        return msgspec.Raw(resources.files("generated").joinpath("openapi.json").read_bytes())


def _probes(headers: Mapping[str, str]) -> bool:
    """Whether it is one of Ollama's clients, or a program that says nothing of what it takes: so they look for Ollama."""
    return not headers.get("accept") or headers.get("user-agent", "").lower().startswith("ollama")
