"""Line separators inside texts: escaped towards clients, because google-genai before 3.0 takes them for ends of lines."""

from runtime.protocols.gemini.wire import on_one_line


def test_separators_are_escaped_and_nothing_else_is() -> None:
    text = 'a\u2028b\u2029c\x85d 語 \\u2028 "€"'

    assert on_one_line(text.encode()) == 'a\\u2028b\\u2029c\\u0085d 語 \\u2028 "€"'.encode()
