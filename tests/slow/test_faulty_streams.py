"""Twenty thousand streams with random faults, every client dialect against every upstream protocol: no answer looks complete
that is not, none hangs, and the process is afterwards as large as before.

`GATEWRIGHT_STREAMS` sets another number, `GATEWRIGHT_SEED` another course of events.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, Final, NamedTuple

import httpx
import pytest

from runtime.protocols import CODECS
from tests.slow.chaos import GARBAGE, Chaos, Told, text_of
from tests.support.gateway import Running, gateway
from tests.support.raw_server import each_request, raw_server

STREAMS: Final = int(os.environ.get("GATEWRIGHT_STREAMS", "20000"))
SEED: Final = int(os.environ.get("GATEWRIGHT_SEED", "20261129"))
AT_ONCE: Final = 48
SETTLED: Final = 2 / 5
"""Of all streams. By then the store has in memory what it may of its pages, and the gaps of the memory allocator have grown."""
RISE: Final = 1.04
"""Half a kilobyte that each stream leaves behind exceeds it."""
LIMIT_S: Final = 40.0
"""All limits of the gateway together are shorter."""

RESCUES: Final = {"two": "none", "splice": "splice", "buffer": "buffer"}
"""Kinds of combos, each of a protocol and one other."""

CONFIG: Final = """\
version: 1
discovery: {{providers: none}}
timeouts: {{connect: 2s, first_byte: 2s, first_token: 2s, idle: 2s, total: 20s}}
retries: {{per_target: 2, backoff: 5ms, max_backoff: 20ms}}
cooldowns: {{rate_limit: 1ms, max: 5ms}}
breakers: {{mode: ignore}}
explain: {{keep: 100}}
providers:
{providers}
combos:
{combos}
"""


class Dialect(NamedTuple):
    """``done`` is in a complete stream only, ``failed`` in one that says it failed."""

    path: str
    body: Mapping[str, Any]
    done: str
    failed: str


def dialects(model: str, name: int) -> dict[str, Dialect]:
    prompt = f"<id {name}> go on"
    said = [{"role": "user", "content": prompt}]
    parts = {"contents": [{"role": "user", "parts": [{"text": prompt}]}]}
    return {
        "openai_chat": Dialect(
            "/v1/chat/completions", {"model": model, "messages": said, "stream": True}, "[DONE]", '"error":'
        ),
        "openai_responses": Dialect(
            "/v1/responses",
            {"model": model, "input": said, "stream": True, "store": False},
            "event: response.completed",
            "event: response.failed",
        ),
        "openai_completions": Dialect(
            "/v1/completions", {"model": model, "prompt": prompt, "stream": True}, "[DONE]", '"error":'
        ),
        "anthropic_messages": Dialect(
            "/v1/messages",
            {"model": model, "messages": said, "max_tokens": 999, "stream": True},
            "message_stop",
            "event: error",
        ),
        "gemini": Dialect(
            f"/v1beta/models/{model}:streamGenerateContent?alt=sse", parts, '"finishReason":"STOP"', '"error":'
        ),
        "gemini_array": Dialect(
            f"/v1beta/models/{model}:streamGenerateContent", parts, '"finishReason":"STOP"', '"error":'
        ),
        "ollama_chat": Dialect("/api/chat", {"model": model, "messages": said}, '"done":true', '"error":'),
        "ollama_generate": Dialect("/api/generate", {"model": model, "prompt": prompt}, '"done":true', '"error":'),
    }


def said_text(client: str, body: str) -> str:
    """The answer's text as its client puts it together."""
    if client == "gemini_array":
        frames: list[Any] = json.loads(body)
    else:
        lines = (
            line.removeprefix("data:").strip() for line in body.splitlines() if not line.startswith((":", "event:"))
        )
        frames = [json.loads(line) for line in lines if line.startswith("{") and line != GARBAGE]
    match client:
        case "openai_chat":
            return "".join(c["delta"].get("content") or "" for f in frames for c in f["choices"])
        case "openai_completions":
            return "".join(c["text"] for f in frames for c in f["choices"])
        case "openai_responses":
            return "".join(f["delta"] for f in frames if f["type"] == "response.output_text.delta")
        case "anthropic_messages":
            deltas = (f["delta"] for f in frames if f["type"] == "content_block_delta")
            return "".join(d["text"] for d in deltas if d["type"] == "text_delta")
        case "ollama_chat":
            return "".join(f["message"]["content"] for f in frames)
        case "ollama_generate":
            return "".join(f["response"] for f in frames)
        case _:
            contents = (c.get("content", {}) for f in frames for c in f.get("candidates", ()))
            return "".join(p.get("text", "") for c in contents for p in c.get("parts", ()))


