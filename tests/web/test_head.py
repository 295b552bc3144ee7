"""What is too large is named; what fits passes, to the byte."""

from __future__ import annotations

import pytest
from litestar import Litestar

from runtime.web.exchange import Exchange
from runtime.web.failure import exception_handler
from runtime.web.framework import raw_handler
from runtime.web.head import HeadTooLarge, demand_small_head, readable_bytes
from runtime.web.raw import RawOperation, raw_route
from runtime.web.typed import typed
from tests.web.script import call, front


def test_headers_fit_to_the_byte_and_the_largest_is_named() -> None:
    headers = [(b"host", b"x" * 6), (b"session-id", b"y" * 80)]
    demand_small_head(headers, 100)
    with pytest.raises(HeadTooLarge) as refused:
        demand_small_head(headers, 99)

    assert "session-id" == refused.value.param
    assert "the headers have 100 bytes, and 99 are taken; the largest is session-id, with 80" == refused.value.message


def test_a_name_without_end_is_not_told_back() -> None:
    with pytest.raises(HeadTooLarge) as refused:
        demand_small_head([(b"n" * 1000, b"")], 99)

    assert "n" * 64 == refused.value.param


@pytest.mark.parametrize("limit", [1, 1 << 10, 64 << 10, 4 << 20])
def test_the_server_reads_a_mebibyte_more_than_is_taken(limit: int) -> None:
    assert readable_bytes(limit) >= limit + (1 << 20)
    assert readable_bytes(limit) >= (1 << 20) + (64 << 10)


async def test_raw_and_typed_operations_refuse_it_before_they_ask_for_a_key() -> None:
    async def serve(exchange: Exchange) -> None:
        raise AssertionError("it was served")

    parts = front(keys={})
    operation = RawOperation(method="POST", operation_id="ask", protocol="gemini", scope="chat", serve=serve)

    @typed(parts, "GET", ["/things"], operation_id="getThings", scope="view")
    async def get_things() -> str:
        raise AssertionError("it was served")

    @typed(parts, "GET", ["/open"], operation_id="getOpen", scope="public")
    async def get_open() -> str:
        raise AssertionError("it was served")

    app = Litestar(
        [raw_handler(raw_route(parts, ["/ask"], [operation])), get_things, get_open],
        openapi_config=None,
        exception_handlers={Exception: exception_handler(parts, lambda *_: None)},
    )
    large = [("x-session-id", "s" * (64 << 10))]
    asked = [await call(app, *where, large) for where in (("POST", "/ask"), ("GET", "/things"), ("GET", "/open"))]

    assert [400, 400, 400] == [answer.status for answer in asked]
    assert {"close"} == {answer.headers["connection"] for answer in asked}
    assert asked[0].body.startswith(b"gemini: invalid_request: the headers have ")
    assert all(b"x-session-id" in answer.body for answer in asked)
    assert "application/problem+json" == asked[1].headers["content-type"] == asked[2].headers["content-type"]
