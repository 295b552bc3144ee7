"""One inference server and one gateway before it, for the whole run, and the SDKs that call them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from anthropic import Anthropic
from openai import OpenAI

from tests.slow.inference_server import CONTEXT_TOKENS, MODEL, InferenceServer, inference_server, missing
from tests.support.gateway import Running, gateway

# The same server twice: it speaks both protocols, so that each SDK meets one surface passed through and one translated.
CONFIG = """\
version: 1
discovery: {{providers: none}}
providers:
  chat:
    base_url: {url}/v1
    local: true
    surfaces: {{openai_chat: {{}}}}
    auth: {{scheme: none}}
    quirks: {{developer_role: false, max_tokens_field: max_tokens}}
    connections: &once
      - id: main
    models:
      {model}: {{context: {context}, has: [streaming, json_object, json_schema]}}
  messages:
    base_url: {url}
    local: true
    surfaces: {{anthropic_messages: {{}}}}
    auth: {{scheme: none}}
    connections: *once
    models:
      {model}: {{context: {context}, has: [streaming]}}
"""


@pytest.fixture(scope="session", autouse=True)
def few_authorities() -> None:
    """All of the machine's, here: foreign programs may call whom they like."""


@pytest.fixture(scope="session")
def inference(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InferenceServer]:
    """A real inference server; nothing of it is ours."""
    if lack := missing():
        pytest.fail(lack, pytrace=False)
    with inference_server(tmp_path_factory.mktemp("inference")) as server:
        yield server


@pytest.fixture(scope="session")
def served(inference: InferenceServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose only providers are that server."""
    config = CONFIG.format(url=inference.url, model=MODEL, context=CONTEXT_TOKENS)
    with gateway(tmp_path_factory.mktemp("gateway"), config) as running:
        yield running


@pytest.fixture(scope="session")
def direct(inference: InferenceServer) -> Iterator[OpenAI]:
    """Calls the inference server itself: what it says is right."""
    with OpenAI(base_url=f"{inference.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def openai(served: Running) -> Iterator[OpenAI]:
    """Calls the gateway."""
    with OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def anthropic(served: Running) -> Iterator[Anthropic]:
    """Calls the gateway."""
    with Anthropic(base_url=served.url, api_key=served.key, max_retries=0, timeout=60) as client:
        yield client
