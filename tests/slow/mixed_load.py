"""Everything that may happen to a gateway at once, for as long as is wanted: good calls of many kinds, bad ones, clients that
leave, providers that fail, and somebody who changes keys and settings meanwhile.

Each request names itself in its prompt: `<id 42>` is a stream that `Chaos` answers, `<whole 42>` an answer in one piece. What
came back is judged by what the provider gave.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from random import Random
from typing import Any, Final

import httpx

from runtime.protocols import CODECS
from tests.slow.chaos import Chaos, text_of
from tests.slow.test_faulty_streams import LIMIT_S, Verdicts, ask, dialects
from tests.support.faults import FAULTS, envelope
from tests.support.raw_server import RawConnection, RawRequest, answer

__all__ = ["ADMIN", "CLIENT", "Mix", "Vendor", "mixed_config"]

ADMIN: Final = "gw-an-admin-of-the-tests-0123456789"
CLIENT: Final = "gw-a-client-of-the-tests-0123456789"
CLIENTS: Final = 16
PAUSE_S: Final = 0.25
CHANGE_S: Final = 5.0
ROOTS: Final = {
    "openai_chat": "/v1",
    "openai_responses": "/v1",
    "anthropic_messages": "",
    "gemini": "",
    "ollama_chat": "",
}
WHOLE: Final = {"openai_chat": "/v1/chat/completions", "anthropic_messages": "/v1/messages"}
JSON_TYPE: Final = "content-type: application/json"
CONFIG: Final = """\
version: 1
discovery: {{providers: none}}
server: {{workers: {workers}}}
timeouts: {{connect: 2s, first_byte: 2s, first_token: 2s, idle: 2s, total: 20s}}
retries: {{per_target: 2, backoff: 5ms, max_backoff: 20ms}}
cooldowns: {{rate_limit: 1ms, max: 5ms}}
breakers: {{mode: ignore}}
explain: {{keep: 100}}
logging: {{level: warning}}
keys:
  root: {{key: '${{ADMIN_KEY}}', scopes: [admin]}}
  client: {{key: '${{CLIENT_KEY}}', scopes: [chat]}}
providers:
{providers}
  vectors: {{base_url: '{url}/v1', local: true, surfaces: {{openai_embeddings: {{}}}}, auth: {{scheme: none}},
    connections: [{{id: c}}], models: {{m: {{endpoint: embeddings, prices: {{input: 0.1, output: 0}}}}}}}}
