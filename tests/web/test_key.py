import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ConfigError, PermissionDenied
from runtime.web.key import MAX_HASHED, MAX_HASHED_CHARS, KeyEntry, KeyRecord, KeyRing, hash_key, mint

PEPPER = b"pepper of sixteen bytes and more"

random_bytes = st.binary(min_size=32, max_size=32)


def record(id_: str = "k", scopes: tuple[str, ...] = ("chat",), models: tuple[str, ...] = ()) -> KeyRecord:
    return KeyRecord(id=id_, scopes=frozenset(scopes), models=models)


@given(st.lists(random_bytes, unique=True, min_size=1, max_size=5), random_bytes)
def test_a_minted_key_is_found_and_no_other(seeds: list[bytes], other: bytes) -> None:
    minted = [mint(lambda _, seed=seed: seed, PEPPER) for seed in seeds]
    ring = KeyRing(
        PEPPER,
        [KeyEntry(record=record(str(number)), form="hash", value=digest) for number, (_, digest) in enumerate(minted)],
    )

    assert [str(number) for number in range(len(minted))] == [
        found and found.id for found in (ring.lookup(plain) for plain, _ in minted)
    ]
    if other not in seeds:
        assert ring.lookup(mint(lambda _: other, PEPPER)[0]) is None
    assert all(ring.lookup(digest) is None for _, digest in minted)


@given(random_bytes)
def test_a_minted_key_says_whose_it_is_and_carries_256_bits(seed: bytes) -> None:
    plain, digest = mint(lambda count: seed[:count], PEPPER)

    assert plain.startswith("gw-")
    assert len("gw-") + 43 == len(plain)
    assert hmac.new(PEPPER, plain.encode(), "sha256").hexdigest() == digest


def test_a_source_that_gives_too_few_bytes_mints_nothing() -> None:
    with pytest.raises(ValueError, match="32 random bytes"):
        mint(lambda _: b"few", PEPPER)


@given(st.text(min_size=1, max_size=50))
def test_any_text_can_be_a_key(plain: str) -> None:
    ring = KeyRing(PEPPER, [KeyEntry(record=record(), form="plain", value=plain)])

    assert record() == ring.lookup(plain)
    assert ring.lookup(plain + "x") is None
    assert ring.lookup("") is None


def test_another_pepper_knows_no_key() -> None:
    entry = KeyEntry(record=record(), form="hash", value=hash_key(PEPPER, "k-1"))

    assert KeyRing(PEPPER, [entry]).lookup("k-1") is not None
    assert KeyRing(b"another pepper, as long", [entry]).lookup("k-1") is None


def test_a_hash_may_name_how_it_was_made() -> None:
    entry = KeyEntry(record=record(), form="hash", value="hmac-sha256:" + hash_key(PEPPER, "k-1").upper())

    assert record() == KeyRing(PEPPER, [entry]).lookup("k-1")


def test_a_text_longer_than_any_key_is_no_key() -> None:
    ring = KeyRing(PEPPER, [KeyEntry(record=record(), form="plain", value="k" * 5000)])

    assert ring.lookup("k" * 5000) is None


