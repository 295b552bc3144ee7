"""One gateway for the modules below, ended behind the last: two strict vendors behind it, the simulated provider beside them.

Nothing is asked twice, and nothing is held against a vendor: each test stands alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.gateway import Running, gateway
from tests.support.vendor import KEY, Vendor, vendor

CONFIG = """version: 1
discovery: {{providers: none}}
providers:
  sim:
    connections: [{{id: sim}}]
  chatty:
    base_url: {chatty}/v1
    surfaces: {{openai_chat: {{}}}}
    open_models: true
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
  messy:
    base_url: {messy}
    surfaces: {{anthropic_messages: {{}}}}
    auth: {{header: x-api-key, prefix: ""}}
    open_models: true
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
timeouts: {{idle: 5s, first_byte: 5s, first_byte_unstreamed: 5s, first_token: 5s}}
retries: {{per_target: 0}}
cooldowns: {{max: 0s}}
breakers: {{mode: ignore}}
aliases:
  quick: chatty/plain
"""

UPSTREAMS = ("chatty", "messy")
"""Provider ids: the first speaks openai_chat, the second anthropic_messages."""


@pytest.fixture(scope="package")
def chatty() -> Iterator[Vendor]:
    with vendor("openai_chat") as fake:
        yield fake


@pytest.fixture(scope="package")
def messy() -> Iterator[Vendor]:
    with vendor("anthropic_messages") as fake:
        yield fake


@pytest.fixture(scope="package")
def served(chatty: Vendor, messy: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config = CONFIG.format(chatty=chatty.url, messy=messy.url)
    with gateway(tmp_path_factory.mktemp("gateway"), config, {"VENDOR_KEY": KEY}) as running:
        yield running
        assert KEY not in running.log
        assert running.key not in running.log.split("Try:", 1)[-1].split("\n", 1)[-1]


@pytest.fixture(params=UPSTREAMS)
def upstream(request: pytest.FixtureRequest) -> str:
    """A provider id: every test that takes it runs against both protocols."""
    return str(request.param)


@pytest.fixture
def behind(upstream: str, chatty: Vendor, messy: Vendor) -> Iterator[Vendor]:
    """The vendor behind `upstream`, empty at first and left as it was; it must not have had anything to complain of."""
    fake = chatty if upstream == "chatty" else messy
    fake.clear()
    yield fake
    complaints = fake.complaints.copy()
    fake.clear()
    assert [] == complaints


@pytest.fixture
def openai_client(served: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{served.url}/v1", api_key=served.key, max_retries=0) as client:
        yield client


@pytest.fixture
def anthropic_client(served: Running) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=served.url, api_key=served.key, max_retries=0) as client:
        yield client
