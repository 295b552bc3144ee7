"""The application that a server is given: what answers calls, and the life of the worker around it."""

from __future__ import annotations

import gc
from collections.abc import AsyncGenerator, Awaitable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, cast

from runtime.lifespan import Life

if TYPE_CHECKING:
    from litestar.types import ASGIApp, LifeSpanReceive, LifeSpanScope, LifeSpanSend, Receive, Scope, Send

__all__ = ["Worker"]


class Worker:
    """An ASGI application. ``lives`` begin, one after the other, before the first call, and end after the last."""

    def __init__(self, app: ASGIApp, lives: Sequence[Life]) -> None:
        self._app = app
        self._lives = lives

    def __call__(self, scope: Scope | LifeSpanScope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._live(cast("LifeSpanReceive", receive), cast("LifeSpanSend", send))
        return self._app(scope, receive, send)

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
