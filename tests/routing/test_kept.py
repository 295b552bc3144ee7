"""Where a session is comes first, and nobody is left out for it."""

from __future__ import annotations

from functools import cache
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from generated.config import BreakerSettings, CooldownSettings
from runtime.canonical import CacheMark, Message, Request, Text, Tool
from runtime.canonical.request import Role
from runtime.catalog import Endpoint
from runtime.resilience import Health
from runtime.routing import Needs, RouteTable
from runtime.routing.kept import BY_SESSION, kept_first
from runtime.routing.ordering import Chance, Noting, order_again
from runtime.routing.steering import Steering, conversation
from runtime.routing.strategies import strategy
from runtime.routing.view import LiveView
from runtime.telemetry.trail import Ordering, Step
from tests.routing.test_tree import table
from tests.support.routing import Time

NEEDS = Needs(uses=frozenset(), input_tokens=1, key="k")
STEERINGS = st.builds(
    Steering,
    connections=st.sampled_from([{}, {"p": "p/one"}, {"p": "p/two"}, {"p": "p/gone"}, {"q": "q/one"}]),
    target=st.sampled_from([None, "p/a", "p/c", "p/gone"]),
    keeps_target=st.booleans(),
    beginning=st.sampled_from([b"", b"0123456789abcdef"]),
)
COMBOS = "  c0: {{strategy: {0}, targets: [p/a, c1, p/b]}}\n  c1: {{strategy: {1}, targets: [p/c, {{model: p/d, weight: 2}}, p/b]}}\n"


@cache
def made(rules: tuple[str, str]) -> RouteTable:
    return table(COMBOS.format(*rules))


def walked(rules: tuple[str, str], steering: Steering, seed: int, trail: list[Step]) -> list[tuple[str, str]]:
    prepared = made(rules).prepared("c0", "openai_chat", Endpoint.CHAT)
    view = LiveView(Health(BreakerSettings(), CooldownSettings(), {}, Time().clock), steering)
    noting = Noting(view, Chance(Random(seed)), trail, steering.beginning)
    places = prepared.places(lambda: NEEDS, kept_first(noting.order, steering, noting.kept))
    return [(place.candidate.id, place.candidate.connection) for place in places]


RULES = st.sampled_from(
    ["priority", "weighted", "round-robin", "strict-random", "p2c", "context-relay", "prefix-affinity"]
)


@given(rules=st.tuples(RULES, RULES), steering=STEERINGS, seed=st.integers(0, 99))
def test_every_place_is_reached_once_whatever_is_kept_first(
    rules: tuple[str, str], steering: Steering, seed: int
) -> None:
    found = walked(rules, steering, seed, [])

    assert sorted(found) == sorted((f"p/{model}", f"p/{way}") for model in "abcd" for way in ("one", "two"))
    if steering.keeps_target and steering.target in {"p/a", "p/c"} and "context-relay" not in rules:
        assert steering.target == found[0][0]
    if steering.connections.get("p") in {"p/one", "p/two"}:
        assert steering.connections["p"] == found[0][1]


@given(rules=st.tuples(RULES, RULES), steering=STEERINGS, seed=st.integers(0, 99))
def test_an_order_can_be_had_again_from_what_was_noted(rules: tuple[str, str], steering: Steering, seed: int) -> None:
    trail: list[Step] = []
    walked(rules, steering, seed, trail)

    for noted in trail:
        assert isinstance(noted, Ordering)
        if noted.strategy == BY_SESSION:
            assert 1 == len(noted.order)
            continue
        again = order_again(strategy(noted.strategy), noted.choices, noted.seed, noted.memory, noted.seen)  # type: ignore[arg-type]
        assert [each.key for each in noted.order] == [each.key for each in again]


def request(*texts: str, mark: bool = False, tools: tuple[str, ...] = ()) -> Request:
    cache = CacheMark() if mark else None
    roles: tuple[Role, ...] = ("user", "assistant") * len(texts)
    messages = tuple(
        Message(role=role, content=(Text(text=text, cache=cache),)) for role, text in zip(roles, texts, strict=False)
    )
    system = Message(role="system", content=(Text(text="Be brief.", cache=cache),))
    return Request(model="m", messages=(system, *messages), tools=tuple(Tool(name=name, cache=cache) for name in tools))


@given(first=st.text(), more=st.lists(st.text(), max_size=4), mark=st.booleans())
def test_all_turns_of_a_conversation_begin_alike_marked_or_not(first: str, more: list[str], mark: bool) -> None:
    begins = conversation("k", "m", request(first, tools=("f",)))

    assert begins == conversation("k", "m", request(first, *more, mark=mark, tools=("f",)))


def test_conversations_of_other_keys_names_tools_and_first_messages_begin_otherwise() -> None:
    said = request("hi", tools=("f",))
    others = [
        conversation("k", "m", said), conversation("l", "m", said), conversation("k", "n", said),
        conversation("k", "m", request("ho", tools=("f",))), conversation("k", "m", request("hi", tools=("g",))),
        conversation("k", "m", request("hi")),
    ]  # fmt: skip

    assert len(others) == len(set(others))
