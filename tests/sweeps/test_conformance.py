"""Whatever is asked, the gateway answers as its OpenAPI document says, and never with 500."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.conformance import CONFIG, ENDS, LIKE, WHOLE, tried, varied, wrong_answers
from tests.support.document import OPERATIONS
from tests.support.gateway import Running, gateway
from tests.support.managing import managed_config


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    config, environment = managed_config(CONFIG, workers=1)
    with gateway(tmp_path_factory.mktemp("conformance"), config, environment) as running:
        yield running
        assert "Traceback" not in running.log


def test_the_lists_name_what_there_is() -> None:
    assert {one.id for one in OPERATIONS} == tried().keys()
    assert ENDS.keys() | WHOLE.keys() | LIKE.keys() | set(LIKE.values()) <= tried().keys()


@pytest.mark.parametrize("name", [one.id for one in OPERATIONS if one.id not in ENDS])
def test_answers_are_as_the_document_says(served: Running, name: str) -> None:
    """Of each kind the plainest call and one more; tests/slow makes many."""
    assert [] == wrong_answers(served, name, examples=2 if varied(name) else 1)
