"""Names to routes: what the request path asks, once per request."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.catalog import Capability
from runtime.config.compile import compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.plan import Plan
from runtime.config.resolve import absent, find_model, match, meant, resolve, substitute
from tests.config.catalog import CATALOG

NAMES = [*"abcdefgh", "gpt-x", "gpt-*", "x-*", "*-x", "openai/gpt-5", "openai/none", "ollama/any", "claude-sonnet"]
TARGETS = [*NAMES, "gpt-5", "openai/*", "ollama/*", "anthropic/claude-sonnet", "sim/echo", "*"]


def plan_of(body: str) -> Plan:
    result = compile_plan([Source(MAIN, f"version: 1\n{body}".encode())], CATALOG)
    assert result.plan is not None, [str(item) for item in result.diagnostics]
    return result.plan


WILD = plan_of(
    'providers: {ollama: , sim: }\naliases:\n  "claude-*": "anthropic/claude-*"\n  "claude-3-*": openai/gpt-5\n'
    '  claude-exact: openai/gpt-5-mini\n  "*-local": "ollama/*"\n  "gpt-*": smart\n'
    "combos:\n  smart:\n    targets: [anthropic/claude-sonnet, sim/echo]\n"
)


def models(name: str) -> list[str] | None:
    route = resolve(WILD, name)
    return None if route is None else [target.model for target in route.targets]


def test_resolve_model_by_its_own_name_gives_itself() -> None:
    assert ["openai/gpt-5"] == models("openai/gpt-5")


def test_resolve_exact_name_wins_over_wildcard() -> None:
    assert ["openai/gpt-5-mini"] == models("claude-exact")


def test_resolve_longer_wildcard_wins_over_shorter() -> None:
    assert ["openai/gpt-5"] == models("claude-3-opus")


def test_resolve_star_in_the_target_stands_for_what_matched() -> None:
    route = resolve(WILD, "claude-haiku")

    assert route is not None
    assert ("alias", "claude-haiku") == (route.kind, route.name)
    assert ("claude-haiku", "anthropic/claude-haiku") == route.path
    assert ["anthropic/claude-haiku"] == [target.model for target in route.targets]
    assert ("claude-haiku", "anthropic/claude-haiku") == route.targets[0].path


def test_resolve_wildcard_to_combo_gives_the_combos_targets() -> None:
    route = resolve(WILD, "gpt-anything")

    assert route is not None
    assert ["anthropic/claude-sonnet", "sim/echo"] == [target.model for target in route.targets]
    assert ("gpt-anything", "smart", "sim/echo") == route.targets[1].path


def test_resolve_wildcard_that_leads_to_no_model_gives_none() -> None:
    assert models("claude-nonsense") is None


def test_resolve_open_provider_takes_any_name() -> None:
    route = resolve(WILD, "ollama/llama3:8b")

    assert route is not None
    assert ("ollama/llama3:8b", ("ollama/default",)) == (route.targets[0].model, route.targets[0].connections)
    assert (Capability.STREAMING,) == route.promises


def test_resolve_open_provider_through_wildcard() -> None:
    assert ["ollama/qwen"] == models("qwen-local")


def test_resolve_closed_provider_takes_listed_names_only() -> None:
    assert models("openai/gpt-99") is None


def test_resolve_name_of_nothing_gives_none() -> None:
    assert models("") is None
    assert models("/") is None
    assert models("ollama/") is None
    assert models("nothing") is None


def test_find_model_of_open_provider_has_what_the_provider_assumes() -> None:
    planned = find_model(WILD, "ollama/llama3")

    assert planned is not None
    assert ("ollama", "llama3", (Capability.STREAMING,)) == (planned.provider, planned.facts.id, planned.facts.has)
    assert find_model(WILD, "openai/gpt-99") is None


LAB = """
  lab:
    base_url: https://lab.example/v1
    surfaces: {openai_chat: {}}
    connections: [{id: main, key: "${LAB_KEY}"}]
    models: {gpt-5: {}, claude-haiku: {}, chat: {}, meta/llama: {}, openai/gpt-5: {}, openai/gpt-6: {}, ollama: {}}
