"""A ring that was changed knows what a model of it knows, and an old one stays as it was."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.web.key import KeyEntry, KeyRecord, KeyRing, hash_key

PEPPER = b"p" * 32
NAMES = st.sampled_from([f"gw-{letter}" for letter in "abcdef"] + ["oag_old"])


@given(configured=st.sets(NAMES), added=st.sets(NAMES), removed=st.sets(NAMES))
def test_lookups_equal_a_model(configured: set[str], added: set[str], removed: set[str]) -> None:
    def record(name: str, source: str) -> KeyRecord:
        return KeyRecord(id=f"{source}-{name}", scopes=frozenset({"chat"}))

    first = KeyRing(PEPPER, [KeyEntry(record=record(n, "config"), form="plain", value=n) for n in sorted(configured)])
    stored = {hash_key(PEPPER, name): record(name, "store") for name in added}
    ring = first.changed(stored, {hash_key(PEPPER, name) for name in removed})
    model = {name: f"store-{name}" for name in added} | {name: f"config-{name}" for name in configured}

    for name in ["gw-a", "gw-b", "gw-c", "gw-d", "gw-e", "gw-f", "oag_old", "gw-never"]:
        found, before = ring.lookup(name), first.lookup(name)
        assert (found.id if found else None) == (None if name in removed else model.get(name))
        assert (before is not None) == (name in configured)
