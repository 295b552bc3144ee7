"""The servers that counters lie on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.counters import BACKENDS, Place, place
from tests.support.redis_server import RedisServer, redis_server


@pytest.fixture(scope="session")
def redis_at() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=BACKENDS)
async def counted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Every test that takes it runs over every backend."""
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis_at").url
    elif request.param == "postgresql":
        url = request.getfixturevalue("postgres_server").url()
    made = await place(request.param, tmp_path, url)
    yield made
    await made.aclose()
