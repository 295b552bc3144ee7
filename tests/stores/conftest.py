"""The databases that stores run on."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from runtime.stores.database import Database, database_url
from tests.support.database import prepared, prepared_on
from tests.support.postgres import Postgres


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """An empty database."""
    return postgres_server.url()


@pytest.fixture
def prepared_postgres_url(postgres_server: Postgres) -> Iterator[str]:
    """An empty database in its present shape."""
    with prepared_on(postgres_server) as url:
        yield url


@pytest.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Of each kind one, in its present shape."""
    url = None if request.param == "sqlite" else request.getfixturevalue("prepared_postgres_url")
    made = Database(prepared(tmp_path) if url is None else database_url(url, tmp_path))
    yield made
    await made.aclose()
