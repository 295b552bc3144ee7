"""What we write is read back as the same number, and editors accept exactly what the reader accepts."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from codegen.emit.quantity import SCHEMAS, SECRET, written
from runtime.source import unit


@pytest.mark.parametrize("word", ["duration", "size", "usd"])
@given(st.integers(0, 10**15))
def test_a_written_quantity_is_read_as_itself(word: str, number: int):
    assert unit.read(word, written(word, number)) == number


@pytest.mark.parametrize(
    ("word", "number", "text"),
    [
        ("duration", 0, "0ms"),
        ("duration", 1500, "1500ms"),
        ("duration", 90_000, "90s"),
        ("duration", 86_400_000, "1d"),
        ("size", 33_554_432, "32MiB"),
        ("size", 1000, "1000B"),
        ("usd", 2_500_000_000, "2.50"),
        ("usd", 1, "0.000000001"),
        ("integer", 5, "5"),
    ],
)
def test_a_quantity_is_written_with_the_largest_whole_unit(word: str, number: int, text: str):
    assert written(word, number) == text


def complaint(word: str, text: str) -> str | None:
    """None if the reader takes ``text``; `whole number` if only its last digits are too fine; else `refused`."""
    try:
        unit.read(word, text)
    except unit.QuantityError as error:
        return "whole number" if "whole number" in str(error) else "refused"
    return None


@pytest.mark.parametrize("word", ["duration", "size", "usd"])
@given(st.one_of(st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3})? ?[a-zA-Z]{0,3}", fullmatch=True), st.text(max_size=8)))
def test_the_pattern_accepts_what_the_reader_accepts(word: str, text: str):
    """A pattern cannot count, so it may accept `0.0001ms`, which is no whole number of milliseconds."""
    matches = re.search(SCHEMAS[word]["pattern"], text) is not None

    assert matches == (complaint(word, text) in {None, "whole number"})


@pytest.mark.parametrize("text", ["${KEY}", "file:/run/secrets/key"])
def test_a_reference_is_no_secret(text: str):
    assert re.search(SECRET["pattern"], text)


@pytest.mark.parametrize("text", ["sk-123", "$KEY", "${}", "file:", "x${KEY}"])
def test_a_secret_in_clear_is_underlined(text: str):
    assert not re.search(SECRET["pattern"], text)
