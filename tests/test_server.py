"""What keeps a gateway from starting: said before the port opens, with the name of what is missing."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from runtime.config.catalog import Catalog
from runtime.config.compile import compile_plan
from runtime.config.files import read_sources
from runtime.config.lock import artefact_files
from runtime.errors import ConfigError
from runtime.server import banner, clients_at_once, prepare

SIM = "version: 1\ndiscovery: {providers: none}\nproviders: {sim: {}}\n"
KEYED = SIM + "keys: {ci: {key: '${GW_TEST_CLIENT_KEY}', scopes: [chat]}}\n"


def built(root: Path, config: str) -> Path:
    (root / "gateway.yaml").write_text(config)
    sources = read_sources(root)
    compiled = compile_plan(sources, Catalog.shipped())
    assert compiled.artefact is not None, [str(item) for item in compiled.diagnostics]
    for path, data in artefact_files(compiled.artefact, sources).items():
        target = root / path
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(data)
    return root


def test_loopback_without_keys_gets_a_key_of_its_own(tmp_path: Path) -> None:
    root = built(tmp_path, SIM)

    first = prepare(root, host=None, port=0)
    second = prepare(root, host=None, port=0)

    assert first.dev_key == second.dev_key == (root / "data/dev-key").read_text().strip()
    assert any(first.dev_key in line and "curl" in line for line in banner(first))
    assert first.dev_key not in repr(first)


def test_curl_line_names_a_model_that_can_be_called(tmp_path: Path) -> None:
    own = "local-one: {base_url: 'http://127.0.0.1:9/v1', surfaces: {openai_chat: {}}, auth: {scheme: none}, connections: [{id: a}], models: {tiny: {has: [streaming]}}}"
    root = built(tmp_path, SIM.replace("{sim: {}}", "{" + own + "}"))

    lines = banner(prepare(root, host=None, port=0))

    assert any('"model": "local-one/tiny"' in line for line in lines)


def test_address_that_others_reach_needs_keys(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"0\.0\.0\.0 can be reached .* no `keys`"):
        prepare(built(tmp_path, SIM), host="0.0.0.0", port=0)


def test_address_that_others_reach_is_served_with_keys(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GW_TEST_CLIENT_KEY", "gw-client-key-for-a-test")

    ready = prepare(built(tmp_path, KEYED), host="0.0.0.0", port=0)

    assert ready.dev_key is None
    assert "gw-client-key" not in repr(ready) + "".join(banner(ready))


def test_no_authentication_is_for_loopback_only(tmp_path: Path) -> None:
    root = built(tmp_path, SIM + "server: {authentication: none}\n")

    assert prepare(root, host="127.0.0.1", port=0).dev_key is None
    with pytest.raises(ConfigError, match="`none`"):
        prepare(root, host="0.0.0.0", port=0)


def test_missing_secret_is_named_with_where_it_is_configured(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\$\{GW_TEST_CLIENT_KEY\}.*keys\.ci"):
        prepare(built(tmp_path, KEYED), host=None, port=0)


def test_changed_source_is_named_and_says_what_to_run(tmp_path: Path) -> None:
    root = built(tmp_path, SIM)
    (root / "gateway.yaml").write_text(SIM + "# changed\n")

    with pytest.raises(ConfigError, match=r"gateway\.yaml was changed.*gatewright build"):
        prepare(root, host=None, port=0)


def test_tampered_plan_is_named(tmp_path: Path) -> None:
    root = built(tmp_path, SIM)
    plan = root / "generated/plan.json"
    plan.write_bytes(plan.read_bytes().replace(b"sim", b"sin", 1))

    with pytest.raises(ConfigError, match=r"generated/plan\.json"):
        prepare(root, host=None, port=0)


def test_taken_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]

        with pytest.raises(ConfigError, match=f"cannot listen on 127.0.0.1:{port}"):
            prepare(built(tmp_path, SIM), host=None, port=port)


@pytest.mark.parametrize(("files", "clients"), [(0, 1), (64, 1), (128, 21), (1024, 320), (65_536, 21_824)])
def test_fault_43_clients_leave_files_for_their_providers(files: int, clients: int) -> None:
    assert clients == clients_at_once(files)