@pytest.mark.parametrize(
    ("pepper", "entries", "said"),
    [
        (b"short", [], "pepper"),
        (PEPPER, [KeyEntry(record=record("a"), form="hash", value="beef")], "'a'"),
        (PEPPER, [KeyEntry(record=record("a"), form="plain", value="")], "'a' is empty"),
        (PEPPER, [KeyEntry(record=record(name), form="plain", value="same") for name in "ab"], "'a' and 'b'"),
    ],
)
def test_a_ring_that_cannot_be_right_is_not_made(pepper: bytes, entries: list[KeyEntry], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        KeyRing(pepper, entries)


def test_no_key_shows_in_any_text() -> None:
    entry = KeyEntry(record=record(), form="plain", value="secret-key")
    ring = KeyRing(PEPPER, [entry])

    assert "secret" not in repr(entry) + str(entry) + repr(ring) + repr(vars(ring))


@pytest.mark.parametrize(
    ("scopes", "asked", "allowed"),
    [
        (("chat",), "chat", True),
        (("chat",), "view", False),
        (("chat", "view"), "view", True),
        (("admin",), "chat", True),
        ((), "public", True),
        ((), "chat", False),
    ],
)
def test_a_scope_is_had_or_not(scopes: tuple[str, ...], asked: str, allowed: bool) -> None:
    key = record(scopes=scopes)

    assert allowed == key.allows(asked)
    if allowed:
        key.require(asked)
    else:
        with pytest.raises(PermissionDenied, match=asked):
            key.require(asked)


@pytest.mark.parametrize(
    ("models", "model", "may"),
    [
        ((), "anything", True),
        (("fast",), "fast", True),
        (("fast",), "faster", False),
        (("claude-*",), "claude-opus", True),
        (("claude-*",), "x/claude-opus", False),
        (("openai/*", "fast"), "openai/gpt-5", True),
        (("*-mini",), "gpt-5-mini", True),
        (("*-mini",), "gpt-5-minimal", False),
        (("a.c",), "abc", False),
        (("gpt[45]",), "gpt4", False),
        (("*",), "any\nthing", True),
    ],
)
def test_a_model_is_allowed_by_name_or_pattern(models: tuple[str, ...], model: str, may: bool) -> None:
    assert may == record(models=models).may_use(model)


def test_everybody_may_everything_where_there_is_no_authentication() -> None:
    anonymous = KeyRecord.anonymous()

    assert anonymous.may_use("any")
    anonymous.require("admin")


OPERATORS = KeyRecord(id="root", scopes=frozenset({"admin"}))
ADMIN_OF_ACME = KeyRecord(id="anna", scopes=frozenset({"admin"}), tenant="acme")


def test_an_operators_admin_sees_every_tenant_and_may_narrow() -> None:
    assert OPERATORS.manages
    assert OPERATORS.tenant_filter() is None
    assert OPERATORS.tenant_filter("acme") == "acme"
    OPERATORS.require_manages()


def test_a_tenants_admin_sees_its_own_tenant_only() -> None:
    assert ADMIN_OF_ACME.tenant_filter() == ADMIN_OF_ACME.tenant_filter("acme") == "acme"
    assert not ADMIN_OF_ACME.may_see("default")
    with pytest.raises(PermissionDenied, match="its own tenant only"):
        ADMIN_OF_ACME.tenant_filter("globex")
    with pytest.raises(PermissionDenied, match="all tenants"):
        ADMIN_OF_ACME.require_manages()


def test_an_operators_key_without_admin_sees_the_operators_own_things_only() -> None:
    viewer = KeyRecord(id="viewer", scopes=frozenset({"view"}))
    assert viewer.tenant_filter() == "default"
    assert not viewer.may_see("acme")


def test_a_key_that_nobody_has_is_hashed_once_and_only_so_many_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    hashed: list[str] = []

    def noted(pepper: bytes, plain: str) -> str:
        hashed.append(plain)
        return hash_key(pepper, plain)

    ring = KeyRing(PEPPER, [])
    monkeypatch.setattr("runtime.web.key.hash_key", noted)

    first = [ring.digest("wrong") for _ in range(3)]
    assert first == [hash_key(PEPPER, "wrong")] * 3
    assert hashed == ["wrong"]

    for number in range(MAX_HASHED):
        ring.digest(str(number))
    assert ring.digest("wrong") == first[0]
    assert hashed.count("wrong") == 2, "it made room"

    long = "w" * (MAX_HASHED_CHARS + 1)
    assert ring.digest(long) == ring.digest(long) == hash_key(PEPPER, long)
    assert hashed.count(long) == 2, "what is longer takes no room"
