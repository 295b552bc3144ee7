"""What this server is, for whoever opens its address, and the document that describes it."""

from __future__ import annotations

from functools import cached_property
from importlib import resources

import msgspec

from generated.types.root import ApiLinks, ApiRoot

__all__ = ["Root"]


class Root:
    """Implements `generated.api.root.RootService`."""

    def __init__(self, version: str, build: str) -> None:
        self._answer = ApiRoot(
            name="Gatewright",
            version=version,
            build=build,
            links=ApiLinks(openapi="/openapi.json", models="/v1/models", health="/health"),
        )

    async def get_root(self) -> ApiRoot:
        return self._answer

    async def get_document(self) -> msgspec.Raw:
        return self._document

    @cached_property
    def _document(self) -> msgspec.Raw:
        """Read once, when it is first asked for."""
        return msgspec.Raw(resources.files("generated").joinpath("openapi.json").read_bytes())
