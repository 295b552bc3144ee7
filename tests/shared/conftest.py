"""One Redis for all tests of this directory, and each backend in turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.redis_server import RedisServer, redis_server
from tests.support.shared import BACKENDS, Backend, backend


@pytest.fixture(scope="session")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=BACKENDS)
async def place(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Backend]:
    """Where state lies."""
    url = request.getfixturevalue("redis_at").url if request.param == "redis" else ""
    made = backend(request.param, tmp_path, url)
    yield made
    await made.aclose()
