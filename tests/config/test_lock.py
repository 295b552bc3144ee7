"""The lock: a server runs what its sources say, or says what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.config.build import COMPILER
from runtime.config.compile import compile_plan
from runtime.config.files import read_sources
from runtime.config.lock import LOCK, PLAN, artefact_files, load_artefact
from runtime.errors import ConfigError
from tests.config.catalog import CATALOG

TEXT = """version: 1
providers:
  deepseek:
    timeouts: {idle: 5m}
    connections:
      - {id: zeta, key: "${Z_KEY}"}
      - {id: alpha, key: "${A_KEY}"}
aliases:
  fast: openai/gpt-5-mini
keys:
  ci: {key: "${CI_KEY}", scopes: [view, chat]}
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "gateway.yaml").write_text(TEXT)
    build(tmp_path)
    return tmp_path


def build(root: Path) -> None:
    sources = read_sources(root)
    artefact = compile_plan(sources, CATALOG).artefact
    assert artefact is not None
    for name, data in artefact_files(artefact, sources).items():
        path = root / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)


def edited(path: Path, before: str, after: str) -> None:
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after))


def test_what_was_built_is_what_is_loaded(root: Path) -> None:
    compiled = compile_plan(read_sources(root), CATALOG)
    loaded = load_artefact(root)

    assert compiled.artefact == loaded


def test_loading_keeps_orders_that_mean_something(root: Path) -> None:
    plan = load_artefact(root).plan

    assert ["deepseek/zeta", "deepseek/alpha"] == [id_ for id_ in plan.connections if id_.startswith("deepseek/")]
    assert ("deepseek/zeta", "deepseek/alpha") == plan.routes["deepseek/chat"].targets[0].connections
    assert ["openai_chat", "anthropic_messages"] == list(plan.providers["deepseek"].surfaces)


def test_plan_spells_out_defaults(root: Path) -> None:
    """A default that a later release changes must not change what an old plan means."""
    plan = json.loads((root / PLAN).read_bytes())["plan"]

    assert 20128 == plan["server"]["port"]
    assert 10_000 == plan["timeouts"]["connect"]
    assert 300_000 == plan["provider_timeouts"]["deepseek"]["idle"]
    assert 10_000 == plan["provider_timeouts"]["deepseek"]["connect"]


def test_lock_hashes_every_input_and_what_came_of_them(root: Path) -> None:
    (root / "gateway.d").mkdir()
    (root / "gateway.d" / "team.yaml").write_text("version: 1\naliases:\n  slow: openai/gpt-5\n")
    build(root)
    lock = json.loads((root / LOCK).read_text())

    assert ["gateway.yaml", "gateway.d/team.yaml"] == list(lock["inputs"])
    assert {"version", "build", "compiler", "inputs", "prices", "facts", "artefact"} == set(lock)
    assert COMPILER == lock["compiler"]
    assert load_artefact(root).build == lock["build"]


def test_a_price_changes_the_hash_of_prices_and_not_of_facts(root: Path) -> None:
    before = json.loads((root / LOCK).read_text())
    edited(root / "gateway.yaml", "    timeouts:", "    models: {chat: {prices: {input: 9}}}\n    timeouts:")
    build(root)
    after = json.loads((root / LOCK).read_text())

    assert before["prices"] != after["prices"]
    assert before["facts"] == after["facts"]


@pytest.mark.parametrize(
    ("name", "before", "after"),
    [
        ("gateway.yaml", "gpt-5-mini", "gpt-5"),
        ("gateway.yaml", "version: 1\n", "version: 1\n# a comment\n"),
        (PLAN, '"gpt-5-mini"', '"gpt-5"'),
        (PLAN, "20128", "20129"),
    ],
)
def test_an_edited_file_is_refused_by_name(root: Path, name: str, before: str, after: str) -> None:
    edited(root / name, before, after)

    with pytest.raises(ConfigError, match=f"{name}.*`gatewright build`"):
        load_artefact(root)


@pytest.mark.parametrize("name", ["gateway.yaml", PLAN, LOCK])
def test_a_missing_file_is_refused_by_name(root: Path, name: str) -> None:
    (root / name).unlink()

    with pytest.raises(ConfigError, match=f"{name} is missing; run `gatewright build`"):
        load_artefact(root)


@pytest.mark.parametrize("name", [PLAN, LOCK])
@pytest.mark.parametrize(
    "data", [b"", b"{", b"[]", b"\xff", b'{"build": "\xff"}', b'{"more": ' + b"[" * 100_000], ids=lambda data: data[:15]
)
def test_a_broken_file_is_refused_by_name(root: Path, name: str, data: bytes) -> None:
    (root / name).write_bytes(data)

    with pytest.raises(ConfigError, match=name):
        load_artefact(root)


def test_a_file_that_was_added_is_noticed(root: Path) -> None:
    (root / "gateway.d").mkdir()
    (root / "gateway.d" / "late.yaml").write_text("version: 1\n")

    with pytest.raises(ConfigError, match=r"gateway\.d/late\.yaml was added"):
        load_artefact(root)


def test_a_plan_of_another_compiler_is_refused(root: Path) -> None:
    edited(root / LOCK, f'"compiler": "{COMPILER}"', '"compiler": "0.0.1"')

    with pytest.raises(ConfigError, match=f"compiler 0.0.1, this is {COMPILER}"):
        load_artefact(root)


def test_a_lock_that_names_another_build_is_refused(root: Path) -> None:
    build_id = load_artefact(root).build
    edited(root / LOCK, f'"build": "{build_id}"', '"build": "0000000000000000"')

    with pytest.raises(ConfigError, match=f"build {build_id}"):
        load_artefact(root)


def test_compiler_has_the_version_of_the_package() -> None:
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()

    assert f'version = "{COMPILER}"' in pyproject


def test_sources_are_gateway_yaml_first_and_then_by_name(tmp_path: Path) -> None:
    (tmp_path / "gateway.d").mkdir()
    for name in ("b.yaml", "a.yaml", "ignored.yml"):
        (tmp_path / "gateway.d" / name).write_text("version: 1\n")
    (tmp_path / "gateway.yaml").write_text("version: 1\n")

    assert ["gateway.yaml", "gateway.d/a.yaml", "gateway.d/b.yaml"] == [item.path for item in read_sources(tmp_path)]


def test_sources_without_gateway_yaml_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gateway\.yaml cannot be read"):
        read_sources(tmp_path)