"""
SHARED = plan_of(f'providers:\n  sim:{LAB}aliases:\n  chat: sim/echo\n  "claude-*": "anthropic/claude-*"\n')


def test_bare_name_stands_for_the_model_that_one_provider_has() -> None:
    assert ("openai/gpt-5-mini",) == meant(SHARED, "gpt-5-mini")
    assert ("lab/meta/llama",) == meant(SHARED, "meta/llama")


def test_bare_name_that_several_have_stands_for_each() -> None:
    assert ("lab/gpt-5", "openai/gpt-5") == meant(SHARED, "gpt-5")


def test_names_and_wildcards_win_over_bare_names() -> None:
    assert () == meant(SHARED, "chat"), "an alias, and a model of lab and of deepseek"
    assert () == meant(SHARED, "claude-haiku"), "what fits a wildcard"
    assert () == meant(SHARED, "sim/echo"), "a public id"


def test_what_begins_with_a_provider_is_that_providers_and_never_bare() -> None:
    assert ["openai/gpt-5"] == [target.model for target in resolve(SHARED, "openai/gpt-5").targets]  # type: ignore[union-attr]
    assert () == meant(SHARED, "openai/gpt-5"), "though lab has a model of that name"
    assert () == meant(SHARED, "openai/gpt-6"), "which openai has not, and lab has"


def test_providers_that_nobody_wrote_count_only_where_they_are_lit() -> None:
    lit = {"openai/OPENAI_API_KEY"}

    assert "openai" in absent(SHARED, ())
    assert "lab" not in absent(SHARED, ())
    assert ("lab/gpt-5",) == meant(SHARED, "gpt-5", absent(SHARED, ()))
    assert ("lab/gpt-5", "openai/gpt-5") == meant(SHARED, "gpt-5", absent(SHARED, lit))


@given(name=st.sampled_from([*NAMES, *TARGETS, "gpt-5", "echo", "lab", "meta/llama", "openai/gpt-6", "", "/", "lab/"]))
def test_a_bare_name_is_never_a_name_and_stands_for_models_only(name: str) -> None:
    ids = meant(SHARED, name)

    assert not ids or resolve(SHARED, name) is None
    assert all(id_ in SHARED.models and id_.partition("/")[2] == name for id_ in ids)


@given(head=st.text("ab-/"), tail=st.text("ab-/"), rest=st.text("ab-/", min_size=1))
def test_match_gives_back_what_substitute_put_in(head: str, tail: str, rest: str) -> None:
    assert rest == match(f"{head}*{tail}", f"{head}{rest}{tail}")
    assert f"{head}{rest}{tail}" == substitute(f"{head}*{tail}", rest)


@given(
    aliases=st.dictionaries(st.sampled_from(NAMES), st.sampled_from(TARGETS), max_size=8),
    combos=st.dictionaries(
        st.sampled_from("abcdefgh"), st.lists(st.sampled_from(TARGETS), min_size=1, max_size=4), max_size=5
    ),
)
def test_whatever_is_written_compiles_to_faults_or_to_routes_that_end(
    aliases: dict[str, str], combos: dict[str, list[str]]
) -> None:
    """No graph of names makes the compiler fail or a plan go round: every route ends in models that are in the plan."""
    text = "version: 1\nproviders: {sim: , ollama: }\naliases:\n"
    text += "".join(f'  "{name}": "{target}"\n' for name, target in aliases.items()) + "combos:\n"
    text += "".join(f'  "{name}":\n    targets: {targets}\n' for name, targets in combos.items())
    result = compile_plan([Source(MAIN, text.encode())], CATALOG)
    if result.plan is None:
        assert result.diagnostics
        return
    for name in (*NAMES, *TARGETS, *(name.replace("*", "gpt-5") for name in TARGETS)):
        route = resolve(result.plan, name)
        if route is None:
            continue
        assert route.targets
        for target in route.targets:
            planned = find_model(result.plan, target.model)
            assert planned is not None
            assert target.connections
            assert all(result.plan.connections[id_].provider == planned.provider for id_ in target.connections)
            assert len(set(target.path)) == len(target.path), "a name stands twice in its own chain"
            assert (name, target.model) == (target.path[0], target.path[-1])
    assert set(aliases) - {name for name in aliases if "*" in name} <= set(result.plan.routes)
    assert set(combos) <= set(result.plan.routes)
