"""As tests/protocols/test_cut_anywhere.py, with every pair looked at closely."""

from __future__ import annotations

import pytest

from runtime.protocols import CODECS
from tests.protocols.test_cut_anywhere import ends_anywhere


@pytest.mark.parametrize("client", CODECS)
@pytest.mark.parametrize("provider", CODECS)
def test_a_stream_that_ends_anywhere_says_how_it_ended(provider: str, client: str) -> None:
    ends_anywhere(provider, client, apart=1)
