"""The routes of a worker, registered once; below them the services of the plan in force, all replaced in one moment.

Loading the web framework and registering hundreds of operations with it takes longer than all else at a start, and leaves
as much behind as a whole plan. It is therefore done beside the first calls, which need none of it where their route is an
ASGI application of its own, and not again when the configuration changes; those routes are made anew then, which takes less than
a millisecond, and ask their service without anything between. A call goes to its end with the service it came to.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar, cast

import msgspec

from runtime.web.front import Front, Fronts
from runtime.web.routes import Routes

if TYPE_CHECKING:
    from litestar import Litestar
    from litestar.types import ASGIApp, Receive, Scope, Send

__all__ = ["Served", "Surface", "served"]

S = TypeVar("S")

Build = Callable[[object, Fronts], Routes]


class Served(msgspec.Struct, frozen=True):
    """A resource's operations and who implements them: ``build`` is the generated `build_routes`."""

    build: Build
    service: object


def served(build: Callable[[S, Fronts], Routes], service: S) -> Served:
    """``service`` implements the operations that ``build`` makes routes for."""
    return Served(cast("Build", build), service)


class Surface:
    """The application. ``services`` are those of the first plan, in the order in which their routes are found."""

    def __init__(self, services: Sequence[Served], front: Front, on_fault: Callable[[Exception, str], None]) -> None:
        self._standing = {each.build: _Standing() for each in services}
        self._front = _Front()
        self._stand(services, front)
        self._on_fault = on_fault
        self._routes = [build(standing, self._front) for build, standing in self._standing.items()]
        self._app: Litestar | None = None
        self._registering: asyncio.Future[Litestar] | None = None

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        app = self._straight.get(scope["path"]) or self._app
        return self._when_registered(scope, receive, send) if app is None else app(scope, receive, send)

    def use(self, services: Sequence[Served], front: Front) -> None:
        """From now on calls come to these."""
        gc.unfreeze()  # what the plan before holds is to go
        self._stand(services, front)

    def _stand(self, services: Sequence[Served], front: Front) -> None:
        self._front.now = front
        for each in services:
            self._standing[each.build].now = each.service
        self._straight = _straight([each.build(each.service, self._front) for each in services])

    async def register(self) -> Litestar:
        """The framework's application of all routes, made when it is first asked for, in a thread."""
        if self._registering is None:
            self._registering = asyncio.ensure_future(asyncio.to_thread(self._register))
        registered = await asyncio.shield(self._registering)
        self._app = registered
        return registered

    async def _when_registered(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (await self.register())(scope, receive, send)

    def _register(self) -> Litestar:
        from runtime.web.framework import application

        app = application(self._routes, self._front, self._on_fault)
        gc.freeze()  # it stays for good: `runtime.worker` says why that matters
        return app


def _straight(routes: Sequence[Routes]) -> Mapping[str, ASGIApp]:
    """The routes that are ASGI applications themselves, by their paths.

    They answer everything that comes to their path, faults of ours included, so that the framework's own wrapping of each call
    and of each message would do nothing but cost.
    """
    return {
        path: cast("ASGIApp", raw.answer.__call__)
        for each in routes
        for raw in each.raw
        for path in raw.paths
        if "{" not in path
    }


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
