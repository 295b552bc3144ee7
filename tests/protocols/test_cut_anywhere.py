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


@pytest.mark.parametrize("client", CODECS)
@pytest.mark.parametrize("provider", CODECS)
def test_a_stream_that_ends_anywhere_says_how_it_ended(provider: str, client: str) -> None:
    data, dialect, speaks = stream_of(provider, NAME), dialects("m", NAME)[client], codec(provider)
    whole = 0
    for at in (*range(0, len(data) - CLOSELY, 41), *range(len(data) - CLOSELY, len(data) + 1)):
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
