"""Vectors over HTTP: three vendors' clients, each before three vendors' protocols, and what goes wrong on the way."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import httpx
import ollama
import openai
import pytest
from google import genai
from google.genai import errors, types

from tests.support.gateway import Running, gateway
from tests.support.raw_server import RawConnection, RawRequest, answer, each_request, raw_server
from tests.support.vendor import KEY

PROVIDERS = ("openai_like", "gemini_like", "ollama_like")
TEXTS = ["one", "zwölf"]
SECRET_TEXT = "the-text-that-no-log-shows"

CONFIG = """version: 1
discovery: {{providers: none}}
logging: {{level: debug}}
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
providers:
  sim:
    connections: [{{id: sim}}]
  openai_like:
    base_url: {url}/v1
    surfaces: {{openai_embeddings: {{}}}}
    models: {models}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
  gemini_like:
    base_url: {url}
    surfaces: {{gemini_embeddings: {{max_inputs: 100}}}}
    auth: {{header: x-goog-api-key, prefix: ""}}
    models: {models}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
  ollama_like:
    base_url: {url}
    surfaces: {{ollama_embeddings: {{}}}}
    models: {models}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
combos:
  either: {{targets: [gemini_like/vec, openai_like/vec]}}
"""
MODELS = "{vec: {endpoint: embeddings}, limited: {endpoint: embeddings}, short: {endpoint: embeddings}}"


class Seen(NamedTuple):
    path: str
    body: Any


class Fake:
    """Three vendors in one: each refuses what its API has no name for. `limited` is rate-limited, `short` forgets a vector."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Seen] = []
        self.complaints: list[str] = []

    async def respond(self, connection: RawConnection, request: RawRequest) -> None:
        body = json.loads(request.body)
        self.seen.append(Seen(request.target, body))
        try:
            status, told = self._told(request, body)
        except AssertionError as error:
            self.complaints.append(f"{request.target}: {error}")
            status, told = 400, {"error": {"message": str(error), "code": 400, "status": "INVALID_ARGUMENT"}}
        await connection.send(answer(json.dumps(told).encode(), "content-type: application/json", status=status))

    def _told(self, request: RawRequest, body: Any) -> tuple[int, object]:
        if request.target == "/v1/embeddings":
            assert request.headers.get("authorization") == f"Bearer {KEY}", "no key"
            return _limited(body["model"]) or (200, _openai(body))
        assert request.headers.get("x-goog-api-key" if "batch" in request.target else "authorization"), "no key"
        if request.target == "/api/embed":
            return _limited(body["model"]) or (200, _ollama(body))
        model = request.target.removeprefix("/v1beta/models/").removesuffix(":batchEmbedContents")
        assert "/" not in model, "no such path"
        return _limited(model) or (200, _gemini(model, body))


def vector(text: str) -> list[float]:
    return [float(len(text)), 0.5, -0.25]


def _vectors(model: str, texts: list[str]) -> list[list[float]]:
    return [vector(text) for text in texts][model == "short" :]


def _limited(model: str) -> tuple[int, object] | None:
    told = {"message": "too many", "code": 429, "type": "rate_limit_error", "status": "RESOURCE_EXHAUSTED"}
    return (429, {"error": told}) if model == "limited" else None


def _openai(body: Any) -> object:
    assert set(body) <= {"model", "input", "encoding_format", "dimensions", "user"}, f"fields {sorted(body)}"
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    packed = body.get("encoding_format") == "base64"
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(struct.pack("<3f", *each)).decode() if packed else each,
        }
        for index, each in enumerate(_vectors(body["model"], texts))
    ]
    return {"object": "list", "model": body["model"], "data": data, "usage": {"prompt_tokens": 7, "total_tokens": 7}}


