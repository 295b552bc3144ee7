"""The register of pitfalls is whole: each rule is held by a test, or says why it has nothing to bite on."""

from __future__ import annotations

import re
from collections import defaultdict
from functools import cache
from pathlib import Path

import msgspec
import pytest

from runtime.protocols import CODECS
from tests.support.each import each
from tests.support.register import known_tests, read_register

REGISTER = Path(__file__).with_name("pitfalls.yaml")
NUMBERS = sorted([*(f"{number:03}" for number in range(1, 153)), "034a", "119a"])
NAME = re.compile(r"test_pitfall_\d{3}a?(?:_(?:and|to|pitfall)_\d{3}a?)*(?=_)")
STEP = re.compile(r"(and|to|pitfall)_(\d{3}a?)")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    rule: str
    by: tuple[str, ...] = ()
    waits: str | None = None
    needs: str | None = None


def numbers_in(name: str) -> list[str]:
    """The numbers that a test's name claims."""
    claimed = NAME.match(name)
    found: list[str] = []
    for word, number in STEP.findall(claimed[0]) if claimed else ():
        if word == "to":
            found += [f"{between:03}" for between in range(int(found[-1][:3]) + 1, int(number[:3]))]
        found.append(number)
    return found


@cache
def claims() -> dict[str, list[str]]:
    """A number to the tests that claim to hold its rule."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for file, names in known_tests().items():
        for name in names:
            for number in numbers_in(name):
                found[number].append(f"{file}::{name}")
    return dict(found)


@cache
def register() -> dict[str, Entry]:
    """Each number to its entry."""
    return read_register(REGISTER, Entry)


def test_every_number_is_there_once_and_in_order() -> None:
    order = sorted(NUMBERS, key=lambda number: (int(number[:3]), number))

    assert order == list(register())


def test_no_test_claims_a_number_that_is_unknown() -> None:
    assert {} == {number: names for number, names in claims().items() if number not in NUMBERS}


def test_every_test_of_a_pitfall_has_a_number_that_can_be_read() -> None:
    nameless = [
        f"{file}::{name}" for file, names in known_tests().items() for name in names
        if name.startswith("test_pitfall_") and not numbers_in(name)
    ]  # fmt: skip

    assert [] == nameless


@each(NUMBERS)
def test_a_rule_is_held_by_a_test_or_says_why_not(number: str) -> None:
    entry = register()[number]
    held = [*claims().get(number, []), *entry.by]

    assert entry.rule.endswith(".")
    if entry.needs is not None and entry.needs not in CODECS:
        return
    if entry.waits is None:
        assert held, f"no test claims to hold {number}: {entry.rule}"
    else:
        assert [] == held, f"{number} has a test now: take its `waits` out of the register"
        assert entry.waits.endswith(".")


@each(NUMBERS)
def test_tests_that_an_entry_names_exist(number: str) -> None:
    gone = [test for test in register()[number].by if not _exists(test)]

    assert [] == gone


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("test_pitfall_009_empty_texts", ["009"]),
        ("test_pitfall_034a_only_the_end", ["034a"]),
        ("test_pitfall_030_and_113_both", ["030", "113"]),
        ("test_pitfall_001_to_004_and_009_blocks", ["001", "002", "003", "004", "009"]),
        ("test_pitfall_no_number", []),
    ],
)
def test_names_say_their_numbers(name: str, numbers: list[str]) -> None:
    assert numbers == numbers_in(name)


def _exists(test: str) -> bool:
    file, _, name = test.partition("::")
    return name.partition("[")[0] in known_tests().get(file, set())
