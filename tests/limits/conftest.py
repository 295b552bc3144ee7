"""The servers that counters lie on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.support.counters import BACKENDS, Place, place
from tests.support.database import prepared_on
from tests.support.postgres import Postgres


@pytest.fixture
def prepared_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """An empty database in its present shape."""
    with prepared_on(postgres_server) as url:
        yield url


@pytest.fixture(params=BACKENDS)
async def counted(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Place]:
    """Every test that takes it runs over every backend."""
    url = ""
    if request.param == "redis":
        url = request.getfixturevalue("redis_at").url
    elif request.param == "postgresql":
        url = request.getfixturevalue("prepared_postgres_url")
    made = place(request.param, tmp_path, url)
    yield made
    await made.aclose()
