"""Two plans compared: entities, and what callers will notice."""

from __future__ import annotations

import pytest

from runtime.config.compile import compile_plan
from runtime.config.diff import Access, Behaviour, Change, PlanDiff, diff_plans, nominal_price, render_diff
from runtime.config.files import MAIN, Source
from runtime.config.plan import Plan
from tests.config.catalog import CATALOG

BASE = """version: 1
aliases:
  fast: openai/gpt-5-mini
combos:
  smart:
    targets: [openai/gpt-5, anthropic/claude-sonnet]
keys:
  ci: {key: "${CI_KEY}", models: [fast]}
"""


def plan_of(text: str) -> Plan:
    result = compile_plan([Source(MAIN, text.encode())], CATALOG)
    assert result.plan is not None, [str(item) for item in result.diagnostics]
    return result.plan


def changed(before: str, after: str) -> PlanDiff:
    assert before in BASE
    return diff_plans(plan_of(BASE), plan_of(BASE.replace(before, after)))


def test_same_plan_has_no_difference() -> None:
    diff = diff_plans(plan_of(BASE), plan_of("# moved\n" + BASE))

    assert not diff
    assert PlanDiff() == diff
    assert "" == render_diff(diff)


def test_order_of_targets_is_noticed() -> None:
    diff = changed("[openai/gpt-5, anthropic/claude-sonnet]", "[anthropic/claude-sonnet, openai/gpt-5]")
    noticed = {item.what: item for item in diff.behaviour}

    assert (
        Behaviour(
            what="targets",
            name="smart",
            before="openai/gpt-5 over openai/OPENAI_API_KEY, anthropic/claude-sonnet over anthropic/ANTHROPIC_API_KEY",
            after="anthropic/claude-sonnet over anthropic/ANTHROPIC_API_KEY, openai/gpt-5 over openai/OPENAI_API_KEY",
        )
        == noticed["targets"]
    )
    assert ("$0.011250 per nominal call", "$0.018000 per nominal call") == (
        noticed["price"].before,
        noticed["price"].after,
    )


def test_added_and_removed_entities_are_listed() -> None:
    diff = changed("  fast: openai/gpt-5-mini", "  fast: openai/gpt-5-mini\n  slow: openai/gpt-5")
    back = diff_plans(plan_of(BASE.replace("  fast:", "  slow: openai/gpt-5\n  fast:")), plan_of(BASE))

    assert (Change(kind="added", entity="routes.slow"),) == diff.changes
    assert (Change(kind="removed", entity="routes.slow"),) == back.changes


def test_price_of_a_model_is_noticed_wherever_it_answers() -> None:
    dearer = "providers:\n  openai:\n    models: {gpt-5-mini: {prices: {output: 4}}}\naliases:"
    diff = changed("aliases:", dearer)

    assert {("fast", "price"), ("openai/gpt-5-mini", "price")} == {(item.name, item.what) for item in diff.behaviour}


def test_lost_promise_is_noticed() -> None:
    diff = changed("anthropic/claude-sonnet]", "anthropic/claude-sonnet, deepseek/chat]")
    noticed = {item.what: (item.before, item.after) for item in diff.behaviour}

    assert ("streaming, tools, vision, json_schema", "streaming, tools") == noticed["promises"]
    assert ("200000 tokens", "64000 tokens") == noticed["context"]


def test_who_may_call_what_is_noticed() -> None:
    assert (Access(key="ci", gained=("smart",), lost=("fast",)),) == changed("models: [fast]", "models: [smart]").access


def test_a_key_that_comes_gains_and_one_that_goes_loses() -> None:
    text = BASE + '  lab: {key: "${LAB_KEY}", models: [smart]}\n'

    assert (Access(key="lab", gained=("smart",), lost=()),) == diff_plans(plan_of(BASE), plan_of(text)).access
    assert (Access(key="lab", gained=(), lost=("smart",)),) == diff_plans(plan_of(text), plan_of(BASE)).access


def test_a_key_that_may_not_chat_can_call_nothing() -> None:
    diff = changed("models: [fast]}", "models: [fast], scopes: [view]}")

    assert (Access(key="ci", gained=(), lost=("fast",)),) == diff.access


def test_open_server_is_noticed() -> None:
    diff = changed("version: 1\n", "version: 1\nserver: {authentication: none}\n")

    assert Behaviour(what="authentication", name="all", before="required", after="none") in diff.behaviour
    assert {"*", "ci"} == {access.key for access in diff.access}


