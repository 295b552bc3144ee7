"""Hypothesis profiles, chosen by HYPOTHESIS_PROFILE, and the switch that rewrites expected outputs.

`dev` looks for new examples in every run, `ci` repeats the same ones so that a run never fails by luck, `nightly` looks
long. Tests set no numbers of their own unless an example is expensive.
"""

import gc
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.clients.grid import pytest_terminal_summary  # noqa: F401 — a hook; those of inner conftests do not reach xdist's controller
from tests.support.authority import one_authority
from tests.support.postgres import Postgres, postgres
from tests.support.redis_server import RedisServer, redis_server
from tests.support.shared import BACKENDS, Backend, backend

# How long anything takes is the machine's: no test fails for it, be it in drawing examples.
settings.register_profile("nightly", max_examples=2000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", settings.get_profile("nightly"), max_examples=30)
settings.register_profile("ci", settings.get_profile("dev"), derandomize=True, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

LONG = ("tests/clients/", "tests/e2e/", "tests/sweeps/", "tests/services/", "tests/stores/")
"""Where files take long, the longest first."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite expected outputs instead of comparing with them")


def pytest_collection() -> None:
    """Thousands of tests that are collected live until the end: the garbage collector need not look at them, now or later."""
    gc.disable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes long is begun first, so that at the end no worker is left with it; with `--no-loadscope-reorder`, workers
    take files in this order."""
    items.sort(key=lambda item: next((at for at, part in enumerate(LONG) if item.nodeid.startswith(part)), len(LONG)))


def pytest_collection_finish() -> None:
    """What collecting left is not looked for: it is little, and to find it takes each worker a second."""
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def golden(request: pytest.FixtureRequest) -> bool:
    """Whether expected outputs are to be rewritten."""
    return bool(request.config.getoption("--golden"))


@pytest.fixture(scope="session", autouse=True)
def frozen() -> Iterator[None]:
    """What was collected stays frozen, and nothing else: an application in this process would freeze what tests left, for
    good, and at its end give all back to the garbage collector."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "freeze", lambda: None)
        patch.setattr(gc, "unfreeze", lambda: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def few_authorities(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing here speaks TLS beyond its own authority; yet whatever makes an HTTP client, an SDK for every question some of
    them, reads the machine's bundle first, of more than a hundred certificates, which takes longer than the question."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(one_authority(tmp_path_factory.mktemp("authority"))))
        yield


@pytest.fixture(scope="session")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """One for all tests, each of which has a database of its own."""
    with postgres() as server:
        yield server


@pytest.fixture(params=BACKENDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Where shared state lies, each backend in turn."""
    url = request.getfixturevalue("redis_at").url if request.param == "redis" else ""
    made = backend(request.param, tmp_path, url)
    yield made
    await made.aclose()
