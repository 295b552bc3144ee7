"""The register of faults is whole: each is injected by a test, or says why it has nothing to bite on."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import msgspec

from tests.support.each import each
from tests.support.register import known_tests, read_register

REGISTER = Path(__file__).with_name("faults.yaml")
NUMBERS = [f"{number:02}" for number in (*range(1, 40), 43)]
NAME = re.compile(r"test_fault_(\d{2})_")


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    fault: str
    by: tuple[str, ...] = ()
    waits: str | None = None


@cache
def register() -> dict[str, Entry]:
    """Each number to its entry."""
    return read_register(REGISTER, Entry)


@cache
def claims() -> dict[str, list[str]]:
    """A number to the tests that are called after it."""
    found: dict[str, list[str]] = {}
    for file, names in known_tests().items():
        for name in names:
            if claimed := NAME.match(name):
                found.setdefault(claimed[1], []).append(f"{file}::{name}")
    return found


def test_every_number_is_there_once_and_in_order() -> None:
    assert NUMBERS == list(register())


def test_no_test_claims_a_number_that_is_unknown() -> None:
    assert {} == {number: names for number, names in claims().items() if number not in NUMBERS}


@each(NUMBERS)
def test_a_fault_is_injected_or_says_why_not(number: str) -> None:
    entry = register()[number]
    held = [*claims().get(number, []), *entry.by]

    assert entry.fault.endswith(".")
    if entry.waits is None:
        assert held, f"no test injects {number}: {entry.fault}"
    else:
        assert [] == held, f"{number} has a test now: take its `waits` out of the register"
        assert entry.waits.endswith(".")


@each(NUMBERS)
def test_tests_that_an_entry_names_exist(number: str) -> None:
    named = [test.partition("::") for test in register()[number].by]

    assert [] == [(file, name) for file, _, name in named if name not in known_tests().get(file, set())]
