"""The least that this stack can do: Granian, a bare ASGI application, and aiohttp's session. Forwards, and nothing else.

Run as `granian --interface asgi benchmarks.proxy.floor:app`; `FLOOR_PORT` is the provider's. `answering` in place of `app` asks
nobody: it reads the body and answers what was prepared, which is what the server takes for itself.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp

__all__ = ["answering", "app"]

Message = MutableMapping[str, Any]
PROVIDER = f"http://127.0.0.1:{os.environ.get('FLOOR_PORT', '0')}"
ANSWER = (
    b'{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"%b"},'
    b'"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}' % (b"word " * 80)
)
sessions: list[aiohttp.ClientSession] = []


async def app(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        connector = aiohttp.TCPConnector(limit=0)
        sessions.append(aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    headers = {"content-type": "application/json"}
    async with sessions[0].post(PROVIDER + scope["path"], data=body, headers=headers) as answer:
        head = [(b"content-type", answer.headers["content-type"].encode())]
        length = answer.headers.get("content-length")
        if length is not None:
            head.append((b"content-length", length.encode()))
            await send({"type": "http.response.start", "status": answer.status, "headers": head})
            await send({"type": "http.response.body", "body": await answer.read(), "more_body": False})
            return
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        async for data in answer.content.iter_any():
            await send({"type": "http.response.body", "body": data, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def answering(
    scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
) -> None:
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        return
    await receive()
    head = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]
    await send({"type": "http.response.start", "status": 200, "headers": head})
    await send({"type": "http.response.body", "body": ANSWER, "more_body": False})
