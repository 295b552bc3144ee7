"""Whatever JSON a body holds, it is read or refused at a place in it: nothing else is ever raised."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.config.override import section_shape, sections
from runtime.errors import InvalidRequest
from runtime.management.combo import combo_document, read_combo, shown_combo
from runtime.management.connection import connection_document, placed, read_connection, specific_data
from runtime.management.node import api_type, node_document, node_type, read_node
from runtime.management.policy import read_policy
from runtime.management.price import price_document
from runtime.management.proxy import proxy_document, shown_proxy
from runtime.management.served_model import model_document, read_served_model
from runtime.management.setting import (
    read_settings,
    read_system_prompt,
    read_thinking_budget,
    shown_system_prompt,
    shown_thinking_budget,
)
from tests.support.examples import few

SCALARS = st.none() | st.booleans() | st.integers(-5, 10**12) | st.floats(allow_nan=False) | st.text(max_size=9)
WORDS = st.sampled_from(
    [
        "name",
        "models",
        "strategy",
        "config",
        "settings",
        "context_length",
        "kind",
        "model",
        "comboName",
        "weight",
        "when",
        "handoffThreshold",
        "isActive",
        "provider",
        "apiKey",
        "priority",
        "maxConcurrent",
        "limits",
        "proxy",
        "providerSpecificData",
        "baseUrl",
        "customHeaders",
        "variables",
        "prefix",
        "type",
        "apiType",
        "chatPath",
        "local",
        "modelId",
        "apiFormat",
        "isHidden",
        "input",
        "output",
        "cached",
        "url",
        "host",
        "port",
        "username",
        "password",
        "prompt",
        "enabled",
        "place",
        "mode",
        "customBudget",
        "effortLevel",
        "requests",
        "retries",
        "requestRetry",
        "corsOrigins",
        "targets",
        "surfaces",
        "openai_chat",
        "text",
        "tokens",
    ]
)
VALUES = st.recursive(
    SCALARS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)
BODIES = st.dictionaries(WORDS, VALUES, max_size=5)
RECORDS = dict.fromkeys(name for name in sections() if section_shape(name) == "record")

READ: dict[str, Callable[[Any, Any], object]] = {
    "combo": lambda body, before: combo_document(read_combo(body), before),
    "connection": lambda body, before: placed(
        before, {"id": "a", **connection_document(read_connection(body), {})}, None
    ),
    "node": lambda body, before: node_document(read_node(body), before),
    "model": lambda body, before: model_document(read_served_model({"provider": "a", "modelId": "m", **body}), before),
    "policy": lambda body, before: read_policy(body),
    "price": lambda body, before: price_document(body, before, {}, "a.m", "s", "d"),
    "proxy": lambda body, before: proxy_document(body, before, "proxy"),
    "settings": lambda body, before: read_settings(body, RECORDS),
    "system prompt": read_system_prompt,
    "thinking budget": read_thinking_budget,
}


@pytest.mark.parametrize("what", list(READ))
@few()
@given(body=BODIES, before=BODIES)
def test_a_body_is_read_or_refused(what: str, body: dict[str, Any], before: dict[str, Any]) -> None:
    try:
        READ[what](body, before)
    except InvalidRequest as refused:
        assert refused.message  # noqa: PT017 — that it may be refused is the point


@given(BODIES)
def test_whatever_is_written_can_be_shown(document: dict[str, Any]) -> None:
    shown_combo("c", {**document, "targets": [document, "a/b"]}, {"c"}, "config")
    specific_data(document)
    node_type(document)
    api_type(document)
    shown_system_prompt(document)


@given(st.text(max_size=20) | st.none() | st.just("http://h.example.com"))
def test_a_proxy_that_was_written_by_hand_can_be_shown(url: str | None) -> None:
    if url is None or "://" not in url or url.startswith("http"):
        shown_proxy({"url": url})
    shown_thinking_budget({})