class Verdicts:
    def __init__(self) -> None:
        self.count: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.wrong: list[str] = []

    def judge(self, client: str, name: int, status: int, body: str, attempts: list[Told]) -> None:
        """What a client got of an answer, against what the provider gave."""
        done = dialects("m", name)[client].done in body and status == 200
        failed = status >= 400 or dialects("m", name)[client].failed in body
        last = attempts[-1] if attempts else Told("never asked", sound=False, cut=True)
        self.count["complete" if done else "failed"] += 1
        self.faults.update(told.fault for told in attempts)
        where = f"{client} <id {name}> {status}, attempts {attempts}: {body[-300:]!r}"
        if done and (last.cut or said_text(client, body) != text_of(name)):
            self.wrong.append(f"looks complete and is not: {where}")
        elif done and failed:
            self.wrong.append(f"complete and failed: {where}")
        elif not done and last.sound:
            self.wrong.append(f"was sound: {where}")
        elif not done and not failed:
            self.wrong.append(f"says nothing of its end: {where}")


async def ask(http: httpx.AsyncClient, key: str, client: str, model: str, name: int) -> tuple[int, str]:
    asked = dialects(model, name)[client]
    headers = {"authorization": f"Bearer {key}"}
    body = ""
    async with asyncio.timeout(LIMIT_S):
        async with http.stream("POST", asked.path, json=asked.body, headers=headers) as reply:
            try:
                async for text in reply.aiter_text():
                    body += text
            except httpx.RemoteProtocolError:
                body += "\n: the connection broke"
    return reply.status_code, body


def size_of(worker: int) -> tuple[int, int]:
    """Its resident memory in KiB and its open descriptors."""
    status = Path(f"/proc/{worker}/status").read_text()
    resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
    return int(resident), len(list(Path(f"/proc/{worker}/fd").iterdir()))


def worker_of(running: Running) -> int:
    main = running.process.pid
    return int(Path(f"/proc/{main}/task/{main}/children").read_text().split()[0])


def config(url: str) -> str:
    """A provider per protocol, alone and with one other behind it, to which broken answers go on or not."""
    roots = {"openai_chat": "/v1", "openai_responses": "/v1", "anthropic_messages": "", "gemini": "", "ollama_chat": ""}
    providers = "\n".join(
        f"  {protocol}: {{base_url: '{url}{roots[protocol]}', local: true, surfaces: {{{protocol}: {{}}}},"
        f" auth: {{scheme: none}}, connections: [{{id: c}}], models: {{m: {{context: 100000, has: [streaming]}}}}}}"
        for protocol in CODECS
    )
    names = list(CODECS)
    combos = "\n".join(
        f"  {kind}-{one}: {{targets: [{one}/m, {other}/m], rescue: {rescue}}}"
        for one, other in zip(names, names[1:] + names[:1], strict=True)
        for kind, rescue in RESCUES.items()
    )
    return CONFIG.format(providers=providers, combos=combos)


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="memory and descriptors are looked up in /proc")
async def test_no_faulty_stream_looks_complete_or_hangs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chaos, rng, verdicts = Chaos(SEED), Random(SEED), Verdicts()
    async with raw_server(each_request(chaos.respond)) as vendor:
        with gateway(tmp_path, config(vendor.url)) as running:
            key, worker = running.key, worker_of(running)
            limits = httpx.Limits(max_connections=AT_ONCE, max_keepalive_connections=AT_ONCE)
            async with httpx.AsyncClient(base_url=running.url, limits=limits, timeout=LIMIT_S + 5) as http:
                names = iter(range(STREAMS))
                sizes = {}

                async def go_on() -> None:
                    for name in names:
                        upstream = rng.choice(list(CODECS))
                        model = rng.choice((f"{upstream}/m", *(f"{kind}-{upstream}" for kind in RESCUES)))
                        client = rng.choice(list(dialects("m", 0)))
                        try:
                            status, body = await ask(http, key, client, model, name)
                        except TimeoutError:
                            verdicts.wrong.append(f"hung: {client} {model} <id {name}> {chaos.told.get(name)}")
                            continue
                        verdicts.judge(client, name, status, body, chaos.told.get(name, []))
                        if name == int(STREAMS * SETTLED):
                            sizes["early"] = size_of(worker)

                began_s = time.monotonic()
                await asyncio.gather(*(go_on() for _ in range(AT_ONCE)))
                took_s = time.monotonic() - began_s
            sizes["late"] = size_of(worker)
            with capsys.disabled():
                sys.stdout.write(
                    f"\n{STREAMS} streams in {took_s:.0f} s: {dict(verdicts.count)}; attempts {dict(verdicts.faults)}\n"
                    f"KiB and descriptors: {sizes}; wrong: {len(verdicts.wrong)}\n"
                )
    assert not verdicts.wrong, "\n".join(verdicts.wrong[:20])
    assert sizes["late"][1] <= sizes["early"][1]
    assert sizes["late"][0] <= sizes["early"][0] * RISE
