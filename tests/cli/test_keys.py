"""`gatewright keys new`: the key once, its hash for the configuration, and the two belong together."""

import json
from pathlib import Path

import pytest

from runtime.config.lock import load_artefact
from runtime.web.key import KeyEntry, KeyRecord, KeyRing, hash_key
from tests.cli.conftest import SOUND, Run


def test_what_is_printed_can_be_pasted_and_then_knows_the_key(run: Run, root: Path) -> None:
    made = run("keys", "new", "--root", root, "--id", "laptop", "--scope", "chat", "--scope", "view", "--model", "h*")
    plain, _, entry = made.out.partition("\n")
    (root / "gateway.yaml").write_text(SOUND + "keys:\n" + entry)

    assert 0 == run("build", "--root", root).code
    key = load_artefact(root).plan.keys[0]
    assert ("laptop", ("chat", "view"), ("h*",)) == (key.id, key.scopes, key.models)
    record = KeyRecord(id=key.id, scopes=frozenset(key.scopes))
    assert key.hash is not None
    pepper = (root / "data/pepper").read_text().strip().encode()
    ring = KeyRing(pepper, [KeyEntry(record=record, form="hash", value=key.hash.removeprefix("hmac-sha256:"))])
    assert record == ring.lookup(plain)


def test_the_pepper_of_the_environment_wins_and_then_no_file_is_made(
    run: Run, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pepper = "0123456789abcdef0123456789abcdef"
    monkeypatch.setenv("GATEWRIGHT_PEPPER", pepper)
    made = json.loads(run("keys", "new", "--root", root, "--id", "a", "--json").out)

    assert f"hmac-sha256:{hash_key(pepper.encode(), made['key'])}" == made["hash"]
    assert not (root / "data").exists()


def test_two_keys_differ_and_share_one_pepper(run: Run, root: Path) -> None:
    first, second = (json.loads(run("keys", "new", "--root", root, "--id", id_, "--json").out) for id_ in "ab")

    assert first["key"] != second["key"]
    assert 0o600 == (root / "data/pepper").stat().st_mode & 0o777


def test_an_unknown_scope_is_refused(run: Run, root: Path) -> None:
    assert 1 == run("keys", "new", "--root", root, "--id", "a", "--scope", "root").code


def test_names_that_yaml_would_read_otherwise_are_quoted(run: Run, root: Path) -> None:
    made = run("keys", "new", "--root", root, "--id", "no", "--model", "*", "--model", "h: i")
    (root / "gateway.yaml").write_text(SOUND + "keys:\n" + made.out.partition("\n")[2])

    assert "ambiguous-scalar" not in run("check", "--root", root).out


@pytest.mark.parametrize("id_", ["a/b", "", "-a", "a" * 65])
def test_a_name_that_the_configuration_refuses_gets_no_key(run: Run, root: Path, id_: str) -> None:
    ran = run("keys", "new", "--root", root, f"--id={id_}")

    assert (1, "") == ran[:2]
    assert f"gatewright: {id_!r} cannot be a key's id; use letters" in ran.err
