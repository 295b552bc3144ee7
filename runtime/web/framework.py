"""The web framework's application of all routes. Only what is imported from here on loads the framework."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import cast

from litestar import Litestar, asgi, route
from litestar.exceptions import HTTPException
from litestar.handlers import ASGIRouteHandler, BaseRouteHandler, HTTPRouteHandler
from litestar.plugins import PluginProtocol
from litestar.plugins.core import MsgspecDIPlugin
from litestar.routes import ASGIRoute, HTTPRoute
from litestar.types import ASGIApp, Method, Receive, Scope, Send
from typing_extensions import override

from runtime.web.failure import exception_handler
from runtime.web.front import Fronts
from runtime.web.raw import RawRoute
from runtime.web.routes import Routes

__all__ = ["application", "raw_handler"]


class _Framework(Litestar):
    """Knows msgspec's types and no others: what else is installed is not loaded, which saves nine megabytes.

    Sets up no logging of its own, which would be the whole process's, with a thread: faults are told to `application`'s caller.
    The environment does not make it show tracebacks to clients, or wait for a debugger.
    """

    def register_together(self, handlers: Iterable[BaseRouteHandler]) -> None:
        """What `register` does for one handler after the other, for all of them: it looks through all routes each time.

        That takes twice as long, and a path's route is made anew for each of its methods. ``handlers`` are nobody else's.
        """
        operations: dict[str, list[HTTPRouteHandler]] = {}
        for handler in handlers:
            handler.owner = self
            for path in handler.paths:
                if isinstance(handler, HTTPRouteHandler):
                    operations.setdefault(path, []).append(handler)
                elif isinstance(handler, ASGIRouteHandler):
                    self.routes.append(ASGIRoute(path=path, route_handler=handler))
                    handler.on_registration(self)
        for path, those in operations.items():
            together = HTTPRoute(path=path, route_handlers=those)
            self.routes.append(together)
            for each in together.route_handlers:  # the answer to OPTIONS among them
                each.on_registration(self)
            together.create_handler_map()
        self.asgi_router.construct_routing_trie()

    @staticmethod
    @override
    def _get_default_plugins(plugins: list[PluginProtocol]) -> list[PluginProtocol]:
        return [*plugins, MsgspecDIPlugin()]


def application(routes: Iterable[Routes], front: Fronts, on_fault: Callable[[Exception, str], None]) -> Litestar:
    """``routes`` in the order in which they are found; ``on_fault`` is told of faults of ours."""
    failed = exception_handler(front, on_fault)
    made = _Framework(
        exception_handlers={Exception: failed, HTTPException: failed},
        logging_config=None,
        debug=False,
        pdb_on_exception=False,
        openapi_config=None,
        request_max_body_size=None,
    )
    made.register_together(
        handler for each in routes for handler in (*each.typed(), *(raw_handler(raw) for raw in each.raw))
    )
    return made


def raw_handler(raw: RawRoute) -> BaseRouteHandler:
    """What the framework calls for ``raw``."""
    dispatcher, app = raw.answer, cast("ASGIApp", raw.answer)
    options = {"protocols": dispatcher.protocols, "allow": dispatcher.allow}
    if "{" not in raw.paths[0]:

        @asgi(list(raw.paths), copy_scope=False, opt=options)
        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            await app(scope, receive, send)

        return serve

    # Litestar 2.25 cannot find an ASGI handler below a path parameter, but a handler may return an ASGI application.
    methods = cast("list[Method]", dispatcher.methods)

    @route(list(raw.paths), http_method=methods, status_code=200, opt=options)
    async def answer() -> ASGIApp:
        return app

    return answer