def test_new_host_is_noticed() -> None:
    diff = changed("aliases:", "providers:\n  openai: {base_url: 'https://eu.example.com/v1'}\naliases:")
    hosts = {(item.before, item.after) for item in diff.behaviour if item.what == "egress"}

    assert {("api.openai.com", None), (None, "eu.example.com")} == hosts


def test_changed_setting_shows_both_values() -> None:
    diff = changed("version: 1\n", "version: 1\nserver: {port: 8080}\n")

    assert (Change(kind="changed", entity="server", fields=(("port", "20128", "8080"),)),) == diff.changes
    assert "~ server\n    port: 20128 → 8080\n" == render_diff(diff)


def test_text_says_what_callers_notice() -> None:
    text = render_diff(changed("models: [fast]", "models: [smart]"))

    assert "What callers will notice:\n  key ci: may now call smart\n  key ci: may no longer call fast\n" in text


def test_many_names_are_counted() -> None:
    text = render_diff(changed(", models: [fast]", ""))

    assert "and 1 more" in text


@pytest.mark.parametrize(("name", "nano_usd"), [("openai/gpt-5", 11_250_000), ("openai/embed-small", 20_000)])
def test_nominal_price_is_a_thousand_tokens_each_way(name: str, nano_usd: int) -> None:
    plan = plan_of(BASE)

    assert nano_usd == nominal_price(plan, plan.routes[name])


def test_nominal_price_without_prices_is_not_known() -> None:
    plan = plan_of(BASE)

    assert nominal_price(plan, plan.routes["deepseek/next"]) is None


def test_how_connections_are_ordered_and_sessions_are_made_is_noticed() -> None:
    """No change of the build is without a trace here."""
    written = "providers: {openai: {connections_strategy: prefix-affinity, sessions: derived}}\n"
    diff = diff_plans(plan_of("version: 1\nproviders: {openai: {}}\n"), plan_of(f"version: 1\n{written}"))

    assert "+ connection_strategies\n+ provider_sessions\n" == render_diff(PlanDiff(changes=diff.changes))


OWN = f"""version: 1
providers:
  own:
    base_url: https://own.example/api
    surfaces: {{openai_chat: {{}}, anthropic_messages: {{}}}}
    headers: {{X-Team: blue}}
    open_models: true
    connections: [{{id: a, key: "${{A}}", headers: {{X-Seat: one}}}}, {{id: b, key: "${{B}}"}}]
    models: {{small: {{context: 1000}}}}
keys:
  ci: {{hash: "hmac-sha256:{"a" * 64}"}}
"""
REVERSED = 'connections: [{id: b, key: "${B}"}, {id: a, key: "${A}", headers: {X-Seat: one}}]'


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        ("small: {", "small: {listed: false, ", "~ models.own/small\n    listed: null → false\n"),
        (
            "X-Team: blue",
            "X-Team: red",
            '~ providers.own\n    headers: {"X-Team":"…"} → {"X-Team":"…"}, which is another one\n',
        ),
        (
            "X-Seat: one",
            "X-Seat: two",
            '~ connections.own/a\n    headers: {"X-Seat":"…"} → {"X-Seat":"…"}, which is another one\n',
        ),
        ("a" * 64, "b" * 60 + "aaaa", '~ keys.ci\n    hash: "…aaaa" → "…aaaa", which is another one\n'),
        ("{openai_chat: {}, anthropic_messages: {}}", "{anthropic_messages: {}, openai_chat: {}}", "~ providers.own\n"),
    ],
    ids=["listed", "provider-header", "connection-header", "hash", "protocols"],
)
def test_whatever_makes_another_build_is_a_difference(before: str, after: str, line: str) -> None:
    assert before in OWN
    text = render_diff(diff_plans(plan_of(OWN), plan_of(OWN.replace(before, after))))

    assert text.startswith(line)


def test_connections_in_another_order_are_a_difference_also_where_no_name_is_listed() -> None:
    before = OWN.replace("    models: {small: {context: 1000}}\n", "")
    written = next(line.strip() for line in before.splitlines() if "connections:" in line)

    diff = diff_plans(plan_of(before), plan_of(before.replace(written, REVERSED)))

    fields = (("order", '["own/a","own/b"]', '["own/b","own/a"]'),)
    assert (Change(kind="changed", entity="connections.own", fields=fields),) == diff.changes
