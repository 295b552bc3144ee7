"""A provider's own count of tokens that is none is an error of the provider's, after which one is estimated."""

from __future__ import annotations

import pytest

from runtime.errors import UpstreamProtocolError
from runtime.protocols import CODECS, codec


@pytest.mark.parametrize("protocol", sorted(CODECS))
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"other": 1}', b'{"other": ' + b"[" * 100_000], ids=lambda body: body[:9]
)
def test_a_count_that_is_none_is_the_providers_error(protocol: str, body: bytes) -> None:
    with pytest.raises(UpstreamProtocolError):
        codec(protocol).decode_count(body)
