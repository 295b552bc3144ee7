"""Explanations: where a request would go, through which lines, and why not elsewhere."""

from __future__ import annotations

import pytest

from runtime.catalog import Endpoint
from runtime.config.compile import compile_plan
from runtime.config.explain import explain, render_explanation
from runtime.config.files import MAIN, Source
from runtime.config.plan import Artefact
from tests.config.catalog import CATALOG

TEXT = """version: 1
providers:
  openai:
    connections:
      - {id: team, key: "${TEAM_KEY}"}
aliases:
  best: smart
  "claude-*": "anthropic/claude-*"
combos:
  smart:
    targets: [openai/gpt-5, deepseek/chat]
"""


@pytest.fixture
def artefact() -> Artefact:
    found = compile_plan([Source(MAIN, TEXT.encode())], CATALOG).artefact
    assert found is not None
    return found


def test_targets_come_in_order_with_the_lines_they_were_written_on(artefact: Artefact) -> None:
    found = explain(artefact, "best")

    assert [("best", "smart", "openai/gpt-5"), ("best", "smart", "deepseek/chat")] == [
        item.path for item in found.targets
    ]
    assert ("gateway.yaml:7:3", "gateway.yaml:10:3", "gateway.yaml:3:3") == found.targets[0].written
    assert ("gateway.yaml:7:3", "gateway.yaml:10:3", None) == found.targets[1].written
    assert ("openai_chat", "anthropic_messages") == found.targets[1].protocols
    assert found.problem is None
    assert found.chosen is None


def test_first_usable_target_is_the_one_that_answers(artefact: Artefact) -> None:
    found = explain(artefact, "best", usable={"deepseek/DEEPSEEK_API_KEY"})

    assert "deepseek/chat" == found.chosen
    assert [False, True] == [target.usable for target in found.targets]
    assert "${TEAM_KEY} is not set" == found.targets[0].connections[0].reason
    assert "${DEEPSEEK_API_KEY} is set (found by its customary variable)" == found.targets[1].connections[0].reason


def test_all_dark_is_a_problem(artefact: Artefact) -> None:
    found = explain(artefact, "best", usable=set())

    assert "every target is dark: none of their connections has its secret" == found.problem
    assert found.chosen is None


def test_wildcard_is_explained_with_its_own_line(artefact: Artefact) -> None:
    found = explain(artefact, "claude-haiku")

    assert ("claude-haiku", "anthropic/claude-haiku") == found.targets[0].path
    assert ("gateway.yaml:8:3", None) == found.targets[0].written


def test_wrong_endpoint_is_a_problem(artefact: Artefact) -> None:
    assert "openai/gpt-5 answers chat, not embeddings" == explain(artefact, "openai/gpt-5", Endpoint.EMBEDDINGS).problem


def test_unknown_name_gets_a_suggestion(artefact: Artefact) -> None:
    assert "no model, alias or combo 'samrt'; did you mean 'smart'?" == explain(artefact, "samrt").problem


def test_text_names_every_step(artefact: Artefact) -> None:
    text = render_explanation(explain(artefact, "best", usable={"openai/team"}))

    assert text == (
        "best (alias), chat\n"
        "  promises streaming, tools\n"
        "  context 64000 tokens\n"
        "  $0.011250 for 1,000 tokens in and 1,000 out at the first target\n"
        "  1. openai/gpt-5 in openai_chat, answers\n"
        "     best (gateway.yaml:7:3) → smart (gateway.yaml:10:3) → openai/gpt-5 (gateway.yaml:3:3)\n"
        "     connection openai/team (gateway.yaml:5:9): ${TEAM_KEY} is set\n"
        "  2. deepseek/chat in openai_chat or anthropic_messages, dark\n"
        "     best (gateway.yaml:7:3) → smart (gateway.yaml:10:3) → deepseek/chat\n"
        "     connection deepseek/DEEPSEEK_API_KEY: ${DEEPSEEK_API_KEY} is not set (found by its customary variable)\n"
    )


def test_text_says_why_a_request_is_refused(artefact: Artefact) -> None:
    assert "  refused: no model" in render_explanation(explain(artefact, "nothing-like-it"))


def test_a_bare_name_is_explained_as_the_model_it_stands_for(artefact: Artefact) -> None:
    found = explain(artefact, "gpt-5-mini", usable={"openai/team"})

    assert ("gpt-5-mini", "openai/gpt-5-mini") == found.targets[0].path
    assert "openai/gpt-5-mini" == found.chosen
    assert "gpt-5-mini → openai/gpt-5-mini" in render_explanation(found)


def test_an_ambiguous_name_is_explained_as_such() -> None:
    text = "version: 1\nproviders: {ollama: {models: {large: {}}}}\n"
    artefact = compile_plan([Source(MAIN, text.encode())], CATALOG).artefact
    assert artefact is not None

    assert (
        "the name 'large' is ambiguous; write one of mistral/large, ollama/large" == explain(artefact, "large").problem
    )
    assert "ollama/large" == explain(artefact, "large", usable={"ollama/default"}).chosen


def test_a_connection_that_is_off_is_dark_for_that_reason() -> None:
    text = TEXT.replace('"${TEAM_KEY}"', '"${TEAM_KEY}", enabled: false')
    found = compile_plan([Source(MAIN, text.encode())], CATALOG).artefact
    assert found is not None

    connection = explain(found, "openai/gpt-5", usable=frozenset()).targets[0].connections[0]

    assert (False, "is not enabled") == (connection.usable, connection.reason)
