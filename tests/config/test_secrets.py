"""Secrets: what is a reference, where it leads, and that no message or text form gives one away."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.plan import Artefact, SecretRef
from runtime.config.secrets import (
    Lookup,
    check_secrets,
    demand,
    environment,
    mask,
    read_reference,
    resolve_secrets,
)  # fmt: skip
from runtime.errors import ConfigError
from runtime.source import Severity
from tests.config.catalog import CATALOG

TEXT = """version: 1
providers:
  sim:
  openai:
    connections:
      - id: team
        key: ${OPENAI_TEAM_KEY}
      - id: mounted
        key: file:secrets/openai
keys:
  ci: {key: "${CI_KEY}"}
  hashed: {hash: "hmac-sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"}
"""


@pytest.fixture
def artefact() -> Artefact:
    found = compile_plan([Source(MAIN, TEXT.encode())], CATALOG).artefact
    assert found is not None
    return found


def look_up(**variables: str) -> Lookup:
    return environment(Path("/nonexistent"), variables)


def test_reference_is_a_variable_or_a_file() -> None:
    assert SecretRef(env="OPENAI_API_KEY") == read_reference("${OPENAI_API_KEY}")
    assert SecretRef(file="/run/secrets/key") == read_reference("file:/run/secrets/key")


@pytest.mark.parametrize(
    "text",
    ["", "plain", "$NAME", "${}", "${1A}", "${A}${B}", "x${A}", "${A} ", "${A:-b}", "file:", "file: x", "${A\n}"],
)
def test_anything_else_is_no_reference(text: str) -> None:
    assert read_reference(text) is None


@given(st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,20}", fullmatch=True))
def test_reference_reads_back_what_it_prints(name: str) -> None:
    reference = read_reference(f"${{{name}}}")

    assert reference is not None
    assert reference == read_reference(str(reference))


def test_resolve_gives_connections_with_their_secret_and_those_that_need_none(artefact: Artefact) -> None:
    secrets = resolve_secrets(artefact.plan, look_up(OPENAI_TEAM_KEY="a", ANTHROPIC_API_KEY="b", CI_KEY="c"))

    assert {"anthropic/ANTHROPIC_API_KEY": "b", "openai/team": "a", "sim/default": None} == secrets.connections
    assert {"ci": "c"} == secrets.keys


def test_resolve_keeps_the_plans_order_of_connections(artefact: Artefact) -> None:
    secrets = resolve_secrets(artefact.plan, lambda _: "x")

    assert list(artefact.plan.connections) == list(secrets.connections)


def test_discovered_connection_without_its_variable_is_dark_and_not_missing(artefact: Artefact) -> None:
    secrets = resolve_secrets(artefact.plan, look_up(OPENAI_TEAM_KEY="a", CI_KEY="c"))

    assert "mistral/MISTRAL_API_KEY" not in secrets.connections
    assert ["providers.openai.connections.mounted"] == [item.entity for item in secrets.missing]


@pytest.mark.parametrize("value", ["", "   ", "\n"])
def test_empty_secret_is_missing(artefact: Artefact, value: str) -> None:
    secrets = resolve_secrets(artefact.plan, look_up(OPENAI_TEAM_KEY=value))

    assert "openai/team" not in secrets.connections


@pytest.mark.parametrize("value", ["two\nlines", "naïve", "nul\x00", "tab\tbed"])
def test_secret_that_no_header_can_carry_is_refused_unseen(artefact: Artefact, value: str) -> None:
    secrets = resolve_secrets(artefact.plan, look_up(OPENAI_TEAM_KEY=value))
    reasons = {item.entity: item.reason for item in secrets.missing}

    assert "openai/team" not in secrets.connections
    assert "no header can carry" in reasons["providers.openai.connections.team"]
    assert value not in str(secrets.missing)


def test_file_is_read_below_the_root_without_its_last_line_break(tmp_path: Path, artefact: Artefact) -> None:
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "openai").write_text("from-a-file\n")

    secrets = resolve_secrets(artefact.plan, environment(tmp_path, {}))

    assert "from-a-file" == secrets.connections["openai/mounted"]


def test_file_that_is_a_directory_or_no_text_is_missing(tmp_path: Path) -> None:
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    found = environment(tmp_path, {})

    assert found(SecretRef(file=".")) is None
    assert found(SecretRef(file="binary")) is None


def test_environment_of_the_process_is_read_when_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GATEWRIGHT_TEST_SECRET", " value ")

    assert "value" == environment(Path())(SecretRef(env="GATEWRIGHT_TEST_SECRET"))


def test_demand_names_everything_that_is_missing_at_once(artefact: Artefact) -> None:
    with pytest.raises(ConfigError) as caught:
        demand(resolve_secrets(artefact.plan, look_up()))

    for name in ("${OPENAI_TEAM_KEY}", "file:secrets/openai", "${CI_KEY}"):
        assert name in caught.value.message


def test_demand_is_content_when_only_discovered_connections_are_dark(artefact: Artefact) -> None:
    demand(resolve_secrets(artefact.plan, lambda reference: None if reference.env == "MISTRAL_API_KEY" else "x"))


def test_check_points_at_the_line_that_needs_the_secret(artefact: Artefact) -> None:
    found = check_secrets(artefact.plan, artefact.origins, look_up(OPENAI_TEAM_KEY="x"))

    assert [("gateway.yaml:8:9", "missing-secret"), ("gateway.yaml:11:3", "missing-secret")] == [
        (str(item.span), item.code) for item in found
    ]
    assert {Severity.WARNING} == {item.severity for item in found}


def test_check_is_as_severe_as_it_is_told(artefact: Artefact) -> None:
    found = check_secrets(artefact.plan, artefact.origins, look_up(), Severity.ERROR)

    assert {Severity.ERROR} == {item.severity for item in found}


def test_text_form_of_secrets_holds_none(artefact: Artefact) -> None:
    secrets = resolve_secrets(artefact.plan, lambda _: "planted-secret")

    assert "planted-secret" not in f"{secrets} {secrets!r} {[secrets]}"


@given(st.text(min_size=1))
def test_mask_shows_four_characters_at_most(secret: str) -> None:
    shown = mask(secret).removeprefix("…")

    assert len(shown) <= 4
    assert secret.endswith(shown)
    assert len(secret) >= 20 or not shown


def test_a_proxy_is_reached_with_its_password_and_a_connection_that_is_off_is_dark() -> None:
    text = """version: 1