def _gemini(model: str, body: Any) -> object:
    assert set(body) == {"requests"}, f"fields {sorted(body)}"
    assert len(body["requests"]) <= 100, "at most 100 requests can be in one batch"
    for one in body["requests"]:
        known = {"model", "content", "taskType", "task_type", "title", "outputDimensionality", "output_dimensionality"}
        assert set(one) <= known, f"fields {sorted(one)}"
        assert one["model"] == f"models/{model}", f"model {one['model']}"
    texts = ["".join(part["text"] for part in one["content"]["parts"]) for one in body["requests"]]
    return {"embeddings": [{"values": each} for each in _vectors(model, texts)]}


def _ollama(body: Any) -> object:
    known = {"model", "input", "dimensions", "truncate", "options", "keep_alive"}
    assert set(body) <= known, f"fields {sorted(body)}"
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    return {"model": body["model"], "embeddings": _vectors(body["model"], texts), "prompt_eval_count": 7}


@pytest.fixture(scope="module")
def fake() -> Iterator[Fake]:
    """Served from a thread of its own, because the clients below block."""
    made, started, stop = Fake(), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with raw_server(each_request(made.respond)) as server:
            made.url = server.url
            started.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
    thread.start()
    assert started.wait(60)
    yield made
    loops[0].call_soon_threadsafe(stop.set)
    thread.join(10)


