"""As tests/sweeps/test_conformance.py, with many more calls of each operation; HYPOTHESIS_PROFILE=nightly takes ten times as many."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support.conformance import CONFIG, ENDS, wrong_answers
from tests.support.document import OPERATIONS
from tests.support.gateway import Running, gateway
from tests.support.managing import managed_config

EXAMPLES = 1000 if settings().max_examples > 1000 else 100


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, environment = managed_config(CONFIG, workers=1)
    with gateway(tmp_path_factory.mktemp("conformance"), config, environment) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.mark.parametrize("name", [one.id for one in OPERATIONS if one.id not in ENDS])
def test_answers_are_as_the_document_says(served: Running, name: str) -> None:
    assert [] == wrong_answers(served, name, EXAMPLES)
