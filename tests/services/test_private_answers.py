"""What is answered to one key is not for the caches on the way to whoever asks next; what everybody may see may be kept."""

from __future__ import annotations

import pytest

from tests.services.desk import Desk

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("path", ["/v1/models", "/v1beta/models", "/api/tags", "/api/usage/history", "/v1/me"])
async def test_what_one_key_is_shown_is_kept_by_nobody(calling_desk: Desk, path: str) -> None:
    key = "gw-viewer" if path.startswith("/api/usage") else "gw-desk"

    assert "no-store" == (await calling_desk.call("GET", path, key=key)).headers["cache-control"]


async def test_a_kept_response_is_kept_by_us_alone(calling_desk: Desk) -> None:
    made = await calling_desk.json("POST", "/v1/responses", {"model": "sim/echo", "input": "remember"}, headers=JSON)

    for path in (f"/v1/responses/{made['id']}", f"/v1/responses/{made['id']}/input_items"):
        answer = await calling_desk.call("GET", path)
        assert (200, "no-store") == (answer.status, answer.headers["cache-control"])


@pytest.mark.parametrize("path", ["/health", "/openapi.json", "/api/init"])
async def test_what_everybody_may_see_is_left_to_caches(desk: Desk, path: str) -> None:
    assert "cache-control" not in (await desk.call("GET", path, key=None)).headers
