"""Coding tools count thirty things at once: the provider is asked as seldom as can be, and chats go on meanwhile."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from tests.support.gateway import Running
from tests.support.vendor import Vendor

COUNT = "/v1/messages/count_tokens"


def request(text: str, model: str = "messy/plain") -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": text}], "tools": []}


async def count_all(served: Running, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    headers = {"authorization": f"Bearer {served.key}", "anthropic-version": "2023-06-01"}
    async with httpx.AsyncClient(base_url=served.url, headers=headers, timeout=30) as client:
        return await asyncio.gather(*(client.post(COUNT, json=body) for body in bodies))


async def test_thirty_equal_counts_ask_the_provider_once(served: Running, messy: Vendor) -> None:
    messy.clear()
    replies = await count_all(served, [request("count this one thing")] * 30)

    assert [(200, 42, "provider")] * 30 == [
        (reply.status_code, reply.json()["input_tokens"], reply.headers["x-gatewright-token-count"])
        for reply in replies
    ]
    assert 1 == len(messy.requests)


async def test_thirty_different_counts_are_all_answered(served: Running, messy: Vendor) -> None:
    messy.clear()
    replies = await count_all(served, [request(f"thing {number}") for number in range(30)])

    assert [200] * 30 == [reply.status_code for reply in replies]
    assert 30 == len(messy.requests)
    assert [] == messy.complaints


async def test_what_no_provider_can_count_is_estimated_without_asking(served: Running, chatty: Vendor) -> None:
    chatty.clear()
    replies = await count_all(served, [request(f"thing {number}", "chatty/plain") for number in range(30)])

    assert ["estimate"] * 30 == [reply.headers["x-gatewright-token-count"] for reply in replies]
    assert [] == chatty.requests
