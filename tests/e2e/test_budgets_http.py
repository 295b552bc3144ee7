"""Budgets and limits of keys over HTTP: setting them, what they show, what is refused, and who may see whose."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest

from tests.e2e.limited import DIALECTS, KEYS, ask, chat_with, limited, made
from tests.support.gateway import Running


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with limited(tmp_path_factory.mktemp("limits")) as running:
        yield running


def test_budgets_are_set_in_both_forms_and_show_what_was_spent(served: Running) -> None:
    id_, key = made(served)
    body = {"model": "sim/echo", "max_tokens": 20, "messages": [{"role": "user", "content": "hi"}]}
    assert 200 == ask(served, "POST", "/v1/chat/completions", body, key).status
    set_ = ask(served, "POST", "/api/usage/budget", {"keyId": id_, "limit": 50.00, "period": "monthly"})
    assert (200, True, 50.0) == (set_.status, set_.body["success"], set_.body["budget"]["monthlyLimitUsd"])
    other = {"apiKeyId": id_, "dailyLimitUsd": 5, "weeklyLimitUsd": "20.5"}
    assert 200 == ask(served, "POST", "/api/usage/budget", other).status
    deadline = time.monotonic() + 60
    while True:
        shown = ask(served, "GET", f"/api/usage/budget?apiKeyId={id_}").body["budgets"][0]
        if shown["requestsToday"]:
            break
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert (5.0, 20.5, 50.0) == (shown["dailyLimitUsd"], shown["weeklyLimitUsd"], shown["monthlyLimitUsd"])
    assert 0 < shown["totalCostToday"] == shown["totalCostMonth"] < 1
    assert ("daily", True) == (shown["budgetCheck"]["period"], shown["budgetCheck"]["allowed"])
    assert shown["tokensToday"] > 2
    limits = ask(served, "GET", f"/api/keys/{id_}").body["limits"]
    assert [{"usd": "50.00", "per": "month"}, {"usd": "5.00", "per": "day"}, {"usd": "20.50", "per": "week"}] == limits

    assert 200 == ask(served, "POST", "/api/usage/budget", {"apiKeyId": id_, "dailyLimitUsd": 0}).status
    assert 0 == ask(served, "GET", f"/api/usage/budget?keyId={id_}").body["budgets"][0]["dailyLimitUsd"]
    assert ask(served, "GET", "/api/usage/budget").body["total"] >= 10


def test_a_budget_warns_from_the_part_of_it_that_is_said(served: Running) -> None:
    id_, key = made(served)
    whole = {"warningThreshold": 0.001, "resetInterval": "daily", "resetTime": "00:00"}
    set_ = ask(served, "POST", "/api/usage/budget", {"apiKeyId": id_, "dailyLimitUsd": 5, **whole})
    assert (200, 0.001) == (set_.status, set_.body["budget"]["warningThreshold"]), set_.text
    assert set_.body["budget"]["budgetCheck"]["warningReached"] is False
    assert 200 == chat_with(served, key, max_tokens=20).status
    deadline_s = time.monotonic() + 60
    while True:
        shown = ask(served, "GET", f"/api/usage/budget?apiKeyId={id_}").body["budgets"][0]
        if shown["budgetCheck"]["warningReached"]:
            break
        assert time.monotonic() < deadline_s, shown
        time.sleep(0.1)
    assert ["daily"] == shown["warnings"]
    (told,) = [json.loads(line) for line in served.logged("budget_warning") if id_ in line]
    assert ("warning", "$5.00 per day", 0.001) == (told["level"], told["budget"], told["threshold"])
    kept = ask(served, "POST", "/api/usage/budget", {"apiKeyId": id_, "dailyLimitUsd": 6}).body["budget"]
    assert (6.0, 0.001) == (kept["dailyLimitUsd"], kept["warningThreshold"]), "it stays until something else is said"
    for more, path in (({"resetTime": "06:30"}, "resetTime"), ({"resetInterval": "weekly"}, "resetInterval")):
        refused = ask(served, "POST", "/api/usage/budget", {"apiKeyId": id_, "dailyLimitUsd": 7, **more})
        assert (422, True) == (refused.status, path in refused.text), refused.text
    assert 6.0 == ask(served, "GET", f"/api/usage/budget?apiKeyId={id_}").body["budgets"][0]["dailyLimitUsd"]


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"apiKeyId": "root", "dailyLimitUsd": 1, "warningThreshold": 2}, "warningThreshold"),
        ({"apiKeyId": "root", "dailyLimitUsd": 1, "resetTime": "24:00"}, "resetTime"),
        ({"apiKeyId": "root", "dailyLimitUsd": 1, "resetInterval": "hourly"}, "resetInterval"),
        ({}, "apiKeyId"),
        ({"apiKeyId": "root", "dailyLimitUsd": -1}, "dailyLimitUsd"),
        ({"apiKeyId": "root", "dailyLimitUsd": "much"}, "dailyLimitUsd"),
        ({"apiKeyId": "root"}, "limit"),
        ({"keyId": "root", "period": "daily"}, "limit"),
        ({"keyId": "root", "limit": 1, "period": "yearly"}, "period"),
        ({"keyId": "root", "limit": 1, "spent": 3}, "spent"),
        ({"keyId": "root", "limit": 1, "monthlyLimitUsd": 3}, "limit"),
    ],
)
def test_budgets_that_say_nothing_sound_are_refused_with_the_path(
    served: Running, body: dict[str, object], param: str
) -> None:
    answer = ask(served, "POST", "/api/usage/budget", body)
    assert (400, param) == (answer.status, answer.body.get("param")), answer.text


def test_a_budget_of_a_configured_key_is_changed_in_the_configuration(served: Running) -> None:
    assert 409 == ask(served, "POST", "/api/usage/budget", {"apiKeyId": "poor", "dailyLimitUsd": 1}).status
    assert 404 == ask(served, "POST", "/api/usage/budget", {"apiKeyId": "nobody", "dailyLimitUsd": 1}).status


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"limits": [{}]}, "limits[0]"),
        ({"limits": [{"requests": 5}]}, "limits[0].per"),
        ({"limits": [{"requests": 5, "per": "fortnight"}]}, "limits[0].per"),
        ({"limits": [{"requests": 0, "per": "1m"}]}, "limits[0].requests"),
        ({"limits": [{"usd": "-1", "per": "day"}]}, "limits[0].usd"),
        ({"limits": [{"tokens": 5, "per": "1m"}, {"tokens": 9, "per": "minute"}]}, "limits[1]"),
        ({"budget": "NaN"}, "budget"),
        ({"budget": {"limit": 1e99}}, "budget.limit"),
        ({"maxRequestsPerMinute": -1}, "maxRequestsPerMinute"),
        ({"company_id": "acne"}, "company_id"),
        ({"allowedCombos": ["smartt"]}, "allowedCombos[0]"),
        ({"key": "sk-not-one-of-ours-0123456789"}, "key"),
        ({"key": "gw-short"}, "key"),
        ({"prefix": "sk-"}, "prefix"),
    ],
)
def test_fields_of_keys_that_are_not_sound_are_refused_with_the_path(
    served: Running, fields: dict[str, object], param: str
) -> None:
    answer = ask(served, "POST", "/api/keys", {"name": "test", **fields})
    assert (400, param) == (answer.status, answer.body.get("param")), answer.text


def test_a_key_can_be_brought_along_and_another_made_with_the_same_beginning(served: Running) -> None:
    _, key = made(served, key="oag_brought-along-0123456789abcdef", maxRequestsPerMinute=5, allowedCombos=["smart"])
    assert "oag_brought-along-0123456789abcdef" == key
    assert 403 == ask(served, "POST", "/v1/chat/completions", DIALECTS["chat"][1], key).status
    again = ask(served, "POST", "/api/keys", {"name": "twice", "key": key})
    assert 409 == again.status
    assert made(served, prefix="oag_")[1].startswith("oag_")


def test_a_key_that_was_revoked_cannot_be_brought_along_again(served: Running) -> None:
    plain = "oag_revoked-for-good-0123456789abcdef"
    id_, _ = made(served, key=plain)
    assert 200 == ask(served, "POST", f"/api/keys/{id_}/revoke").status
    assert 200 == ask(served, "DELETE", f"/api/keys/{id_}").status
    again = ask(served, "POST", "/api/keys", {"name": "again", "key": plain})
    assert (409, True) == (again.status, "revoked for good" in again.text)
    assert 401 == chat_with(served, plain).status

    id_, key = made(served)
    assert 200 == ask(served, "DELETE", f"/api/keys/{id_}").status
    assert key == made(served, key=key)[1], "one that was only deleted can be"
    assert 200 == chat_with(served, key).status


def test_a_key_for_combos_alone_is_not_opened_to_all_by_taking_them_away(served: Running) -> None:
    id_, key = made(served, allowedCombos=["smart"])
    refused = ask(served, "PATCH", f"/api/keys/{id_}", {"allowedCombos": []})
    assert (400, "allowedCombos") == (refused.status, refused.body["param"])
    assert 403 == chat_with(served, key).status

    assert 200 == ask(served, "PATCH", f"/api/keys/{id_}", {"allowedCombos": [], "allowedModels": []}).status
    assert 200 == chat_with(served, key).status


def test_a_tenants_admin_manages_its_own_keys_and_sees_no_other(served: Running) -> None:
    anna, foreign = KEYS["anna"], "/api/keys/root"
    mine = ask(served, "POST", "/api/keys", {"name": "mine", "scopes": ["chat"]}, anna)
    assert 201 == mine.status, mine.text
    other, _ = made(served)
    listed = ask(served, "GET", "/api/keys", key=anna).body["keys"]
    assert {"acme"} == {each["company_id"] for each in listed}
    assert {"acme", "anna", mine.body["id"]} == {each["id"] for each in listed}
    assert {"acme"} == {
        each["company_id"] for each in ask(served, "GET", "/api/usage/budget", key=anna).body["budgets"]
    }
    for method, path, body in (
        ("GET", f"/api/keys/{other}", None),
        ("GET", foreign, None),
        ("PATCH", f"/api/keys/{other}", {"name": "x"}),
        ("PATCH", foreign, {"name": "x"}),
        ("DELETE", f"/api/keys/{other}", None),
        ("DELETE", foreign, None),
        ("POST", f"/api/keys/{other}/revoke", {}),
        ("POST", f"{foreign}/revoke", {}),
        ("POST", "/api/usage/budget", {"apiKeyId": other, "dailyLimitUsd": 1}),
        ("GET", f"/api/usage/budget?apiKeyId={other}", None),
    ):
        answer = ask(served, method, path, body, anna)
        assert answer.status == 404, (method, path, answer.text)
    assert 403 == ask(served, "GET", "/api/keys?company_id=default", key=anna).status
    assert 403 == ask(served, "POST", "/api/keys", {"name": "x", "company_id": "default"}, anna).status
    assert 403 == ask(served, "POST", "/api/keys", {"name": "x", "key": "gw-brought-along-0123456789"}, anna).status
    assert {"acme"} == {each["company_id"] for each in ask(served, "GET", "/api/keys?company_id=acme").body["keys"]}


def test_whose_key_it_is_and_what_was_used_elsewhere(served: Running) -> None:
    me = ask(served, "GET", "/v1/me", key=KEYS["acme"])
    assert (200, "acme", "Acme Ltd") == (me.status, me.body["company_id"], me.body["company_name"])

    id_, key = made(served, budget={"limit": "0.10", "period": "daily"})
    event = {"source": "voice_call", "duration_s": 73.4, "direction": "inbound", "metadata": {"call_id": "CA-42"}}
    taken = ask(served, "POST", "/v1/usage", event, key)
    assert (200, 0.0734, 73.4) == (taken.status, taken.body["cost_usd"], taken.body["credits"])
    assert 200 == ask(served, "POST", "/v1/usage", {"source": "whisper", "duration_s": 266}, key).status
    refused = ask(served, "POST", "/v1/chat/completions", DIALECTS["chat"][1], key)
    assert (429, True) == (refused.status, "$0.10 per day" in refused.text), "they count for the budget"

    assert 400 == ask(served, "POST", "/v1/usage", {"source": "voice", "duration_s": 1}, key).status
    assert 400 == ask(served, "POST", "/v1/usage", {"source": "whisper", "duration_s": -1}, key).status
    deadline = time.monotonic() + 60
    while ask(served, "GET", f"/api/usage/budget?apiKeyId={id_}").body["budgets"][0]["totalCostToday"] != 0.1:
        assert time.monotonic() < deadline
        time.sleep(0.1)
