"""The plan compiler is a function: of what is written, not of how it is laid out, nor of where and when it runs."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from runtime.catalog import Model
from runtime.config.build import build_id
from runtime.config.catalog import Catalog
from runtime.config.compile import Compiled, compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.lower.reach import MAX_NAMES
from runtime.config.plan import Plan
from runtime.source import NANO_USD, Severity
from tests.config.catalog import CATALOG, PROVIDERS
from tests.config.golden import CASES, read_case
from tests.config.large import large_gateway
from tests.support.each import each

ROOT = Path(__file__).resolve().parents[2]
SOUND = sorted((CASES / "sound").glob("*.case"))
ALL = sorted(CASES.rglob("*.case"))
SINGLE = [path for path in SOUND if len(read_case(path).sources) == 1 and "anchors" not in path.name]
ORDERED_MAPS = {"surfaces"}  # preferred first: the order of this map is part of the meaning


def compiled(text: str, catalog: Catalog = CATALOG) -> Compiled:
    return compile_plan([Source(MAIN, text.encode())], catalog)


def plan_of(text: str) -> Plan:
    result = compiled(text)
    assert result.plan is not None, [str(item) for item in result.diagnostics]
    return result.plan


def text_of(path: Path) -> str:
    return read_case(path).sources[0].data.decode()


def shuffled(value: object, choose: random.Random, key: str = "") -> object:
    """``value`` with the entries of every map in another order."""
    if isinstance(value, list):
        return [shuffled(item, choose) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    items = list(cast("dict[str, object]", value).items())
    if key not in ORDERED_MAPS:
        choose.shuffle(items)
    return {name: shuffled(item, choose, name) for name, item in items}


def written(document: Mapping[str, object]) -> str:
    rest = {name: value for name, value in document.items() if name != "version"}
    return "version: 1\n" + (yaml.safe_dump(rest, sort_keys=False, default_flow_style=False) if rest else "")


@given(path=st.sampled_from(SINGLE), seed=st.integers(0, 2**32))
def test_order_of_map_entries_does_not_change_the_build(path: Path, seed: int) -> None:
    text = text_of(path)
    other = written(cast("dict[str, object]", shuffled(yaml.safe_load(text), random.Random(seed))))

    assert compiled(text).build == compiled(other).build


@given(path=st.sampled_from(SINGLE), data=st.data())
def test_comments_and_blank_lines_do_not_change_the_build(path: Path, data: st.DataObject) -> None:
    text = text_of(path)
    lines = text.splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 5))):
        noise = data.draw(st.sampled_from(["\n", "# a remark: [ } *\n", "      # indented\n", "\n\n\n"]))
        lines.insert(data.draw(st.integers(0, len(lines))), noise)

    assert compiled(text).build == compiled("".join(lines)).build


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("targets: [openai/gpt-5, anthropic/claude-sonnet]", "targets: [anthropic/claude-sonnet, openai/gpt-5]"),
        ("targets: [openai/gpt-5]", "targets: [openai/gpt-5-mini]"),
        ("targets: [openai/gpt-5]", "targets: [openai/gpt-5]\n    promises: [logprobs]"),
    ],
)
def test_a_change_of_meaning_changes_the_build(before: str, after: str) -> None:
    text = f"version: 1\ncombos:\n  smart:\n    {before}\n"

    assert compiled(text).build != compiled(text.replace(before, after)).build


def test_order_of_a_providers_surfaces_and_connections_changes_the_build() -> None:
    text = (
        "version: 1\nproviders:\n  own:\n    base_url: https://own.example.com/v1\n    open_models: true\n"
        "    surfaces: {openai_chat: {}, anthropic_messages: {path: /messages}}\n"
        "    connections:\n      - {id: a, key: '${A_KEY}'}\n      - {id: b, key: '${B_KEY}'}\n"
    )
    surfaces = text.replace(
        "{openai_chat: {}, anthropic_messages: {path: /messages}}",
        "{anthropic_messages: {path: /messages}, openai_chat: {}}",
    )
    connections = text.replace("{id: a, key: '${A_KEY}'}", "X").replace(
        "{id: b, key: '${B_KEY}'}", "{id: a, key: '${A_KEY}'}"
    )
    connections = connections.replace("X", "{id: b, key: '${B_KEY}'}")

    assert 3 == len({compiled(text).build, compiled(surfaces).build, compiled(connections).build})


def test_a_fact_of_the_catalogue_changes_the_build() -> None:
    text = "version: 1\n"
    other = Catalog.of(
        msgspec.structs.replace(provider, models=(*provider.models, Model(id="new")))
        if provider.id == "openai"
        else provider
        for provider in PROVIDERS
    )

    assert compiled(text).build != compiled(text, other).build


@each(SOUND)
def test_compiling_twice_gives_the_same(path: Path) -> None:
    sources = read_case(path).sources
    first, second = compile_plan(sources, CATALOG), compile_plan(sources, CATALOG)

    assert first == second


SCRIPT = """
import sys
from pathlib import Path
from runtime.config.compile import compile_plan
from runtime.config.lock import artefact_files
from tests.config.catalog import CATALOG
from tests.config.golden import CASES, read_case
for path in sorted(CASES.rglob("*.case")):
    case = read_case(path)
    result = compile_plan(case.sources, CATALOG)
    print(path.stem, *map(str, result.diagnostics), sep="\\n")
    if result.artefact:
        print(result.build)
        sys.stdout.flush()
        for data in artefact_files(result.artefact, case.sources).values():
            sys.stdout.buffer.write(data)
