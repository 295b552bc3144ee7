"""Connections, nodes and models of the API and of gateway.yaml: one says what the other says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import ModelSettings, ProviderSettings
from runtime.errors import InvalidRequest
from runtime.management.body import masked
from runtime.management.connection import (
    api_id,
    connection_document,
    connection_name,
    placed,
    plan_id,
    read_connection,
    specific_data,
    without,
)
from runtime.management.node import node_document, read_node, refuse_private
from runtime.management.served_model import api_format, model_document, read_served_model

TEXTS = st.text(st.characters(codec="utf-8"), min_size=1, max_size=20)
IDS = st.from_regex(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,20}\Z")
HEADERS = st.dictionaries(st.sampled_from(["x-team", "x-region", "user-agent"]), TEXTS, min_size=1)
CONNECTIONS = st.fixed_dictionaries(
    {},
    optional={
        "key": st.sampled_from(["${KEY}", "file:secret", "sk-0123456789"]),
        "base_url": st.just("https://llm.example.com/v1"),
        "variables": st.dictionaries(IDS, TEXTS, min_size=1, max_size=2),
        "headers": HEADERS,
        "max_in_flight": st.integers(1, 99),
        "limits": st.just([{"requests": 5, "per": "1m"}]),
        "proxy": st.just({"url": "direct"}),
        "enabled": st.just(False),
    },
)


@given(CONNECTIONS)
def test_a_connection_that_is_shown_can_be_sent_back_and_says_the_same(document: dict[str, Any]) -> None:
    answer = {
        "name": "main",
        "isActive": document.get("enabled", True),
        "apiKey": "…abcd",
        "maxConcurrent": document.get("max_in_flight"),
        "limits": document.get("limits"),
        "proxy": document.get("proxy"),
        "providerSpecificData": specific_data(document),
    }
    assert document == connection_document(read_connection(answer), document)
    fresh = connection_document(read_connection({**answer, "apiKey": document.get("key")}))
    assert document == fresh


def test_the_password_of_a_proxy_is_kept_when_its_mask_comes_back() -> None:
    proxy = {"url": "http://p.example.com", "username": "us", "password": "stored:1"}
    shown = masked(proxy)
    assert {**proxy, "password": "…"} == shown
    assert {"proxy": proxy} == connection_document(read_connection({"proxy": shown}), {"proxy": proxy})
    assert {"proxy": {**proxy, "password": "new"}} == connection_document(
        read_connection({"proxy": {**shown, "password": "new"}}), {"proxy": proxy}
    )
    node = {"name": "n", "base_url": "https://a.example.com", "surfaces": {"openai_chat": {}}, "proxy": proxy}
    assert node == node_document(read_node({"settings": {"proxy": shown}}), node)
    assert "${P}" == masked({**proxy, "password": "${P}"})["password"]


@given(st.lists(IDS, unique=True, min_size=1, max_size=6), st.data())
def test_a_connection_takes_its_place_and_the_others_keep_theirs(ids: list[str], data: st.DataObject) -> None:
    connections = [{"id": id_, "key": "${K}"} for id_ in ids]
    moved = data.draw(st.sampled_from(ids))
    priority = data.draw(st.integers(1, 8) | st.none())
    after = placed(connections, {"id": moved, "key": "${NEW}"}, priority)

    assert sorted(ids) == sorted(str(each["id"]) for each in after)
    assert [id_ for id_ in ids if id_ != moved] == [each["id"] for each in after if each["id"] != moved]
    wanted = ids.index(moved) if priority is None else min(priority - 1, len(ids) - 1)
    assert {"id": moved, "key": "${NEW}"} == after[wanted]
    assert [id_ for id_ in ids if id_ != moved] == [each["id"] for each in without(after, moved)]


@given(TEXTS)
def test_any_name_becomes_an_id_or_is_refused(name: str) -> None:
    if any(character.isascii() and character.isalnum() for character in name):
        id_ = connection_name(name)
        assert id_ == connection_name(id_)
        assert len(id_) <= 64
    else:
        with pytest.raises(InvalidRequest, match="name"):
            connection_name(name)
    assert "openai/a:b" == plan_id("openai:a:b") == plan_id("openai/a:b")
    assert "openai:a/b" == api_id("openai/a/b")


NODES = st.fixed_dictionaries(
    {
        "name": TEXTS,
        "base_url": st.just("https://llm.example.com/v1"),
        "surfaces": st.sampled_from(
            [{"openai_chat": {}}, {"openai_responses": {"path": "/r"}}, {"openai_embeddings": {}}]
        ),
    },
    optional={
        "local": st.just(True),
        "open_models": st.booleans(),
        "auth": st.just({"scheme": "none"}),
        "headers": HEADERS,
        "timeouts": st.just({"idle": "5s"}),
        "connections": st.just([{"id": "a", "key": "${K}"}]),
    },
)


@given(NODES)
def test_a_change_of_nothing_leaves_a_node_as_it_is(document: dict[str, Any]) -> None:
    assert document == node_document(read_node({}), document)
    assert document == node_document(read_node({"name": document["name"], "baseUrl": document["base_url"]}), document)
    own = {"name", "base_url", "local", "surfaces", "connections"}
    rest = {name: value for name, value in document.items() if name not in own}
    assert document == node_document(read_node({"settings": rest}), document)


@pytest.mark.parametrize(
    ("body", "surfaces", "base_url", "header"),
    [
        ({"apiType": "chat"}, {"openai_chat": {}}, "https://a.example.com/v1", None),
        (
            {"apiType": "responses", "chatPath": "/x"},
            {"openai_responses": {"path": "/x"}},
            "https://a.example.com/v1",
            None,
        ),
        ({"type": "anthropic-compatible"}, {"anthropic_messages": {}}, "https://a.example.com", "x-api-key"),
    ],
)
def test_the_types_of_nodes_are_protocols(
    body: dict[str, Any], surfaces: Any, base_url: str, header: str | None
) -> None:
    made = node_document(read_node({"name": "A", "prefix": "a", "baseUrl": "https://a.example.com/v1/", **body}))

    assert (surfaces, base_url, True) == (made["surfaces"], made["base_url"], made["open_models"])
    assert header == made["auth"].get("header")


@pytest.mark.parametrize(
    "url",
    ["http://10.1.2.3/v1", "http://127.0.0.1:1", "http://[::1]:1", "http://[fd00::1]", "http://192.168.1.1",
     "http://172.16.0.1", "http://100.64.0.1", "http://localhost", "http://a.localhost", "http://nas.local",
     "http://metadata.google.internal", "http://[::ffff:10.0.0.1]", "http://0.0.0.0", "http://169.254.169.254", "http://[::ffff:169.254.169.254]",
     "http://[64:ff9b::a9fe:a9fe]", "http://0xa9fea9fe", "http://2130706433", "http://0177.1"],
)  # fmt: skip
def test_private_addresses_are_refused_unless_they_are_meant(url: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        refuse_private(url, local=False)
    assert "baseUrl" == refused.value.param
    if any(word in url for word in ("169.254", "a9fe", "0.0.0.0", "metadata")):
        with pytest.raises(InvalidRequest):
            refuse_private(url, local=True)
    else:
        refuse_private(url, local=True)


@pytest.mark.parametrize("url", ["https://api.example.com/v1", "https://8.8.8.8/", "https://[2606:4700::1111]/"])
def test_public_addresses_are_not(url: str) -> None:
    refuse_private(url, local=False)


MODELS = st.fixed_dictionaries(
    {},
    optional={
        "name": TEXTS,
        "endpoint": st.sampled_from(["chat", "embeddings"]),
        "context": st.integers(1, 10**6),
        "has": st.just(["tools"]),
        "prices": st.just({"input": "1", "output": "2"}),
        "listed": st.just(False),
    },
)


@given(MODELS)
def test_a_change_of_nothing_leaves_a_model_as_it_is(document: dict[str, Any]) -> None:
    named = {"provider": "a", "modelId": "m"}
    own = {"name", "endpoint", "protocol"}
    rest = {name: value for name, value in document.items() if name not in own}

    assert document == model_document(read_served_model(named), document)
    assert document == model_document(read_served_model({**named, "settings": rest}), document)
    said = {**named, "settings": rest, "modelName": document.get("name")}
    if "endpoint" in document:
        said["apiFormat"] = api_format(document["endpoint"], None)
    assert document == model_document(read_served_model(said))


def test_hidden_and_shown() -> None:
    named = {"provider": "a", "modelId": "m"}
    hidden = model_document(read_served_model({**named, "isHidden": True}), {"context": 5})
    assert {"context": 5, "listed": False} == hidden
    assert {"context": 5} == model_document(read_served_model({**named, "isHidden": False}), hidden)


def test_every_setting_of_a_provider_and_a_model_can_be_said() -> None:
    elsewhere = {"name", "base_url", "local", "connections"}
    for field in ProviderSettings.__struct_encode_fields__:
        if field not in elsewhere:
            read_node({"settings": {field: 1}})
    for field in ModelSettings.__struct_encode_fields__:
        if field not in {"name", "endpoint", "protocol"}:
            read_served_model({"provider": "a", "modelId": "m", "settings": {field: 1}})
