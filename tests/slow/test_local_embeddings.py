"""The semantic cache with the model of the extra `local-embeddings`: real weights, a real gateway."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from runtime.errors import ConfigError
from runtime.replay.local import Encode, demand_minilm, minilm
from runtime.replay.vectors import nearness, unit
from tests.support.gateway import Running, gateway

try:
    demand_minilm()  # imports nothing of it: its libraries take their orders when they are imported
except ConfigError as lack:
    pytest.skip(str(lack), allow_module_level=True)

pytestmark = pytest.mark.filterwarnings("default")  # those of foreign libraries

CONFIG = """\
version: 1
discovery: {providers: none}
providers: {sim: {}}
cache:
  semantic: {models: [sim/echo], embedding: local, threshold: 0.9, wait: 20s}
"""
ASKED = "How do I reset my password?"
ALIKE = "How can I reset my password?"
OTHER = "What is the capital of France?"
DENIED = "How do I not reset my password?"


@pytest.fixture(scope="module")
def encode() -> Encode:
    """The model's encoder, in this process."""
    return minilm()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """A gateway whose only provider is simulated."""
    with gateway(tmp_path_factory.mktemp("gateway"), CONFIG) as started:
        yield started


def near(encode: Encode, one: str, other: str) -> float:
    first, second = (unit(encode(text) or []) for text in (one, other))
    assert first is not None
    assert second is not None
    return nearness(first, second)


def test_vectors_tell_what_is_alike_from_what_is_not(encode: Encode) -> None:
    assert near(encode, ASKED, ASKED) == pytest.approx(1, abs=1e-4)
    assert near(encode, ASKED, ALIKE) > 0.97
    assert near(encode, ASKED, OTHER) < 0.3


def test_a_text_longer_than_the_model_reads_has_no_vector(encode: Encode) -> None:
    assert encode("word " * 254) is not None
    assert encode("word " * 255) is None


def test_questions_are_answered_by_their_meaning(running: Running) -> None:
    found = []
    with httpx.Client(base_url=running.url, headers={"authorization": f"Bearer {running.key}"}, timeout=60) as client:
        for text in (ASKED, ALIKE, OTHER, DENIED, "word " * 300, "word " * 300):
            body = {"model": "sim/echo", "temperature": 0, "messages": [{"role": "user", "content": text}]}
            reply = client.post("/v1/chat/completions", json=body)
            assert reply.status_code == 200, reply.text
            found.append(reply.headers["x-omniroute-cache"])
    assert ["MISS", "HIT", "MISS", "MISS", "MISS", "MISS"] == found


def test_nothing_of_the_libraries_stands_in_the_log(running: Running) -> None:
    ours = ("{", "Gatewright serves ", "Key ", "Try: ")
    foreign = [line for line in running.log.splitlines() if not line.startswith(ours)]
    assert foreign == []


def test_the_gateway_ends_when_it_is_told(tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG) as started:
        begun = time.monotonic()
        assert 0 == started.stop()
        assert time.monotonic() - begun < 10


def test_a_worker_grows_by_what_the_guide_says(running: Running, tmp_path: Path) -> None:
    with gateway(tmp_path, CONFIG.partition("cache:")[0]) as plain:
        grown_mib = worker_mib(running) - worker_mib(plain)
    assert 300 < grown_mib < 600, grown_mib


def worker_mib(running: Running) -> int:
    """Resident memory of its only worker."""
    parent = running.process.pid
    (child,) = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    lines = Path(f"/proc/{child}/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))
