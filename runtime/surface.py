"""The routes of a worker, registered once; below them the services of the plan in force, all replaced in one moment.

Registering hundreds of operations with the web framework takes half a second and leaves as much behind as a whole plan; a
change of the configuration must not. A call goes to its end with the service it came to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar, cast

import msgspec
from litestar import Litestar, Router
from litestar.exceptions import HTTPException

from runtime.web.front import Front, Fronts
from runtime.web.problem import exception_handler

__all__ = ["Served", "Surface", "served"]

S = TypeVar("S")

Build = Callable[[object, Fronts], Router]


class Served(msgspec.Struct, frozen=True):
    """A resource's operations and who implements them: ``build`` is the generated `build_router`."""

    build: Build
    service: object


def served(build: Callable[[S, Fronts], Router], service: S) -> Served:
    """``service`` implements the operations that ``build`` makes routes for."""
    return Served(cast("Build", build), service)


class Surface:
    """The application. ``services`` are those of the first plan, in the order in which their routes are found."""

    def __init__(self, services: Sequence[Served], front: Front, on_fault: Callable[[Exception, str], None]) -> None:
        self._standing = {each.build: _Standing() for each in services}
        self._front = _Front()
        self.use(services, front)
        failed = exception_handler(self._front, on_fault)
        self.app = Litestar(
            route_handlers=[build(standing, self._front) for build, standing in self._standing.items()],
            exception_handlers={Exception: failed, HTTPException: failed},
            openapi_config=None,
            request_max_body_size=None,
        )

    def use(self, services: Sequence[Served], front: Front) -> None:
        """From now on calls come to these."""
        self._front.now = front
        for each in services:
            self._standing[each.build].now = each.service


class _Front:
    """Stands for the front of the plan in force."""

    __slots__ = ("now",)

    now: Front


class _Standing:
    """Stands for a service: what is asked of it is asked of the plan's own."""

    __slots__ = ("now",)

    now: object

    def __getattr__(self, name: str) -> Callable[..., object]:
        def ask(*given: object, **named: object) -> object:
            asked: Callable[..., object] = getattr(self.now, name)
            return asked(*given, **named)

        return ask
