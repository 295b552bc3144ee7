"""A provider that keeps books of its own, and clients that keep calling a gateway which is being killed.

What the provider answered is in its books, by the request's id, which stands in the prompt: how many tokens, and whether all
of it was sent. No two answers take the same number of tokens, so nothing can stand for something else.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from random import Random

import httpx

from tests.support.raw_server import LAST_CHUNK, RawConnection, RawRequest, answer, chunk, head, raw_server

__all__ = ["INPUT_NANO_USD", "OUTPUT_NANO_USD", "Bill", "Biller", "Crowd", "biller"]

INPUT_NANO_USD, OUTPUT_NANO_USD = 3_000, 15_000
"""For one token."""

_ID = re.compile(rb"id=([a-z0-9-]+)")
_HEAD = {"id": "c", "object": "chat.completion", "created": 1, "model": "m"}


class Bill:
    """One request that came to the provider."""

    def __init__(self, number: int) -> None:
        self.times = 1
        self.sent = False
        self.prompt, self.completion = 1_000_000 + number, 500_000 + number

    @property
    def nano_usd(self) -> int:
        return self.prompt * INPUT_NANO_USD + self.completion * OUTPUT_NANO_USD

    @property
    def usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt,
            "completion_tokens": self.completion,
            "total_tokens": self.prompt + self.completion,
        }


class Biller:
    """``bills`` by the id in the prompt."""

    def __init__(self, rng: Random) -> None:
        self.url = ""
        self.bills: dict[str, Bill] = {}
        self._numbers = count()
        self._rng = rng

    async def serve(self, connection: RawConnection) -> None:
        while True:
            try:
                request = await connection.request()
            except asyncio.IncompleteReadError:
                return  # killed while it wrote: nobody asked anything
            if request is None:
                return
            await self._respond(connection, request)

    async def _respond(self, connection: RawConnection, request: RawRequest) -> None:
        found = _ID.search(request.body)
        assert found is not None, request.body
        id_ = found[1].decode()
        known = self.bills.get(id_)
        if known is not None:
            known.times += 1
        bill = self.bills[id_] = known or Bill(next(self._numbers))
        await asyncio.sleep(self._rng.random() * 0.05)
        if json.loads(request.body).get("stream"):
            await self._stream(connection, bill)
        else:
            choice = {"index": 0, "message": {"role": "assistant", "content": "word " * 20}, "finish_reason": "stop"}
            body = json.dumps({**_HEAD, "choices": [choice], "usage": bill.usage}).encode()
            await connection.send(answer(body, "content-type: application/json"))
        bill.sent = True

    async def _stream(self, connection: RawConnection, bill: Bill) -> None:
        await connection.send(head(200, "content-type: text/event-stream", "transfer-encoding: chunked"))
        for at in range(8):
            choice = {"index": 0, "delta": {"content": "word "}, "finish_reason": "stop" if at == 7 else None}
            await connection.send(_event({"choices": [choice], "usage": None}))
            await asyncio.sleep(self._rng.random() * 0.01)
        await connection.send(_event({"choices": [], "usage": bill.usage}))
        await connection.send(chunk(b"data: [DONE]\n\n") + LAST_CHUNK)


def _event(fields: dict[str, object]) -> bytes:
    return chunk(b"data: " + json.dumps({**_HEAD, "object": "chat.completion.chunk", **fields}).encode() + b"\n\n")


@asynccontextmanager
async def biller(seed: int) -> AsyncIterator[Biller]:
    made = Biller(Random(seed))
    async with raw_server(made.serve) as server:
        made.url = server.url
        yield made


class Crowd:
    """``size`` clients that call one after the other until they are told to stop. ``whole`` are the ids they had all of."""

    def __init__(self, url: str, key: str, model: str, size: int) -> None:
        self._url = f"{url}/v1/chat/completions"
        self._headers = {"authorization": f"Bearer {key}"}
        self._model = model
        self._size = size
        self._numbers = count()
        self._over = False
        self.whole: set[str] = set()
        self.refused = 0
        self.broken = 0

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=self._size)
        async with httpx.AsyncClient(timeout=20, limits=limits) as client:
            await asyncio.gather(*(self._call_on(client) for _ in range(self._size)))

    def stop(self) -> None:
        self._over = True

    async def _call_on(self, client: httpx.AsyncClient) -> None:
        while not self._over:
            number = next(self._numbers)
            try:
                await self._call(client, f"r-{number}", stream=number % 2 == 0)
            except httpx.HTTPError:
                self.broken += 1
                await asyncio.sleep(0.1)

    async def _call(self, client: httpx.AsyncClient, id_: str, *, stream: bool) -> None:
        body = {"model": self._model, "stream": stream, "messages": [{"role": "user", "content": f"id={id_}"}]}
        if stream:
            body["stream_options"] = {"include_usage": True}
        headers = {**self._headers, "x-request-id": id_}
        async with client.stream("POST", self._url, json=body, headers=headers) as response:
            data = await response.aread()
        if response.status_code != 200:
            self.refused += 1
        elif not stream or data.endswith(b"data: [DONE]\n\n"):
            self.whole.add(id_)