"""


def mixed_config(url: str, workers: int) -> tuple[str, Mapping[str, str]]:
    """A provider per protocol whose tokens cost something, and one of vectors; and the environment with the keys."""
    providers = "\n".join(
        f"  {protocol}: {{base_url: '{url}{ROOTS[protocol]}', local: true, surfaces: {{{protocol}: {{}}}},"
        " auth: {scheme: none}, connections: [{id: c}],"
        " models: {m: {context: 100000, has: [streaming], prices: {input: 3, output: 15}}}}"
        for protocol in CODECS
    )
    text = CONFIG.format(url=url, workers=workers, providers=providers)
    return text, {"ADMIN_KEY": ADMIN, "CLIENT_KEY": CLIENT}


class Vendor:
    """``respond`` is what is done per request. ``failed``: the last attempt at a whole answer of that name was none."""

    def __init__(self, seed: int) -> None:
        self.chaos = Chaos(seed)
        self.failed: dict[int, bool] = {}
        self._random = Random(seed)

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        named = re.search(rb"<whole (\d+)>", request.body)
        if named is None:
            await self.chaos.respond(connection, request)
            return
        name, fate = int(named[1]), self._random.random()
        protocol = "anthropic_messages" if request.target.endswith("/messages") else "openai_chat"
        self.failed[name] = fate < 0.1
        if fate < 0.05:
            fault = FAULTS[self._random.choice(("fault-400", "fault-429", "fault-500"))]._replace(retry_s=0)
            body, lines = envelope(protocol, fault)
            await connection.send(answer(body, JSON_TYPE, *lines, status=fault.status))
        elif fate < 0.09:
            connection.reset()
        elif fate < 0.1:
            await connection.gone()  # says nothing until the gateway has had enough
        else:
            await asyncio.sleep(self._random.random() * 0.05)
            body = _vectors(name) if request.target.endswith("/embeddings") else _whole(protocol, name)
            await connection.send(answer(body, JSON_TYPE))


def _whole(protocol: str, name: int) -> bytes:
    said: dict[str, Any]
    if protocol == "openai_chat":
        choice = {"index": 0, "message": {"role": "assistant", "content": text_of(name)}, "finish_reason": "stop"}
        usage = {"prompt_tokens": 11, "completion_tokens": 30, "total_tokens": 41}
        said = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
    else:
        content = [{"type": "text", "text": text_of(name)}]
        said = {
            "id": "m", "type": "message", "role": "assistant", "model": "m", "content": content, "stop_reason": "end_turn",
            "stop_sequence": None, "usage": {"input_tokens": 11, "output_tokens": 30},
        }  # fmt: skip
    return json.dumps(said).encode()


def _vectors(name: int) -> bytes:
    data = [{"object": "embedding", "index": 0, "embedding": [0.5, float(name)]}]
    usage = {"prompt_tokens": 4, "total_tokens": 4}
    return json.dumps({"object": "list", "data": data, "model": "m", "usage": usage}).encode()


class Mix:
    """Clients that call one after the other until ``over`` is set. ``done`` counts by kind, ``wrong`` tells what may not be."""

    def __init__(self, url: str, vendor: Vendor, seed: int) -> None:
        self.over = asyncio.Event()
        self.done: Counter[str] = Counter()
        self.verdicts = Verdicts()
        self._url = url
        self._vendor = vendor
        self._random = Random(seed)
        self._names = count(1)

    @property
    def wrong(self) -> list[str]:
        return self.verdicts.wrong

    async def run(self) -> None:
        limits = httpx.Limits(max_connections=CLIENTS + 1, max_keepalive_connections=CLIENTS + 1)
        async with httpx.AsyncClient(base_url=self._url, limits=limits, timeout=LIMIT_S + 5) as http:
            await asyncio.gather(self._manage(http), *(self._call_on(http) for _ in range(CLIENTS)))

    async def _call_on(self, http: httpx.AsyncClient) -> None:
        kinds: tuple[Callable[[httpx.AsyncClient, int], Awaitable[None]], ...] = (
            self._stream, self._whole, self._vectors, self._refused, self._malformed, self._leave,
        )  # fmt: skip
        while not self.over.is_set():
            (kind,) = self._random.choices(kinds, (30, 40, 8, 8, 6, 8))
            name = next(self._names)
            try:
                await kind(http, name)
            except (TimeoutError, httpx.HTTPError) as failure:
                self.wrong.append(f"{kind.__name__} {name}: {failure!r}")
            self.done[kind.__name__.strip("_")] += 1
            self._vendor.failed.pop(name, None)
            self._vendor.chaos.told.pop(name, None)
            await asyncio.sleep(self._random.random() * PAUSE_S)

    async def _stream(self, http: httpx.AsyncClient, name: int) -> None:
        model, client = f"{self._random.choice(list(CODECS))}/m", self._random.choice(list(dialects("m", 0)))
        status, body = await ask(http, CLIENT, client, model, name)
        self.verdicts.judge(client, name, status, body, self._vendor.chaos.told.get(name, []))

    async def _whole(self, http: httpx.AsyncClient, name: int) -> None:
        client, upstream = self._random.choice(list(WHOLE)), self._random.choice(list(WHOLE))
        reply = await http.post(WHOLE[client], json=_asked(f"{upstream}/m", name), headers=_bearer(CLIENT))
        if self._answered(name, reply):
            body = reply.json()
            said = body["choices"][0]["message"] if client == "openai_chat" else body["content"][0]
            self._expect(said.get("content", said.get("text")) == text_of(name), name, reply)

    async def _vectors(self, http: httpx.AsyncClient, name: int) -> None:
        body = {"model": "vectors/m", "input": [f"<whole {name}>"]}
        reply = await http.post("/v1/embeddings", json=body, headers=_bearer(CLIENT))
        if self._answered(name, reply):
            self._expect(reply.json()["data"][0]["embedding"] == [0.5, float(name)], name, reply)

    async def _refused(self, http: httpx.AsyncClient, name: int) -> None:
        body, path = _asked("openai_chat/m", name), self._random.choice(list(WHOLE.values()))
        reply = await http.post(path, json=body, headers=_bearer(f"gw-nobody-{name}"))
        self._expect(reply.status_code == 401 and _declares(reply), name, reply)

    async def _malformed(self, http: httpx.AsyncClient, name: int) -> None:
        body = json.dumps(_asked("openai_chat/m", name)).encode()[:-1]
        path, headers = (
            self._random.choice(list(WHOLE.values())),
            _bearer(CLIENT) | {"content-type": "application/json"},
        )
        reply = await http.post(path, content=body, headers=headers)
        self._expect(reply.status_code == 400 and _declares(reply), name, reply)

    async def _leave(self, http: httpx.AsyncClient, name: int) -> None:
        """Before the first byte, or after it; what is left open is the gateway's to close."""
        asked = dialects(f"{self._random.choice(list(CODECS))}/m", name)[self._random.choice(list(WHOLE))]
        try:
            async with asyncio.timeout(self._random.random() * 0.2):
                async with http.stream("POST", asked.path, json=asked.body, headers=_bearer(CLIENT)) as reply:
                    async for _ in reply.aiter_raw():
                        if self._random.random() < 0.5:
                            return
        except (TimeoutError, httpx.RemoteProtocolError):
            return

    async def _manage(self, http: httpx.AsyncClient) -> None:
        """A key comes, is used, and goes; a system prompt is switched on and off."""
        admin = _bearer(ADMIN)
        while not self.over.is_set():
            made = await http.post("/api/keys", json={"name": "passing", "scopes": ["chat"]}, headers=admin)
            self._expect(made.status_code == 201, 0, made)
            prompt = {"prompt": "Be brief.", "enabled": self._random.random() < 0.5}
            set_ = await http.put("/api/settings/system-prompt", json=prompt, headers=admin)
            self._expect(set_.status_code == 200, 0, set_)
            name = next(self._names)
            used = await http.post(
                WHOLE["openai_chat"], json=_asked("openai_chat/m", name), headers=_bearer(made.json()["key"])
            )
            # The other worker may not know it yet.
            self._expect(used.status_code == 401 or self._answered(name, used) or _declares(used), name, used)
            gone = await http.delete(f"/api/keys/{made.json()['id']}", headers=admin)
            self._expect(gone.status_code == 200, 0, gone)
            self._vendor.failed.pop(name, None)
            self.done["change"] += 3
            await asyncio.sleep(CHANGE_S)

    def _answered(self, name: int, reply: httpx.Response) -> bool:
        """Whether it is an answer; when it is not, it must say so, and the provider must have failed."""
        if reply.status_code != 200:
            self._expect(_declares(reply) and self._vendor.failed.get(name, True), name, reply)
        return reply.status_code == 200

    def _expect(self, good: bool, name: int, reply: httpx.Response) -> None:
        if not good:
            self.wrong.append(f"{reply.request.url.path} {name}: {reply.status_code} {reply.text[:300]!r}")


def _asked(model: str, name: int) -> dict[str, Any]:
    return {"model": model, "max_tokens": 999, "messages": [{"role": "user", "content": f"<whole {name}> go on"}]}


def _bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


def _declares(reply: httpx.Response) -> bool:
    """It is an error in words that a client understands."""
    try:
        return "error" in reply.json()
    except ValueError:
        return False