"""


def test_bytes_are_the_same_under_another_hash_seed_locale_time_zone_and_directory(tmp_path: Path) -> None:
    def run(cwd: Path, **variables: str) -> bytes:
        environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "PYTHONUTF8": "1", **variables}
        command = [sys.executable, "-c", SCRIPT]
        return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, check=True).stdout

    here = run(ROOT, PYTHONHASHSEED="1", LC_ALL="C", TZ="UTC")
    there = run(tmp_path, PYTHONHASHSEED="4242", LC_ALL="tr_TR.UTF-8", TZ="Asia/Kathmandu", OPENAI_API_KEY="set")

    assert here == there
    assert b"sound" not in here[:0]
    assert len(here) > 100_000


@pytest.mark.parametrize(
    ("reasoning", "combo"),
    [
        ("", "strategy: priority"),
        ("", "buffer_limit: 8MiB, refusals: pass, limits: []"),
        ("", "rescue: none, handoff_percent: 100"),
        ("efforts: [low, medium, high]", ""),
    ],
)
def test_to_write_what_is_so_anyway_does_not_change_the_build(reasoning: str, combo: str) -> None:
    def build(reasoning: str, combo: str) -> str | None:
        models = f"{{own: {{reasoning: {{{reasoning}}}}}}}"
        combos = f"{{smart: {{targets: [openai/own], {combo}}}}}"
        return compiled(f"version: 1\nproviders: {{openai: {{models: {models}}}}}\ncombos: {combos}\n").build

    assert build("", "") is not None
    assert build("", "") == build(reasoning, combo)


def test_the_build_in_our_own_repository_is_what_its_file_is_elsewhere() -> None:
    """There the schemas are compiled first, and the catalogue is theirs; elsewhere it is the one that was generated."""
    shipped = compile_plan([Source(MAIN, (ROOT / MAIN).read_bytes())], Catalog.shipped())

    assert json.loads((ROOT / "gateway.lock").read_bytes())["build"] == shipped.build


def test_the_build_id_is_of_the_plan_alone() -> None:
    result = compiled("version: 1\naliases:\n  fast: openai/gpt-5\n")

    assert result.plan is not None
    assert build_id(result.plan) == result.build
    assert 16 == len(str(result.build))


def test_moving_a_line_moves_its_origin_and_not_the_build() -> None:
    before = compiled("version: 1\naliases:\n  fast: openai/gpt-5\n")
    after = compiled("version: 1\n\n\naliases:\n    fast: openai/gpt-5\n")

    assert before.build == after.build
    assert before.artefact is not None
    assert after.artefact is not None
    assert "gateway.yaml:3:3" == before.artefact.origins["aliases.fast"]
    assert "gateway.yaml:5:5" == after.artefact.origins["aliases.fast"]


def test_a_configuration_with_an_error_has_no_plan_and_one_with_a_warning_has() -> None:
    error = compiled("version: 1\naliases:\n  fast: openai/none\n")
    warning = compiled("version: 1\ntimeouts: {idle: 1h}\n")

    assert error.artefact is None
    assert warning.artefact is not None
    assert 1 == len(warning.diagnostics)


def test_three_thousand_lines_compile_without_a_complaint() -> None:
    text = large_gateway(3000)
    result = compiled(text)

    assert text.count("\n") >= 3000
    assert () == result.diagnostics
    assert result.plan is not None


def chain(length: int) -> str:
    links = "".join(f"  a{number}: a{number + 1}\n" for number in range(length - 2))
    return f"version: 1\naliases:\n{links}  a{length - 2}: openai/gpt-5\n"


def test_a_chain_of_as_many_names_as_allowed_is_followed() -> None:
    plan = plan_of(chain(MAX_NAMES))

    assert "openai/gpt-5" == plan.routes["a0"].targets[0].model
    assert MAX_NAMES == len(plan.routes["a0"].path)


@pytest.mark.parametrize("length", [MAX_NAMES + 1, 3000])
def test_a_longer_chain_is_refused_once_and_exhausts_nothing(length: int) -> None:
    result = compiled(chain(length))

    assert ["chain-too-long"] == [item.code for item in result.diagnostics]


def test_combos_that_double_at_every_step_stay_small() -> None:
    """Each combo names the one before it twice, through aliases: followed naively, the last reaches sixteen thousand targets."""
    text = "version: 1\naliases:\n" + "".join(f"  x{n}: c{n}\n  z{n}: c{n}\n" for n in range(14)) + "combos:\n"
    text += "  c0:\n    targets: [openai/gpt-5]\n"
    text += "".join(f"  c{n}:\n    targets: [x{n - 1}, z{n - 1}]\n" for n in range(1, 15))
    plan = plan_of(text)

    assert ["openai/gpt-5"] == [target.model for target in plan.routes["c14"].targets]


PIECES = [
    "null", "[]", "{}", "- ", ": ", "&a ", "*a", '"', "${", "}", "*", "/", "é", "\t", "\n", "\n  ", "0", "-1", "1e9", "~", "!!x ",
    "sim", "openai/", "targets", "9" * 30, "\x00", "😀", "version: 1", "\r\n", "? ", "|", ">",
]  # fmt: skip


@given(path=st.sampled_from(ALL), data=st.data())
def test_no_text_makes_the_compiler_fail(path: Path, data: st.DataObject) -> None:
    """Whatever stands in the file, the outcome is a plan or reasons with places, never an exception."""
    text = text_of(path)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(text)))
        cut = data.draw(st.sampled_from([0, 0, 1, 3, 12]))
        text = text[:at] + data.draw(st.sampled_from(PIECES) | st.text(max_size=3)) + text[at + cut :]
    result = compile_plan([Source(MAIN, text.encode("utf-8", "surrogatepass"))], CATALOG)

    assert (result.plan is None) == any(item.severity is Severity.ERROR for item in result.diagnostics)
    assert [] == [item for item in result.diagnostics if not item.hint or item.span.line < 1]


# -- what overriding does


def test_facts_of_the_catalogue_are_overridden_one_by_one() -> None:
    plan = plan_of(
        "version: 1\nproviders:\n  deepseek:\n    models:\n"
        "      chat: {prices: {input: 0.30, cache_read: 0.03}, has: [vision], context: 128000}\n"
    )
    facts = plan.models["deepseek/chat"].facts

    assert facts.prices is not None
    assert (300_000_000, 420_000_000, 30_000_000) == (facts.prices.input, facts.prices.output, facts.prices.cache_read)
    assert ("streaming", "tools", "vision") == facts.has
    assert () == facts.lacks
    assert 128_000 == facts.limits.context
    assert "gateway.yaml" == facts.prices.source


def test_quirks_and_rules_are_laid_over_the_catalogues() -> None:
    plan = plan_of(
        "version: 1\nproviders:\n  anthropic:\n    quirks: {system_anywhere: false}\n    parameters: {drop: [seed]}\n"
        "    models:\n      claude-sonnet:\n        parameters: {drop: [top_p], exclusive: [{fields: [a, b]}]}\n"
        "        reasoning: {style: adaptive}\n"
    )
    provider, model = plan.providers["anthropic"], plan.models["anthropic/claude-sonnet"].facts

    assert not provider.quirks.system_anywhere
    assert provider.quirks.developer_role
    assert ("seed",) == provider.parameters.drop
    assert ("top_k", "top_p") == model.parameters.drop
    assert (("a", "b"),) == model.parameters.exclusive
    assert model.reasoning is not None
    assert ("adaptive", ("low", "medium", "high")) == (model.reasoning.style, model.reasoning.efforts)


def test_prices_are_exact() -> None:
    plan = plan_of(
        "version: 1\nproviders:\n  openai:\n    models:\n      gpt-5: {prices: {input: 0.1, output: 1.000000001}}\n"
    )
    prices = plan.models["openai/gpt-5"].facts.prices

    assert prices is not None
    assert (NANO_USD // 10, NANO_USD + 1) == (prices.input, prices.output)


def test_an_own_path_does_not_promise_the_usual_counter() -> None:
    text = "version: 1\nproviders:\n  own:\n    base_url: https://own.example.com\n    auth: {scheme: none}\n    open_models: true\n"
    usual = (
        plan_of(f"{text}    surfaces: {{anthropic_messages: {{}}}}\n").providers["own"].surfaces["anthropic_messages"]
    )
    own = (
        plan_of(f"{text}    surfaces: {{anthropic_messages: {{path: /x}}}}\n")
        .providers["own"]
        .surfaces["anthropic_messages"]
    )

    assert ("/v1/messages", "/v1/messages/count_tokens") == (usual.path, usual.count_tokens)
    assert ("/x", None) == (own.path, own.count_tokens)


def test_a_plan_holds_only_protocols_that_are_spoken() -> None:
    plan = plan_of("version: 1\n")

    assert "bedrock" not in plan.providers
    assert {"openai_chat", "openai_embeddings", "anthropic_messages"} == {
        name for item in plan.providers.values() for name in item.surfaces
    }


def test_the_same_faults_are_found_whatever_else_is_wrong() -> None:
    """Every section is checked even when every other one has a fault."""
    sections: dict[str, Callable[[], str]] = {
        "bad-price": lambda: "providers:\n  openai:\n    models: {gpt-5: {prices: {input: 0.000001}}}\n",
        "unknown-model": lambda: "aliases:\n  fast: openai/none\n",
        "unreachable-target": lambda: "combos:\n  smart:\n    targets: [openai/gpt-5, openai/gpt-5]\n",
        "open-server": lambda: "server: {host: 0.0.0.0, authentication: none}\n",
        "limit-never-reached": lambda: "timeouts: {idle: 1h}\n",
        "useless-key": lambda: "keys:\n  ci: {key: '${CI_KEY}', scopes: []}\n",
    }
    result = compiled("version: 1\n" + "".join(section() for section in sections.values()))

    assert set(sections) == {item.code for item in result.diagnostics}


def test_a_parameter_nested_beyond_all_bounds_is_a_fault_with_a_place() -> None:
    deep = "[" * 100_000
    (fault,) = compiled(f"version: 1\nproviders:\n  sim: {{parameters: {{add: {{a: '{deep}'}}}}}}\n").diagnostics

    assert ("invalid-value", 3, "add: the value of a is not JSON") == (fault.code, fault.span.line, fault.message)
    assert len(str(fault)) < 500
