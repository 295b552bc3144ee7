"""What errors tell: of what a client said no more than a beginning."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import MAX_MESSAGE_CHARS, InvalidRequest, brief, brief_message


def test_a_short_message_is_told_as_it_is() -> None:
    assert "the model 'gpt-4o' does not exist" == InvalidRequest("the model 'gpt-4o' does not exist").message


@pytest.mark.parametrize("mark", "'\"`")
def test_what_is_quoted_is_cut_and_what_stands_around_it_is_told(mark: str) -> None:
    told = InvalidRequest(f"the model {mark}{'a' * 100_000}{mark} does not exist; did you mean {mark}b{mark}?").message

    assert f"the model {mark}{'a' * 199}…{mark} does not exist; did you mean {mark}b{mark}?" == told


def test_apostrophes_are_no_quotes() -> None:
    text = f"the provider's {'word ' * 90}and the client's {'word ' * 20}"

    assert text == brief_message(text)


def test_a_long_message_without_quotes_loses_its_middle() -> None:
    told = InvalidRequest(f"no place {'a' * 100_000}; see the list").message

    assert MAX_MESSAGE_CHARS == len(told)
    assert told.startswith("no place a")
    assert told.endswith("a; see the list")


def test_a_param_is_cut_like_what_is_quoted() -> None:
    assert "a" * 199 + "…" == InvalidRequest("unknown field", param="a" * 1000).param


@given(said=st.text(alphabet="ab'\"`\\ \n…é", max_size=60), times=st.integers(1, 2000))
def test_no_message_is_longer_than_its_limit_and_none_grows(said: str, times: int) -> None:
    message = f"the model {said * times!r} does not exist"

    told = brief_message(message)

    assert len(told) <= min(MAX_MESSAGE_CHARS, len(message))
    assert told == brief_message(told)
    assert told.startswith("the model ")
    assert len(brief(said * times)) <= 200
