"""Bodies whose type is a tree of types, as generated handlers declare them: by words that are read later."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from litestar import Litestar

from runtime.web.failure import exception_handler
from runtime.web.typed import typed
from tests.web.script import call, front

if TYPE_CHECKING:
    from litestar.handlers import HTTPRouteHandler
    from litestar.params import JSONBody

Sizes = dict[str, dict[str, int]]


def measured() -> HTTPRouteHandler:
    @typed(front(), "POST", ["/sizes"], operation_id="createThing", scope="public")
    async def measure(data: JSONBody[Sizes]) -> Sizes:
        return data

    return measure


def test_the_framework_keeps_no_description_of_every_branch() -> None:
    handler = measured()
    Litestar([handler], openapi_config=None, logging_config=None)
    kept = handler.parsed_data_field

    assert kept is not None
    assert kept.inner_types == ()


def told(fault: Exception, request_id: str) -> None:
    raise AssertionError(request_id) from fault


async def test_a_tree_is_read_as_what_it_is() -> None:
    failed = exception_handler(front(), told)
    app = Litestar([measured()], openapi_config=None, logging_config=None, exception_handlers={Exception: failed})
    fits = await call(app, "POST", "/sizes", body=b'{"a": {"b": 1}}')
    wrong = await call(app, "POST", "/sizes", body=b'{"a": {"b": "x"}}')

    assert (200, {"a": {"b": 1}}) == (fits.status, json.loads(fits.body))
    assert (400, "a.b") == (wrong.status, json.loads(wrong.body)["param"])
