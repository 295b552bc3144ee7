"""The databases that stores run on."""

from __future__ import annotations

import pytest

from tests.support.database import prepared_on
from tests.support.postgres import Postgres


@pytest.fixture
def postgres_url(postgres_server: Postgres) -> str:
    """An empty database."""
    return postgres_server.url()


@pytest.fixture
def prepared_postgres_url(postgres_server: Postgres) -> str:
    """A database in its present shape."""
    return prepared_on(postgres_server)
