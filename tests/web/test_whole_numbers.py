"""A whole number in a query is written in digits, as JSON writes it; another spelling is refused by its parameter's name."""

from __future__ import annotations

import json
from typing import Annotated
from urllib.parse import quote

import pytest
from litestar import Litestar
from litestar.params import FromQuery, QueryParameter

from runtime.web.failure import exception_handler
from runtime.web.front import Front
from runtime.web.typed import typed
from tests.web.script import call, front


def app(parts: Front) -> Litestar:
    @typed(parts, "GET", ["/things"], operation_id="getThings", scope="public")
    async def get_things(
        limit: Annotated[int, QueryParameter(ge=1, le=1000)] = 200,
        window_ms: Annotated[int | None, QueryParameter(name="windowMs")] = None,
        text: FromQuery[str] = "",
    ) -> dict[str, object]:
        return {"limit": limit, "windowMs": window_ms, "text": text}

    handler = exception_handler(parts, lambda *_: None)
    return Litestar([get_things], openapi_config=None, logging_config=None, exception_handlers={Exception: handler})


@pytest.mark.parametrize(
    "written", ["1e3", "1E2", "5.0", "5e0", "+5", " 5", "5 ", "1_0", "٥", "５", "²", "-0", "005", "0x5", "", "9" * 5000]
)
@pytest.mark.parametrize("name", ["limit", "windowMs"])
async def test_another_spelling_of_a_number_is_refused(name: str, written: str) -> None:
    answer = await call(app(front()), "GET", "/things", query=f"{name}={quote(written)}")

    told = json.loads(answer.body)
    assert (400, name) == (answer.status, told["param"])
    assert "whole number" in told["detail"]


async def test_digits_are_a_number_and_texts_are_left_alone() -> None:
    answer = await call(app(front()), "GET", "/things", query="limit=1000&windowMs=-5&text=1e3")

    assert {"limit": 1000, "windowMs": -5, "text": "1e3"} == json.loads(answer.body)
