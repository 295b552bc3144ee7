"""The operations of a resource, before the web framework knows them: it is loaded when it is asked for the typed ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from runtime.web.raw import RawRoute

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler

__all__ = ["Handlers", "Routes"]

Handlers: TypeAlias = "Sequence[HTTPRouteHandler]"


class Routes(msgspec.Struct, frozen=True, kw_only=True):
    """``raw`` ones are ASGI applications of their own, ``typed`` makes the framework's handlers of the others."""

    raw: Sequence[RawRoute] = ()
    typed: Callable[[], Handlers] = tuple
