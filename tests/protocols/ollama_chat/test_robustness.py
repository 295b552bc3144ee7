"""Whatever comes, from clients or from providers, ends in a request, in events, or in an error of ours."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InvalidRequest, UpstreamProtocolError
from runtime.protocols import client_codec
from tests.protocols.ollama_chat.support import ANSWER, CODEC, OUTGOING, encode
from tests.support.stream import decode_stream, tap_stream

WIRE = Path(__file__).parents[2] / "fixtures/wire/ollama_chat"
LINES = sorted({line for path in WIRE.glob("*.ndjson") for line in path.read_bytes().split(b"\n") if line})

values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["messages", "tools", "format", "think", "options", "keep_alive", "logprobs", "top_logprobs", "prompt", "images",
          "system", "raw", "suffix", "context", "best_of", "n", "stop", "max_tokens", "stream_options"]  # fmt: skip
turn = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "tool", "system"])},
    optional={
        "content": values | st.text(), "thinking": st.none() | st.text(), "images": values, "tool_name": st.none() | st.text(),
        "tool_calls": values | st.lists(st.builds(lambda arguments: {"function": {"name": "f", "arguments": arguments}}, values), max_size=2),
    },
)  # fmt: skip
bodies = st.builds(
    lambda messages, more: {"model": "m", "prompt": "x", "messages": messages, **more},
    st.lists(turn, max_size=4),
    st.dictionaries(st.sampled_from(FIELDS), values, max_size=3),
)


@given(bodies, st.sampled_from(["ollama_chat", "ollama_generate", "openai_completions"]))
def test_any_body_is_a_request_or_refused(body: dict[str, Any], protocol: str) -> None:
    codec = client_codec(protocol)
    with suppress(InvalidRequest):
        encode(codec.decode_request(codec.peek(msgspec.json.encode(body)), {}))


@given(st.lists(st.sampled_from(LINES), max_size=6), st.integers(0, 400), st.binary(max_size=3))
def test_any_lines_are_events_or_an_error_and_the_tap_agrees(lines: list[bytes], place: int, odd: bytes) -> None:
    data = b"\n".join(lines)
    data = data[:place] + odd + data[place + len(odd) :] if odd else data
    events, error = decode_stream(CODEC.stream_decoder(OUTGOING), [data])
    tap = CODEC.stream_tap(ANSWER)
    _, tapped = tap_stream(tap, [data])

    assert (error is None) == any(event.__struct_config__.tag == "ended" for event in events)
    if error is None:
        assert tapped is None
        assert tap.complete


def test_text_that_is_no_utf_8_is_the_providers_fault() -> None:
    body = b'{"model":"up-1","\xff":1,"message":{"content":"a"},"done":true}'
    call = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":"\xff"}}}]},"done":true}'

    for line in (body, call):
        with pytest.raises(UpstreamProtocolError):
            CODEC.splice_response(line, "m")
        with pytest.raises(UpstreamProtocolError):
            CODEC.decode_response(line, OUTGOING)
        assert isinstance(tap_stream(CODEC.stream_tap(ANSWER), [line])[1], UpstreamProtocolError)
        assert isinstance(decode_stream(CODEC.stream_decoder(OUTGOING), [line])[1], UpstreamProtocolError)


@pytest.mark.parametrize("depth", [100, 5000])
def test_deep_nesting_is_no_way_in(depth: int) -> None:
    deep = b"[" * depth + b"]" * depth
    for body in (
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"options":{"a":%b}}' % deep,
        b'{"model":"m","messages":[{"role":"assistant","tool_calls":[{"function":{"name":"f","arguments":{"a":%b}}}]}]}'
        % deep,
    ):
        with suppress(InvalidRequest):
            encode(CODEC.decode_request(CODEC.peek(body), {}))
    line = b'{"message":{"tool_calls":[{"function":{"name":"f","arguments":{"a":%b}}}]},"done":true}\n' % deep
    with suppress(UpstreamProtocolError):
        CODEC.stream_encoder(ANSWER).feed(CODEC.stream_decoder(OUTGOING).feed(line))
