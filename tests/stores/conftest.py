"""The servers that stores run on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.database import prepared_on
from tests.support.postgres import Postgres, postgres


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """An empty database."""
    return postgres_server.url()


@pytest.fixture
def prepared_postgres_url(postgres_server: Postgres) -> str:
    """A database in its present shape."""
    return prepared_on(postgres_server)
