"""Overrides: any sequence of changes is what a compilation from scratch makes of its outcome, and is written back as it is."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config.compile import compile_plan
from runtime.config.effective import Base, effective, faults
from runtime.config.export import files_of, overrides_yaml, whole_yaml
from runtime.config.files import MAIN, Source
from runtime.config.override import Held, Override, json_path, section_shape, static_settings
from runtime.source import Diagnostics, Span, parse, plain
from tests.config.catalog import CATALOG
from tests.support.examples import few

GATEWAY = """version: 1
providers:
  openai: {connections: [{id: main, key: "${OPENAI_API_KEY}"}]}
aliases: {fast: openai/gpt-5, "no": openai/gpt-5-mini, "gpt-*": "openai/gpt-*"}
combos:
  smart: {targets: [fast, openai/gpt-5-mini]}
requests: {unknown_fields: refuse, default_max_tokens: 100}
timeouts: {connect: 5s}
"""
SOURCES = (Source(MAIN, GATEWAY.encode()), Source("gateway.d/more.yaml", b"version: 1\naliases: {more: fast}\n"))
BASE = Base(sources=SOURCES, catalog=CATALOG, look_up=lambda _: "secret")

NAMES = st.sampled_from(
    ["smart", "fast", "no", "more", "best", "yes", "12:30", "0123", "ü b", "true", "null", "a: b", "- x", "'", '"']
)
TARGETS = st.sampled_from(["fast", "more", "openai/gpt-5", "openai/gpt-5-mini", "smart", "best", "nothing"])


def text(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


COMBOS = st.builds(
    lambda name, targets, context: Override(
        "combos", name, text({"targets": targets} | ({"context": context} if context else {}))
    ),
    NAMES,
    st.lists(TARGETS, min_size=1, max_size=3),
    st.none() | st.integers(min_value=1, max_value=10**6),
)
ALIASES = st.builds(lambda name, target: Override("aliases", name, text(target)), NAMES, TARGETS)
SETTINGS = st.sampled_from(
    [
        Override("requests", "default_max_tokens", "7"),
        Override("requests", "unknown_fields", '"forward"'),
        Override("requests", "unknown_fields", '"wrong"'),
        Override("timeouts", "connect", "1m"),
        Override("timeouts", "connect", '"0.5s"'),
        Override("requests", "default_max_tokens", None),
        Override("cache", "exact", text({"models": ["smart"], "ttl": "5m"})),
    ]
)
GONE = st.builds(lambda section, name: Override(section, name, None), st.sampled_from(["combos", "aliases"]), NAMES)
STEPS = st.lists(st.tuples(st.booleans(), COMBOS | ALIASES | SETTINGS | GONE), max_size=8)


def after(steps: list[tuple[bool, Override]]) -> tuple[Override, ...]:
    """What a gateway keeps: each step laid, or what was laid there taken back, and refused where it does not compile."""
    kept: dict[tuple[str, str], Override] = {}
    for lay, step in steps:
        tried = {place: each for place, each in kept.items() if place != (step.section, step.name)}
        if lay:
            tried[step.section, step.name] = step
        overrides = tuple(tried[place] for place in sorted(tried))
        if effective(BASE, overrides, {}).effective is not None:
            kept = tried
    return tuple(kept[place] for place in sorted(kept))


@few()
@given(STEPS)
def test_what_changes_lead_to_is_what_the_written_outcome_compiles_to(steps: list[tuple[bool, Override]]) -> None:
    overrides = after(steps)
    found = effective(BASE, overrides, {}).effective
    assert found is not None

    exported = compile_plan((Source(MAIN, whole_yaml(BASE, overrides).encode()),), CATALOG)
    assert exported.build == found.artefact.build
    assert {"version": 1} | found.config == found.config
    for override in overrides:
        section: Any = found.config.get(override.section, {})
        assert (override.text is not None) == (override.name in section)


@given(STEPS)
def test_the_changes_alone_say_each_entry_as_it_is(steps: list[tuple[bool, Override]]) -> None:
    overrides = {(step.section, step.name): step for _, step in steps}
    diagnostics = Diagnostics()
    root = parse(overrides_yaml(tuple(overrides.values()), files_of(SOURCES)), "exported", diagnostics)

    assert not diagnostics
    assert root is not None
    said: dict[str, Any] = plain(root)
    for (section, name), override in overrides.items():
        if override.text is None:
            assert name not in said.get(section, {})
        else:
            expected = parse(override.text, "", Diagnostics())
            assert expected is not None
            assert plain(expected) == said[section][name]


@pytest.mark.parametrize(
    ("line", "column", "path"),
    [
        (1, 1, "combos.x"),
        (1, 2, "combos.x.targets"),
        (1, 13, "combos.x.targets"),
        (1, 14, "combos.x.targets[0]"),
        (1, 15, "combos.x.targets[0].model"),
        (1, 24, "combos.x.targets[0].model"),
        (9, 9, "combos.x"),
    ],
)
def test_a_place_in_an_override_is_told_as_a_path(line: int, column: int, path: str) -> None:
    override = Override("combos", "x", '{"targets": [{"model": "a"}]}')

    assert path == json_path(override, Span(override.path, line, column))


def test_a_fault_of_the_files_has_no_path_and_one_of_an_override_has() -> None:
    overrides = (Override("aliases", "fast", None), Override("combos", "x", '{"targets": ["nothing"]}'))
    told = {fault.position: fault.path for fault in faults(effective(BASE, overrides, {}).diagnostics, overrides)}

    assert "combos.x.targets[0]" == told["overrides/combos/x:1:14"]
    assert {None} == {path for position, path in told.items() if position.startswith("gateway.")}
    assert 3 == len(told)


def test_a_secret_that_is_not_there_is_a_fault() -> None:
    absent = Base(sources=SOURCES, catalog=CATALOG, look_up=lambda _: None)
    stored = Override("providers", "openai", text({"connections": [{"id": "main", "key": "stored:" + "a" * 32}]}))

    assert ["missing-secret"] == [item.code for item in effective(absent, (), {}).diagnostics]
    assert ["missing-secret"] == [item.code for item in effective(absent, (stored,), {}).diagnostics]
    assert effective(absent, (stored,), {"a" * 32: "x"}).effective is not None


KEPT = "a" * 32


def own(base_url: str, key: str = f"stored:{KEPT}", proxy: object = None, name: str = "own") -> Override:
    connection: dict[str, object] = {"id": "main", "key": key} | ({"proxy": proxy} if proxy else {})
    document = {"base_url": base_url, "surfaces": {"openai_chat": {}}, "open_models": True, "connections": [connection]}
    return Override("providers", name, text(document))


@pytest.mark.parametrize(
    ("after", "given", "codes"),
    [
        (own("https://own.test/v1"), (), []),
        (own("https://other.test/v1"), (), ["bad-reference"]),
        (own("https://own.test.other.test/v1"), (), ["bad-reference"]),
        (own("https://other.test/v1"), (KEPT,), []),
        (own("https://own.test/v1", name="elsewhere"), (), ["bad-reference"]),
        (own("https://own.test/v1", key="stored:" + "b" * 32), (), ["bad-reference"]),
        (own("https://own.test/v1", key="stored:" + "b" * 32), ("b" * 32,), []),
        (own("https://own.test/v1", proxy={"url": "http://p.test", "username": "u", "password": f"stored:{KEPT}"}), (),
         ["bad-reference"]),
    ],
)  # fmt: skip
def test_a_stored_secret_stays_where_it_was_given_for(
    after: Override, given: tuple[str, ...], codes: list[str]
) -> None:
    held = Held(before=(own("https://own.test/v1"),), given=frozenset(given))
    stored = {KEPT: "x", "b" * 32: "y"}

    found = effective(BASE, (after,), stored, held)
    assert codes == [item.code for item in found.diagnostics if item.severity.value == "error"]
    assert effective(BASE, (after,), stored).effective is not None, "what the store holds is taken as it is"


def test_sections_have_shapes() -> None:
    shapes = {section_shape(name) for name in ("combos", "aliases", "requests", "nothing")}

    assert {"map", "texts", "record", None} == shapes
    assert {"server.port", "store.url", "server.authentication", "server.management"} <= static_settings()
