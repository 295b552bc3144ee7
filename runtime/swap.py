"""The application that a server is given: one reference to the application of the plan in force, and the worker's life.

A call is answered to its end by the application it came to; the next one by whatever is in force then. What a plan's
application holds goes with its last call.
"""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import cast

from litestar import Litestar
from litestar.routes import ASGIRoute
from litestar.types import ASGIApp, LifeSpanReceive, LifeSpanSend, Receive, Scope, Send

from runtime.lifespan import Life

__all__ = ["Worker"]


class Worker:
    """An ASGI application. ``lives`` begin, one after the other, before the first call, and end after the last."""

    def __init__(self, serving: ASGIApp, lives: Sequence[Life]) -> None:
        self._serving = serving
        self._straight = _straight(serving)
        self._lives = lives

    def swap(self, serving: ASGIApp) -> None:
        """From now on calls come to ``serving``."""
        gc.unfreeze()  # what the plan before holds is to go
        self._serving = serving
        self._straight = _straight(serving)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if cast("str", scope["type"]) == "lifespan":
            return self._live(cast("LifeSpanReceive", receive), cast("LifeSpanSend", send))
        straight = self._straight.get(scope["path"])
        return (self._serving if straight is None else straight)(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self) -> AsyncGenerator[None, None]:
        """The worker's life: calls are answered in the block."""
        async with AsyncExitStack() as stack:
            for life in self._lives:
                await stack.enter_async_context(life())
            gc.freeze()  # what is here now stays; to look through it again and again would stop all calls for a tenth of a second
            stack.callback(gc.unfreeze)
            yield

    async def _live(self, receive: LifeSpanReceive, send: LifeSpanSend) -> None:
        """The lifespan protocol of ASGI. What goes wrong at the beginning is raised, too: a server logs it."""
        await receive()
        begun = False
        try:
            async with self.lifespan():
                begun = True
                await send({"type": "lifespan.startup.complete"})
                await receive()
        except Exception as error:
            if begun:
                await send({"type": "lifespan.shutdown.failed", "message": str(error)})
            else:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
            raise
        await send({"type": "lifespan.shutdown.complete"})


def _straight(serving: ASGIApp) -> Mapping[str, ASGIApp]:
    """The routes of ``serving`` that are ASGI applications themselves, by their paths.

    They answer everything that comes to their path, faults of ours included, so that the framework's own wrapping of each call
    and of each message would do nothing but cost.
    """
    if not isinstance(serving, Litestar):
        return {}
    return {
        route.path: cast("ASGIApp", route.route_handler.fn)
        for route in serving.routes
        if isinstance(route, ASGIRoute) and not route.path_parameters
    }
