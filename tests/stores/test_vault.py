"""Secrets at rest."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError
from runtime.stores.vault import StoreKey, Vault


def vault(key: str, *before: str) -> Vault:
    return Vault(lambda: StoreKey(key), [StoreKey(each) for each in before], os.urandom)


@given(st.text(max_size=200).filter(lambda text: text.isprintable()))
def test_what_was_sealed_opens_again_and_does_not_show(secret: str) -> None:
    sealed = vault("a").seal(secret, 1.0)

    assert {sealed.id: secret} == vault("a").open([sealed])
    assert len(secret) < 4 or secret.encode() not in sealed.sealed
    assert "sealed=" not in repr(sealed)


def test_the_same_secret_is_sealed_otherwise_each_time() -> None:
    one = vault("a")

    assert one.seal("x", 1.0).sealed != one.seal("x", 1.0).sealed


def test_a_wrong_key_is_told_from_damage_and_names_no_key() -> None:
    sealed = vault("the right key").seal("secret", 1.0)

    with pytest.raises(ConfigError, match="GATEWRIGHT_STORE_KEY") as wrong:
        vault("another").open([sealed])
    assert StoreKey("the right key").id in wrong.value.message
    assert "the right key" not in wrong.value.message
    assert "another" not in wrong.value.message.replace("another key", "")

    flipped = bytes([*sealed.sealed[:-1], sealed.sealed[-1] ^ 1])
    with pytest.raises(ConfigError, match="damaged"):
        vault("the right key").open([msgspec.structs.replace(sealed, sealed=flipped)])


def test_a_seal_is_good_in_its_own_row_only() -> None:
    one, other = vault("a").seal("one", 1.0), vault("a").seal("other", 1.0)

    with pytest.raises(ConfigError, match="damaged"):
        vault("a").open([msgspec.structs.replace(one, sealed=other.sealed)])


def test_after_a_new_key_all_is_sealed_with_that_one_and_the_old_one_is_needed_no_more() -> None:
    old = [vault("old").seal(secret, 1.0) for secret in ("one", "two")]
    both = vault("new", "old")
    kept = both.seal("three", 2.0)

    anew = both.resealed([*old, kept])
    assert [each.id for each in old] == [each.id for each in anew]
    assert ["one", "two", "three"] == list(vault("new").open([*anew, kept]).values())
    assert () == vault("new").resealed([*anew, kept])


def test_a_key_is_asked_for_when_it_is_needed() -> None:
    def none() -> StoreKey:
        raise AssertionError

    assert {} == Vault(none, (), os.urandom).open([])
    assert () == Vault(none, (), os.urandom).resealed([])
