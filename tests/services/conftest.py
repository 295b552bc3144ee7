from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.services.desk import Desk, NotedDatabase


@pytest.fixture(autouse=True)
async def closed_databases() -> AsyncIterator[None]:
    yield
    await NotedDatabase.close_all()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """One for all tests of a module, because building an application takes longer than a test."""
    return Desk(Path(tmp_path_factory.mktemp("desk")))


@pytest.fixture
def calling_desk(tmp_path: Path) -> Desk:
    """One for a test that calls a provider over HTTP: connections belong to the test's event loop."""
    return Desk(tmp_path)