@pytest.fixture(scope="module")
def running(fake: Fake, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = CONFIG.format(url=fake.url, models=MODELS)
    with gateway(tmp_path_factory.mktemp("embeddings"), config, {"VENDOR_KEY": KEY}) as served:
        yield served
        assert KEY not in served.log
        assert SECRET_TEXT not in served.log


@pytest.fixture(params=PROVIDERS)
def provider(request: pytest.FixtureRequest, fake: Fake) -> Iterator[str]:
    """Every test that takes it runs before each protocol, and the vendor must have had nothing to complain of."""
    fake.seen.clear()
    fake.complaints.clear()
    yield str(request.param)
    assert [] == fake.complaints


def by_openai(running: Running, model: str, texts: list[str], length: int | None = None) -> list[list[float]]:
    with openai.OpenAI(base_url=f"{running.url}/v1", api_key=running.key, max_retries=0) as client:
        given = client.embeddings.create(model=model, input=texts, dimensions=length or openai.omit)
        return [each.embedding for each in given.data]


def by_google(running: Running, model: str, texts: list[str], length: int | None = None) -> list[list[float]]:
    options = types.HttpOptions(base_url=running.url, retry_options=types.HttpRetryOptions(attempts=1))
    config = types.EmbedContentConfig(output_dimensionality=length)
    with genai.Client(api_key=running.key, http_options=options) as client:
        given = client.models.embed_content(model=model, contents=list(texts), config=config)
        return [each.values or [] for each in given.embeddings or []]


def by_ollama(running: Running, model: str, texts: list[str], length: int | None = None) -> list[list[float]]:
    with ollamas(running) as client:
        return [list(each) for each in client.embed(model, texts, dimensions=length).embeddings]


def ollamas(running: Running) -> ollama.Client:
    return ollama.Client(host=running.url, headers={"authorization": f"Bearer {running.key}"})


CLIENTS: dict[str, Callable[..., list[list[float]]]] = {
    "openai": by_openai,
    "google-genai": by_google,
    "ollama": by_ollama,
}


@pytest.mark.parametrize("client", CLIENTS)
def test_each_client_gets_a_vector_for_each_text_in_order(running: Running, client: str, provider: str) -> None:
    assert [vector(text) for text in TEXTS] == CLIENTS[client](running, f"{provider}/vec", TEXTS)


@pytest.mark.parametrize("prefix", [True, False])
def test_below_a_provider_its_model_answers_by_the_name_that_was_asked(
    running: Running, provider: str, prefix: bool
) -> None:
    name = f"{provider}/vec" if prefix else "vec"
    reply = post(running, f"/v1/providers/{provider}/embeddings", {"model": name, "input": "one"})

    assert (200, name) == (reply.status_code, reply.json()["model"])
    assert reply.headers["x-gatewright-served"] == f"{provider}/vec"


@pytest.mark.parametrize("client", CLIENTS)
def test_one_text_gives_one_vector(running: Running, client: str, provider: str) -> None:
    assert [vector("one")] == CLIENTS[client](running, f"{provider}/vec", ["one"])


def test_more_texts_than_a_provider_takes_go_to_another_or_are_refused(running: Running, fake: Fake) -> None:
    fake.seen.clear()
    texts = [str(number) for number in range(250)]
    refused = post(running, "/v1/embeddings", {"model": "gemini_like/vec", "input": texts})

    assert 400 == refused.status_code
    assert "takes at most 100 texts in one request, and 250 were given" in refused.json()["error"]["message"]
    assert [vector(text) for text in texts] == by_openai(running, "either", texts)
    assert ["/v1/embeddings"] == [each.path for each in fake.seen]


@pytest.mark.parametrize("encoding", ["float", "base64"])
def test_openais_clients_get_the_encoding_they_asked_for(running: Running, encoding: str, provider: str) -> None:
    reply = post(running, "/v1/embeddings", {"model": f"{provider}/vec", "input": "one", "encoding_format": encoding})
    given = reply.json()["data"][0]["embedding"]

    assert vector("one") == (list(struct.unpack("<3f", base64.b64decode(given))) if encoding == "base64" else given)
    assert reply.json()["model"] == f"{provider}/vec"
    assert reply.headers["x-gatewright-served"] == f"{provider}/vec"


def test_a_length_reaches_the_provider_in_its_own_word(running: Running, fake: Fake, provider: str) -> None:
    for ask in CLIENTS.values():
        ask(running, f"{provider}/vec", TEXTS, 3)

    for seen in fake.seen:
        each = seen.body.get("requests", [seen.body])
        assert all(one.get("dimensions", one.get("outputDimensionality")) == 3 for one in each)
    assert len(fake.seen) == 3


@pytest.mark.parametrize("action", ["embedContent", "batchEmbedContents"])
def test_googles_two_actions_answer_each_in_its_own_shape(running: Running, action: str, provider: str) -> None:
    one = {"content": {"parts": [{"text": "one"}]}, "output_dimensionality": 3, "task_type": "RETRIEVAL_QUERY"}
    many = {"requests": [{"model": f"models/{provider}/vec", **one}]}
    body = one if action == "embedContent" else many
    reply = post(running, f"/v1beta/models/{provider}/vec:{action}", body)

    assert reply.status_code == 200, reply.text
    told = reply.json()
    values = {"values": vector("one")}
    assert values == (told["embedding"] if action == "embedContent" else told["embeddings"][0])


def test_a_rate_limit_is_told_in_each_dialect(running: Running, provider: str) -> None:
    with pytest.raises(openai.RateLimitError):
        by_openai(running, f"{provider}/limited", TEXTS)
    with pytest.raises(errors.ClientError) as google_error:
        by_google(running, f"{provider}/limited", TEXTS)
    with pytest.raises(ollama.ResponseError) as ollama_error:
        by_ollama(running, f"{provider}/limited", TEXTS)

    assert (google_error.value.code, google_error.value.status) == (429, "RESOURCE_EXHAUSTED")
    assert ollama_error.value.status_code == 429


def test_a_missing_vector_is_the_providers_fault_and_never_a_success(running: Running, provider: str) -> None:
    model, part = f"{provider}/short", {"content": {"parts": [{"text": "one"}]}}
    each = {
        "openai_like": post(running, "/v1/embeddings", {"model": model, "input": TEXTS}),
        "ollama_like": post(running, "/api/embed", {"model": model, "input": TEXTS}),
        "gemini_like": post(running, f"/v1beta/models/{model}:batchEmbedContents", {"requests": [part, part]}),
        "one": post(running, f"/v1beta/models/{model}:embedContent", part),
    }

    assert dict.fromkeys(each, 502) == {name: reply.status_code for name, reply in each.items()}
    assert all("vectors" in json.dumps(reply.json()["error"]) for reply in each.values())


@pytest.mark.parametrize(
    ("path", "body", "named"),
    [
        ("/v1/embeddings", {"model": "gemini_like/vec"}, "input"),
        ("/v1/embeddings", {"input": "x"}, "model"),
        ("/v1/embeddings", {"model": "gemini_like/vec", "input": [[1, 2]]}, "input"),
        ("/v1/embeddings", {"model": "gemini_like/vec", "input": []}, "input"),
        ("/v1/embeddings", {"model": "gemini_like/vec", "input": "x", "dimensions": "3"}, "dimensions"),
        ("/api/embed", {"model": "gemini_like/vec"}, "input"),
        ("/api/embed", {"model": "gemini_like/vec", "input": 3}, "input"),
        ("/v1beta/models/openai_like/vec:embedContent", {}, "content"),
        ("/v1beta/models/openai_like/vec:batchEmbedContents", {}, "requests"),
        ("/v1beta/models/openai_like/vec:batchEmbedContents", {"requests": 3}, "requests"),
        ("/v1beta/models/openai_like/vec:batchEmbedContents", {"requests": []}, "requests"),
    ],
)
def test_a_wrong_request_is_refused_with_its_field(running: Running, path: str, body: object, named: str) -> None:
    reply = post(running, path, body)

    assert reply.status_code == 400, reply.text
    assert named in reply.text


def test_vectors_are_made_once_for_an_idempotency_key(running: Running, fake: Fake, provider: str) -> None:
    body, model = {"model": f"{provider}/vec", "input": "one"}, f"{provider}/vec"
    one = {"content": {"parts": [{"text": "one"}]}}
    for path, asked in (("/v1/embeddings", body), ("/api/embed", body), (f"/v1beta/models/{model}:embedContent", one)):
        fake.seen.clear()
        key = {"idempotency-key": f"{provider}-vectors"}
        made = [post(running, path, asked, **key) for _ in range(3)]
        other = post(running, path, asked | {"dimensions": 3, "outputDimensionality": 3}, **key)

        assert [200, 200, 200, 409] == [each.status_code for each in (*made, other)]
        assert 1 == len({each.content for each in made}) == len(fake.seen)
        assert [None, "true", "true"] == [each.headers.get("x-omniroute-idempotent") for each in made]


def test_a_model_that_talks_gives_no_vectors_and_the_other_way_round(running: Running) -> None:
    embed = post(running, "/v1/embeddings", {"model": "sim/echo", "input": "x"})
    chat = post(running, "/v1/chat/completions", {"model": "openai_like/vec", "messages": [{"role": "user", "content": "x"}]})  # fmt: skip

    assert (embed.status_code, chat.status_code) == (404, 404)
    assert embed.json()["error"]["param"] == chat.json()["error"]["param"] == "model"


def test_listings_say_that_a_model_gives_vectors(running: Running) -> None:
    headers = {"authorization": f"Bearer {running.key}"}
    one = httpx.get(f"{running.url}/v1beta/models/openai_like/vec", headers=headers, timeout=30).json()
    with ollamas(running) as client:
        shown = client.show("openai_like/vec")

    assert ["embedContent", "batchEmbedContents"] == one["supportedGenerationMethods"]
    assert ["embedding"] == shown.capabilities


def test_the_log_names_the_operation_and_no_text(running: Running) -> None:
    post(running, "/v1/embeddings", {"model": "gemini_like/vec", "input": SECRET_TEXT}, **{"x-request-id": "embed-1"})
    [call] = [json.loads(line) for line in running.logged("embed-1")]

    assert ("embeddings", "gemini_like/vec", "ok") == (call["operation"], call["model"], call["outcome"])
    assert SECRET_TEXT not in running.log


def post(running: Running, path: str, body: object, **headers: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {running.key}", **headers}
    return httpx.post(running.url + path, json=body, headers=headers, timeout=30)
