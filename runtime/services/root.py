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
        """`Ollama is running` for what probes the bare address; ours where it is asked for, and below a prefix."""
        probed = exchange.path.strip("/") == "" and not _wants_facts(exchange.headers)
        stamp = ("x-request-id", exchange.request_id)
        await exchange.respond(
            200, ((TEXT if probed else JSON), ("vary", "accept"), stamp), OLLAMA if probed else self._answer
        )

    async def get_hello(self) -> str:
        return "hello"

    async def get_document(self) -> msgspec.Raw:
        return self._document

    @cached_property
    def _document(self) -> msgspec.Raw:
        """Read once, when it is first asked for."""
        return msgspec.Raw(resources.files("generated").joinpath("openapi.json").read_bytes())


def _wants_facts(headers: Mapping[str, str]) -> bool:
    """Whether a client names JSON, or pages for people, as what it takes; `*/*` names nothing."""
    ranges = [part.partition(";")[0].strip().lower() for part in headers.get("accept", "").split(",")]
    return any(range_ == "text/html" or range_.endswith(("/json", "+json")) for range_ in ranges)