discovery: {providers: none}
proxy: {url: "https://p.example.com:3128", username: "u@s", password: "${PASSWORD}"}
providers:
  openai:
    connections:
      - {id: a, key: "${A}"}
      - {id: b, key: "${A}", proxy: {url: direct}}
      - {id: c, key: "${A}", proxy: {url: "http://other.example.com"}, enabled: false}
"""
    plan = compile_plan([Source(MAIN, text.encode())], CATALOG).plan
    assert plan is not None
    found = resolve_secrets(plan, environment(Path(), {"A": "a", "PASSWORD": "p/w"}))
    assert {"openai/a": "a", "openai/b": "a"} == found.connections
    assert {
        "openai/a": "https://u%40s:p%2Fw@p.example.com:3128",
        "openai/c": "http://other.example.com",
    } == found.proxies
    assert "p/w" not in repr(found)
    assert "p%2Fw" not in repr(found)

    missing = resolve_secrets(plan, environment(Path(), {"A": "a"})).missing
    assert [("proxy", "${PASSWORD}")] == [(each.entity, str(each.reference)) for each in missing]


def test_a_connection_that_is_off_wants_no_secret() -> None:
    text = """version: 1
providers:
  sim:
  openai:
    connections:
      - {id: a, key: "${A}"}
      - {id: b, key: "${B}", enabled: false, proxy: {url: "http://p.example.com", username: u, password: "${P}"}}
"""
    found = compile_plan([Source(MAIN, text.encode())], CATALOG).artefact
    assert found is not None

    secrets = resolve_secrets(found.plan, look_up(A="a"))

    assert () == secrets.missing
    assert {"sim/default": None, "openai/a": "a"} == secrets.connections
    assert ["providers.openai.connections.a"] == [
        each.entity for each in resolve_secrets(found.plan, look_up()).missing
    ]
