"""Line separators inside texts: escaped towards clients, because google-genai before 3.0 takes them for ends of lines."""

from runtime.errors import UpstreamFailed
from runtime.protocols.base import Answer
from runtime.protocols.gemini import Gemini
from runtime.protocols.gemini.wire import on_one_line


def test_separators_are_escaped_and_nothing_else_is() -> None:
    text = 'a\u2028b\u2029c\x85d 語 \\u2028 "€"'

    assert on_one_line(text.encode()) == 'a\\u2028b\\u2029c\\u0085d 語 \\u2028 "€"'.encode()


def test_an_error_in_a_stream_stays_on_its_line() -> None:
    encoder = Gemini().stream_encoder(Answer(model="m", id="r1", created=1, headers={}, variant="sse"))

    assert b"a\\u2028b" in encoder.fail(UpstreamFailed("a\u2028b"))
