"""A caller of the simulated provider with a clock that stands still and a sleep that only takes notes."""

import asyncio
import json

import pytest

from runtime.errors import GatewayError
from runtime.upstream.simulated import SimulatedUpstream
from runtime.upstream.types import Destination, Limits, UpstreamRequest, UpstreamResponse

NOW = 1_795_219_200
LIMITS = Limits(connect_ms=1_000, first_byte_ms=10_000, idle_ms=5_000, total_ms=60_000)


class Caller:
    """``slept`` are the pauses that were made, in seconds, but for those of no length."""

    def __init__(self) -> None:
        self.slept: list[float] = []
        self._upstream = SimulatedUpstream(now=lambda: NOW + 0.75, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        if seconds:
            self.slept.append(seconds)
        await asyncio.sleep(0)

    async def send(
        self, body: object, *, url: str = "sim://local/chat/completions", method: str = "POST", limits: Limits = LIMITS
    ) -> UpstreamResponse:
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self._upstream.send(UpstreamRequest(Destination(method, url, ()), data, limits))

    async def ask(self, model: str, text: str = "Hello", **fields: object) -> tuple[int, dict[str, str], bytes]:
        """Status, headers and body of a chat request with one user message, unless ``messages`` are given."""
        body = {"model": model, "messages": [{"role": "user", "content": text}]} | fields
        response = await self.send(body)
        return response.status, dict(response.headers), await response.read(10_000_000)

    async def stream(
        self, model: str, text: str = "Hello", *, limits: Limits = LIMITS, **fields: object
    ) -> tuple[list[bytes], GatewayError | None]:
        """The chunks, and the error that ended them."""
        body = {"model": model, "messages": [{"role": "user", "content": text}], "stream": True} | fields
        response = await self.send(body, limits=limits)
        assert response.headers["content-type"].startswith("text/event-stream")
        chunks: list[bytes] = []
        try:
            async for chunk in response.chunks():
                chunks.append(chunk)
        except GatewayError as failure:
            return chunks, failure
        return chunks, None


@pytest.fixture
def caller() -> Caller:
    return Caller()


def events(chunks: list[bytes]) -> list[dict]:
    """The JSON events of a stream that must be complete."""
    *parts, last = b"".join(chunks).split(b"\n\n")[:-1]
    assert last == b"data: [DONE]"
    return [json.loads(part.removeprefix(b"data: ")) for part in parts]
