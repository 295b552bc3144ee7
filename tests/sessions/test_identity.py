"""Which session a request belongs to: what its client says, if that can be an id."""

from __future__ import annotations

import pytest

from runtime.canonical import Message, Request, Text
from runtime.errors import InvalidRequest
from runtime.sessions import named_session, said_session
from runtime.sessions.identity import MAX_ID, SESSION_HEADERS


@pytest.mark.parametrize("name", SESSION_HEADERS)
def test_each_header_names_a_session(name: str) -> None:
    assert "one" == named_session({name: " one "})


def test_our_header_wins_and_an_empty_one_says_nothing() -> None:
    assert "ours" == named_session({"session-id": "theirs", "x-omniroute-session-id": "ours"})
    assert "theirs" == named_session({"session-id": "theirs", "x-omniroute-session-id": ""})
    assert named_session({"session": "no"}) is None


@pytest.mark.parametrize("id_", ["x" * (MAX_ID + 1), "a\tb", "a\x7fb", "a\u200bb"])
def test_what_cannot_be_an_id_is_refused_with_the_header_named(id_: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        named_session({"session-id": id_})

    assert "session-id" == refused.value.param
    assert "session-id" in refused.value.message
    assert id_ not in refused.value.message
    with pytest.raises(InvalidRequest):
        said_session(request(metadata={"session_id": id_}))


def request(**fields: object) -> Request:
    return Request(model="m", messages=(Message(role="user", content=(Text(text="hi"),)),), **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, None),
        ({"metadata": {"session_id": "one"}, "cache_key": "two"}, "one"),
        ({"user": '{"device_id":"d","session_id":"three"}', "cache_key": "two"}, "three"),
        ({"cache_key": "two"}, "two"),
        ({"user": "somebody"}, None),
        ({"user": '{"session_id": 1}', "cache_key": "x" * 300}, None),
        ({"user": "{not json"}, None),
    ],
)
def test_a_body_says_its_session_in_its_vendors_words(fields: dict[str, object], expected: str | None) -> None:
    assert expected == said_session(request(**fields))
