"""How hard passwords are to guess, which tests of logging in do not see: theirs are quick to compare."""

from __future__ import annotations

import argon2
from argon2.low_level import Type

from runtime.web import password
from runtime.web.password import hash_password, password_matches


def test_a_stored_password_is_as_hard_to_guess_as_rfc_9106_recommends() -> None:
    """Section 4, the second choice; but in one lane."""
    stored = hash_password("a passphrase of the tests")
    how = argon2.extract_parameters(stored)

    assert (Type.ID, 3, 64 << 10, 1) == (how.type, how.time_cost, how.memory_cost, how.parallelism)
    assert (16, 32) == (how.salt_len, how.hash_len)
    assert password_matches(stored, "a passphrase of the tests")
    assert not password_matches(stored, "another passphrase of the tests")


def test_to_compare_with_nobodys_password_takes_as_long_as_with_somebodys() -> None:
    how = argon2.extract_parameters(password._DECOY)

    assert (Type.ID, password._TIME, password._MEMORY_KIB, 1) == (
        how.type,
        how.time_cost,
        how.memory_cost,
        how.parallelism,
    )
    assert not password_matches(None, "gatewright-nobody")
