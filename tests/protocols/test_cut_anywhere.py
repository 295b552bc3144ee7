"""A provider's stream that ends properly, but anywhere: its client is told the end, or an error, and never neither."""

from __future__ import annotations

from typing import Final

import pytest

from runtime.errors import GatewayError
from runtime.protocols import CODECS, codec
from runtime.protocols.base import Answer, Outgoing
from runtime.protocols.relay import Passing, Translating
from tests.slow.chaos import stream_of, text_of
from tests.slow.test_faulty_streams import dialects, said_text

ANSWER: Final = Answer(model="m", id="x", created=1, headers={})
OUTGOING: Final = Outgoing("/", (), b"", stream=True)
NAME: Final = 7
WHOLE_LINES: Final = (b"data: {", b"data: [DONE]", b"event: ", b"{")
CLOSELY: Final = 700
"""Bytes at the end, where it is decided whether an answer is whole: all of them are looked at."""


PAIRS: Final = [
    (provider, client, 1 if client in {provider, after} else 13)
    for provider, after in zip(CODECS, [*CODECS][1:] + [*CODECS][:1], strict=True)
    for client in CODECS
]
"""Each pair, and how far cuts stand apart at the end: each provider's answers are looked at closely passed on and translated
once, and each client's at both. tests/slow looks closely at all."""


@pytest.mark.parametrize(("provider", "client", "apart"), PAIRS)
def test_a_stream_that_ends_anywhere_says_how_it_ended(provider: str, client: str, apart: int) -> None:
    ends_anywhere(provider, client, apart)


def ends_anywhere(provider: str, client: str, apart: int) -> None:
    """The answer of ``provider`` ends at every 41st byte, at every ``apart``-th of the last, and at its end."""
    data, dialect, speaks = stream_of(provider, NAME), dialects("m", NAME)[client], codec(provider)
    whole, closely = 0, len(data) - CLOSELY
    for at in (*range(0, closely, 41), *range(closely, len(data), apart), len(data)):
        encoder = codec(client).stream_encoder(ANSWER)
        relay = (
            Passing(speaks.stream_tap(ANSWER), encoder)
            if provider == client
            else Translating(speaks.stream_decoder(OUTGOING), encoder)
        )
        said = b""
        try:
            said += relay.feed(data[:at])
            said += relay.close()
        except GatewayError as error:
            said += relay.fail(error)
            assert dialect.failed in said.decode(), (at, data[max(0, at - 200) : at], said[-300:])
            assert dialect.done not in said.decode(), (at, said[-300:])
        else:
            assert dialect.done in said.decode(), (at, data[max(0, at - 200) : at], said[-300:])
            whole += 1
            assert said_text(client, said.decode()) == text_of(NAME)
            assert all(line.startswith(WHOLE_LINES) for line in said.splitlines() if line), (at, said[-300:])
    assert whole > 0
