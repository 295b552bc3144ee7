"""Repairs of names and ids: always allowed, always the same, never two alike, and with a way back."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.protocols.tool_name import WordRule, fit, fit_all, way_back

RULES = (WordRule(), WordRule(max_chars=128), WordRule("a-zA-Z0-9", 9, 9), WordRule("a-zA-Z0-9_.:-", 12))
words = st.text(max_size=80) | st.from_regex(r"[a-z._ ]{1,70}", fullmatch=True)


def allowed(word: str, rule: WordRule) -> bool:
    return re.fullmatch(f"[{rule.chars}]{{{rule.min_chars},{rule.max_chars}}}", word) is not None


@given(words, st.sampled_from(RULES))
def test_a_repair_is_allowed_and_the_same_every_time(word: str, rule: WordRule) -> None:
    fitted = fit(word, rule)

    assert allowed(fitted, rule)
    assert fitted == fit(word, rule)
    assert fitted == fit(fitted, rule)


@given(words, st.sampled_from(RULES))
def test_what_is_allowed_stays_as_it_is(word: str, rule: WordRule) -> None:
    assert not allowed(word, rule) or word == fit(word, rule)


@given(st.lists(words, max_size=12), st.sampled_from(RULES[:2]))
def test_no_two_words_share_a_repair_and_all_find_their_way_back(given_words: list[str], rule: WordRule) -> None:
    wire = fit_all(given_words, rule)
    back = way_back(wire)

    assert set(given_words) == set(wire)
    assert len(wire) == len(set(wire.values()))
    assert list(wire) == [back.get(wire[word], wire[word]) for word in wire]


@given(st.lists(words, min_size=1, max_size=6, unique=True))
def test_a_words_repair_does_not_depend_on_its_neighbours(given_words: list[str]) -> None:
    """A later request may have other tools; the history's names must still be those of the definitions."""
    assert fit_all(given_words, WordRule())[given_words[0]] == fit_all(given_words[:1], WordRule())[given_words[0]]


def test_a_word_that_is_already_what_another_becomes_keeps_its_own() -> None:
    taken = fit("a.b", WordRule())
    wire = fit_all(["a.b", taken], WordRule())

    assert wire[taken] == taken
    assert wire["a.b"] != taken


def test_a_repair_keeps_what_it_can_of_the_word() -> None:
    assert fit("files.read", WordRule()).startswith("files_read_")
    assert fit("x" * 65, WordRule()).startswith("x" * 55)


@pytest.mark.parametrize(
    ("pattern", "rule"),
    [
        ("[a-zA-Z0-9]{9}", WordRule("a-zA-Z0-9", 9, 9)),
        ("^[a-zA-Z0-9_-]{1,64}$", WordRule("a-zA-Z0-9_-", 64, 1)),
        ("[a-z0-9]+", WordRule("a-z0-9", 64, 1)),
        ("[a-z]{3,}", WordRule("a-z", 64, 3)),
    ],
)
def test_a_rule_is_read_from_a_pattern(pattern: str, rule: WordRule) -> None:
    assert rule == WordRule.of(pattern)


@pytest.mark.parametrize("pattern", ["call_[a-z]+", "a|b", "", "[a-z]", "(x)"])
def test_a_pattern_of_another_form_is_refused(pattern: str) -> None:
    with pytest.raises(ValueError, match=r"not a set"):
        WordRule.of(pattern)
