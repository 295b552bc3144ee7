"""Damaged bytes from either side never raise anything but our own errors, and never become a success by themselves.

The damage is random, from fixed seeds: bytes changed, cut out or added, and JSON values replaced by others. Whole bodies from
providers are UTF-8 here, because the gateway lets no others through; frames of streams are not.
"""

from __future__ import annotations

import json
import random
import re
from pathlib import Path
from typing import Any

import msgspec
import pytest

from runtime.canonical import Event
from runtime.catalog import Limits, Model, Provider
from runtime.config.protocol import USUAL
from runtime.errors import GatewayError
from runtime.protocols import CODECS, DIALECTS, client_codec, codec
from runtime.protocols.base import Answer, Outgoing, Target
from tests.support.dialect import DIALECT
from tests.support.stream import decode_stream, tap_stream
from tests.support.vendor import WIRE

RECORDED = Path(__file__).parents[1] / "fixtures/wire"
ANSWER = Answer(model="public/name", id="r1", created=1_795_219_200, headers={}, variant="sse")
OUTGOING = Outgoing("/", (), b"", stream=True)
ROUNDS = 150
VALUES = (
    b"null",
    b'""',
    b"[]",
    b"{}",
    b"-1",
    b"1e999",
    b"true",
    b'"x"',
    b"[null]",
    b'{"a":1}',
    b"9" * 20,
    b'"\\ud83c"',
)
VALUE = re.compile(rb':\s*("(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|\[\]|\{\})')


def damaged(data: bytes, draw: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(draw.randint(1, 3)):
        at = draw.randrange(len(changed))
        match draw.randrange(4):
            case 0:
                changed[at] = draw.randrange(256)
            case 1 if len(changed) > 40:
                del changed[at : at + draw.randint(1, 20)]
            case _:
                found = list(VALUE.finditer(bytes(changed)))
                if found:
                    place = draw.choice(found)
                    changed[place.start(1) : place.end(1)] = draw.choice(VALUES)
    return bytes(changed)


def target(protocol: str, model: str) -> Target:
    provider = Provider(id="p", name="P", base_url="https://p.example", surfaces={protocol: USUAL[protocol]})
    return Target(provider, Model(id=model, limits=Limits(max_output=8000)), USUAL[protocol])


def told(events: list[Event], error: GatewayError | None) -> None:
    """Every dialect's clients, of ``events`` and of what ended them. Encoders may refuse what is not sound, by a typed error."""
    for client in (*CODECS, *DIALECTS):
        encoder = client_codec(client).stream_encoder(ANSWER)
        try:
            encoder.feed(events)
        except GatewayError as refused:
            error = refused
        if error is not None:
            assert encoder.fail(error)


@pytest.mark.parametrize("protocol", CODECS)
def test_a_damaged_stream_is_read_or_refused(protocol: str) -> None:
    draw = random.Random(f"stream {protocol}")
    recorded = sorted(path for path in (RECORDED / protocol).iterdir() if path.suffix in {".sse", ".ndjson"})
    for _ in range(ROUNDS):
        data = damaged(draw.choice(recorded).read_bytes() or b": nothing\n\n", draw)
        told(*decode_stream(codec(protocol).stream_decoder(OUTGOING), [data]))  # type: ignore[arg-type]
        tap_stream(codec(protocol).stream_tap(ANSWER), [data])


@pytest.mark.parametrize("protocol", CODECS)
def test_a_damaged_answer_is_read_or_refused(protocol: str) -> None:
    draw = random.Random(f"answer {protocol}")
    recorded = sorted((WIRE / protocol).glob("*.json"))
    for _ in range(ROUNDS):
        data = damaged(draw.choice(recorded).read_bytes(), draw).decode("utf-8", "replace").encode()
        status = draw.choice([400, 401, 404, 429, 500, 529])
        assert isinstance(codec(protocol).decode_error(status, {}, data), GatewayError)
        try:
            codec(protocol).splice_response(data, "public/name")
        except GatewayError:
            continue
        try:
            response = codec(protocol).decode_response(data, OUTGOING)
        except GatewayError:
            continue
        for client in (*CODECS, *DIALECTS):
            try:
                json.loads(client_codec(client).encode_response(response, ANSWER))
            except GatewayError:
                continue


def requests_of(protocol: str) -> list[bytes]:
    recorded = [path.read_bytes() for path in sorted((RECORDED / protocol).glob("*.request.json"))]
    plain: dict[str, Any] = DIALECT[protocol].body("m", stream=False)
    return [*recorded, msgspec.json.encode(plain)]


@pytest.mark.parametrize("protocol", CODECS)
def test_a_damaged_request_is_understood_or_refused(protocol: str) -> None:
    draw = random.Random(f"request {protocol}")
    recorded, asked = requests_of(protocol), DIALECT[protocol].asked("m", stream=False)
    for _ in range(ROUNDS):
        data = damaged(draw.choice(recorded), draw)
        try:
            envelope = codec(protocol).peek(data, asked)
            codec(protocol).splice(envelope, target(protocol, "up-1"), {})
            request = codec(protocol).decode_request(envelope, {})
        except GatewayError:
            continue
        for upstream in CODECS:
            for model in ("up-1", "gemini-3-pro"):
                try:
                    codec(upstream).encode_request(request, target(upstream, model), {})
                except GatewayError:
                    continue
