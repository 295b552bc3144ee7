"""Streams that are long in beginning or break off, as clients see them: a real server, real SDKs, real sockets."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import anthropic
import openai
import pytest

from tests.routing.test_faults import healthy, reset, said_error, silence
from tests.routing.test_rescue import CLIENTS, after, frames, whole
from tests.support.dialect import DIALECT
from tests.support.gateway import Running, gateway
from tests.support.pipeline import Act, acts
from tests.support.raw_server import RawConnection, RawRequest, RawServer, raw_server

CONFIG = """version: 1
discovery: {{providers: none}}
providers:
  a: {{base_url: '{a}', local: true, surfaces: {{openai_chat: {{}}}}, auth: {{scheme: none}}, models: {{m: {{}}}}}}
  b: {{base_url: '{b}', local: true, surfaces: {{openai_chat: {{}}}}, auth: {{scheme: none}}, models: {{m: {{}}}}}}
combos:
  plain: {{targets: [a/m, b/m]}}
  splice: {{targets: [a/m, b/m], rescue: splice}}
  buffer: {{targets: [a/m, b/m], rescue: buffer}}
  hedged: {{targets: [a/m, b/m], hedge: {{after: 100ms}}}}
retries: {{per_target: 0}}
timeouts: {{early_head: {early_head}, keep_alive: 200ms, first_token: {first_token}, first_byte: {first_token}, total: 20s}}
"""
PATHS = {
    "openai_chat": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
    "anthropic_messages": "/v1/messages",
    "gemini": "/v1beta/models/{model}:streamGenerateContent?alt=sse",
    "ollama_chat": "/api/chat",
}


@asynccontextmanager
async def served(
    path: Path, first: Act, second: Act = healthy, first_token: str = "20s", early_head: str = "200ms"
) -> AsyncGenerator[tuple[Running, RawServer, RawServer], None]:
    async with raw_server(acts(then=first)) as a, raw_server(acts(then=second)) as b:
        config = CONFIG.format(a=a.url, b=b.url, first_token=first_token, early_head=early_head)
        with gateway(path, config) as running:
            yield running, a, b


async def ask(running: Running, client: str, model: str) -> tuple[int, dict[str, str], bytes]:
    body = DIALECT[client].body(model, stream=True)
    headers = {"authorization": f"Bearer {running.key}", "x-api-key": running.key}
    url = running.url + PATHS[client].format(model=model)
    async with aiohttp.ClientSession() as session, session.post(url, json=body, headers=headers) as reply:
        return reply.status, {name.lower(): value for name, value in reply.headers.items()}, await reply.read()


def late(then: Act, wait_s: float = 1.2) -> Act:
    async def act(connection: RawConnection, request: RawRequest) -> None:
        await asyncio.sleep(wait_s)
        await then(connection, request)

    return act


@pytest.mark.parametrize("model", ["plain", "buffer"])
async def test_a_stream_that_is_long_in_beginning_is_kept_open_where_clients_bear_it(
    tmp_path: Path, model: str
) -> None:
    async with served(tmp_path, late(healthy)) as (running, _, _):
        for client in CLIENTS:
            status, headers, body = await ask(running, client, model)

            comments = client in {"openai_chat", "openai_responses", "anthropic_messages"}
            assert 200 == status
            assert body.startswith(b": keep-alive\n\n") is comments, client
            assert ("x-gatewright-served" in headers) is not comments
            assert DIALECT[client].terminator in body
            assert b"Paris is" in body


async def test_the_vendors_own_libraries_read_over_it(tmp_path: Path) -> None:
    def chat(running: Running) -> str:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
        ask_: Any = [{"role": "user", "content": "hi"}]
        stream = client.chat.completions.create(model="plain", messages=ask_, stream=True)
        return "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)

    def responses(running: Running) -> str:
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0)
        with client.responses.stream(model="plain", input="hi") as stream:
            return stream.get_final_response().output_text

    def messages(running: Running) -> str:
        client = anthropic.Anthropic(base_url=running.url, api_key=running.key, max_retries=0)
        with client.messages.stream(model="plain", max_tokens=9, messages=[{"role": "user", "content": "hi"}]) as got:
            return "".join(got.text_stream)

    async with served(tmp_path, late(healthy)) as (running, _, _):
        for read in (chat, responses, messages):
            assert (await asyncio.to_thread(read, running)).startswith("Paris is")


async def test_a_failure_keeps_its_status_until_then_and_is_an_event_afterwards(tmp_path: Path) -> None:
    down = said_error(500, "The server had an error")
    async with served(tmp_path, down, down, early_head="15s") as (running, _, _):
        for client in CLIENTS:
            status, _, body = await ask(running, client, "plain")
            assert status >= 500, body
    async with served(tmp_path, late(down), late(down)) as (running, _, _):
        for client in CLIENTS:
            status, _, body = await ask(running, client, "plain")
            if client in {"gemini", "ollama_chat"}:
                assert status >= 500
            else:
                assert 200 == status
                assert DIALECT[client].error in body
                assert DIALECT[client].terminator not in body


async def test_silence_is_bounded_though_comments_are_sent(tmp_path: Path) -> None:
    async with served(tmp_path, silence, silence, first_token="500ms") as (running, _, _):
        status, _, body = await asyncio.wait_for(ask(running, "openai_chat", "plain"), 100)

        assert (200, True) == (status, DIALECT["openai_chat"].error in body)


async def test_a_stream_that_breaks_off_goes_on_for_the_client(tmp_path: Path) -> None:
    async with served(tmp_path, after(frames("openai_chat")[:4], reset), whole("openai_chat")) as (running, _, _):
        for client in CLIENTS:
            status, _, body = await ask(running, client, "splice")

            assert 200 == status
            assert DIALECT[client].terminator in body
            assert DIALECT[client].error not in body


async def test_a_slow_target_is_overtaken_and_its_connection_closed(tmp_path: Path) -> None:
    gone = asyncio.Event()

    async def watch(connection: RawConnection, request: RawRequest) -> None:
        await connection.gone()
        gone.set()

    async with served(tmp_path, watch) as (running, _, _):
        status, headers, body = await ask(running, "openai_chat", "hedged")

        assert (200, "b/m") == (status, headers["x-gatewright-served"])
        assert b"Paris is" in body
        await asyncio.wait_for(gone.wait(), 60)


async def test_an_order_to_stop_is_told_to_who_was_only_kept_waiting(tmp_path: Path) -> None:
    async with raw_server(acts(then=silence)) as a:
        config = (
            CONFIG.format(a=a.url, b=a.url, first_token="20s", early_head="200ms") + "server: {shutdown_grace: 0s}\n"
        )
        with gateway(tmp_path, config) as running:
            headers = {"authorization": f"Bearer {running.key}"}
            asked = DIALECT["openai_chat"].body("plain", stream=True)
            url = running.url + PATHS["openai_chat"]
            async with aiohttp.ClientSession() as session, session.post(url, json=asked, headers=headers) as reply:
                body = await reply.content.readline()
                running.process.send_signal(signal.SIGTERM)
                body += await reply.read()

    assert 200 == reply.status
    assert body.startswith(b": keep-alive")
    assert DIALECT["openai_chat"].error in body
    assert b"shut down" in body
