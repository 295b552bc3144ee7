"""All clients run once per session; every cell is then a test of its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.clients.session import Outcome, Stage, run_scripts, stage


@pytest.fixture(scope="session")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The gateway and the vendors behind it."""
    with stage(tmp_path_factory.mktemp("clients")) as running:
        yield running


@pytest.fixture(scope="session")
def outcomes(on_stage: Stage) -> Mapping[tuple[str, str, str], Outcome]:
    """What became of every cell."""
    for needed in (Path(".venv-clients/bin/python"), Path("tests/clients/node/node_modules")):
        if not needed.exists():
            pytest.fail(f"{needed} is missing: `make test` sets it up, `make clients` does only that", pytrace=False)
    return run_scripts(on_stage)


@pytest.fixture(scope="session")
def sent(on_stage: Stage, outcomes: Mapping[tuple[str, str, str], Outcome]) -> Mapping[str, list[str]]:
    """What reached a vendor, by the mark of the cell."""
    return on_stage.sent()
