"""Letting calls in: what is kept aside for them, which limits hold, what is said of those that are refused."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.config import LimitSettings, LoggingSettings, RequestSettings, ServerSettings, TimeoutSettings
from runtime.catalog import Model, Prices
from runtime.catalog.model import Limits as ModelLimits
from runtime.config.plan import Combo, Member, Plan, Policy, Tenant
from runtime.errors import BudgetExceeded, PermissionDenied, RouteUnavailable
from runtime.limits.admission import Admission, LimitReached, Reservation, Together
from runtime.limits.bound import UNKNOWN_OUTPUT, Bound, bound_of
from runtime.limits.headers import limit_headers
from runtime.limits.memory import MemoryCounters
from runtime.limits.reserves import Reserves
from runtime.limits.rules import Rulings
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord
from runtime.window import Limit
from tests.limits.reserving import Ledger
from tests.support.counters import Clock

MONTHLY = Limit(of="usd", amount=1_000_000, calendar="month")
TOKENS = Limit(of="tokens", amount=1000, length_ms=60_000)
REQUESTS = Limit(of="requests", amount=2, length_ms=60_000)
BOUND = Bound(input_tokens=100, output_tokens=300, input_nano_usd=100_000, per_output_nano_usd=1_000_000_000)


def plan_with(
    tenants: dict[str, Tenant] | None = None,
    combos: dict[str, Combo] | None = None,
    policies: dict[str, Policy] | None = None,
) -> Plan:
    return Plan(
        version=1,
        server=ServerSettings(),
        requests=RequestSettings(),
        timeouts=TimeoutSettings(),
        logging=LoggingSettings(),
        providers={},
        models={},
        connections={},
        routes={},
        tenants=tenants or {},
        combos=combos or {},
        policies=policies or {},
    )


def prices(**each: int) -> Prices:
    return Prices(source="test", date="2026-11-01", **({"input": 0, "output": 0} | each))


def key(*limits: Limit, id_: str = "k", tenant: str = "default") -> KeyRecord:
    return KeyRecord(id=id_, scopes=frozenset({"chat"}), tenant=tenant, limits=limits)


class Setting:
    def __init__(self, plan: Plan | None = None, unpriced: Literal["refuse", "free"] = "refuse") -> None:
        self.clock = Clock(1_700_000_000_000)
        self.ledger = Ledger()
        self.reserves = Reserves(MemoryCounters(self.clock), self.ledger, "w", self.clock)
        self.refused: list[tuple[str, str]] = []
        self.admission = Admission(
            Rulings(plan or plan_with()),
            LimitSettings(unpriced=unpriced),
            self.reserves,
            self.clock,
            lambda limit, of: self.refused.append((limit, of)),
        )

    async def admit(
        self, who: KeyRecord, bound: Bound = BOUND, model: str = "sim/echo", combo: str = ""
    ) -> tuple[CallRecord, Reservation | None]:
        record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0, model=model, combo=combo)
        return record, await self.admission.admit(record, who, "" if combo else model, lambda: bound)


async def test_a_call_without_limits_keeps_nothing_and_is_not_looked_into() -> None:
    setting = Setting()

    def never() -> Bound:
        raise AssertionError

    record = CallRecord(id="r", operation="chat", protocol="openai_chat", started_s=0.0, model="m")
    assert not setting.admission.concerns(key())
    assert await setting.admission.admit(record, key(), "m", never) is None
    assert ([], None) == (record.trail, record.held)
    assert await setting.admission.admit(record, key(REQUESTS), "m", never) is not None, "nothing to estimate"


async def test_what_was_not_used_is_given_back_once() -> None:
    setting = Setting()
    record, held = await setting.admit(key(TOKENS, MONTHLY))
    assert held is not None is not record.held
    assert [400, 400_000] == [want.amount for want in held.wants]
    held.settle(150, 90_000)
    held.settle(0, 0)

    _, other = await setting.admit(key(TOKENS, MONTHLY))
    assert other is not None
    assert [(550, 490_000)] == [other.now]


async def test_a_request_counts_as_soon_as_it_is_let_in_and_not_before() -> None:
    """One that another limit refuses is none; one that was let in stays one, though it failed and cost nothing."""
    setting = Setting()
    who = key(REQUESTS, msgspec.structs.replace(TOKENS, amount=400))
    _, first = await setting.admit(who)
    for _ in range(3):
        with pytest.raises(LimitReached, match="400 tokens"):
            await setting.admit(who)
    assert first is not None
    first.settle(0, 0)
    _, second = await setting.admit(who)
    assert second is not None
    second.settle(0, 0)
    with pytest.raises(LimitReached, match="2 requests"):
        await setting.admit(who)


@pytest.mark.parametrize("limit", [TOKENS, MONTHLY, REQUESTS, Limit(of="concurrency", amount=4)])
async def test_where_tokens_or_money_are_limited_what_is_used_must_be_known(limit: Limit) -> None:
    record, _ = await Setting().admit(key(limit))

    assert record.held is not None
    assert (limit.of in {"tokens", "usd"}) == record.held.measured


async def test_what_is_refused_says_which_limit_of_whom_and_when_to_ask_again() -> None:
    setting = Setting()
    who = key(REQUESTS)
    for _ in range(2):
        await setting.admit(who)
    with pytest.raises(LimitReached, match=r"the limit of 2 requests per minute for this key is reached$") as caught:
        await setting.admit(who)
    assert caught.value.retry_after_s is not None
    assert 60 < caught.value.retry_after_s <= 61
    assert [("requests", 2, 0)] == [(each.of, each.limit, each.left) for each in caught.value.standings]
    assert [("requests", "key")] == setting.refused


async def test_money_that_is_spent_is_another_kind_of_error() -> None:
    setting = Setting()
    with pytest.raises(
        BudgetExceeded,
        match=r"\$0.001 per month .* is less than the call may take: \$0.001 of it is left; fewer output tokens",
    ) as caught:
        await setting.admit(key(MONTHLY), Bound(100, 2000, 100_000, 1_000_000_000))
    assert ("budget", False) == (caught.value.kind, caught.value.retryable)


async def test_what_running_calls_keep_aside_is_a_reason_to_try_again_and_what_never_fits_is_none() -> None:
    setting = Setting()
    half, whole = Bound(100, 200, 100_000, 3_000_000_000), Bound(100, 2000, 100_000, 1_000_000_000)
    _, held = await setting.admit(key(MONTHLY), half)
    assert held is not None
    with pytest.raises(LimitReached, match=r"is reached: .* of it is left beside what running calls") as running:
        await setting.admit(key(MONTHLY), half)
    assert (True, 1.0) == (running.value.retryable, running.value.retry_after_s)
    for limit in (MONTHLY, TOKENS):
        with pytest.raises(LimitReached, match=" of it is left") as never:
            await Setting().admit(key(limit), whole)
        assert (False, None) == (never.value.retryable, never.value.retry_after_s)


async def test_where_nobody_limits_an_answer_what_is_left_will_do_if_it_is_enough() -> None:
    setting, who = Setting(), key(TOKENS, MONTHLY)
    open_ = Bound(100, UNKNOWN_OUTPUT, 100_000, 1_000_000, open=True)
    _, held = await setting.admit(who, open_)
    assert held is not None
    assert [1000, 116_384] == [want.amount for want in held.wants]

    with pytest.raises(LimitReached):
        await setting.admit(who, open_)
    held.settle(700, 1)
    with pytest.raises(LimitReached, match="300 tokens of it is left"):
        await setting.admit(who, open_)


async def test_a_stream_that_goes_on_has_more_kept_aside_until_there_is_no_more() -> None:
    setting = Setting()
    _, held = await setting.admit(key(TOKENS))
    assert held is not None
    assert not held.due(300)
    assert held.due(5000)
    await held.grow(250, 5000)
    assert not held.due(5000)
    await held.grow(310, 6000)
    assert [400, 256] == [want.amount for want in held.wants]
    with pytest.raises(LimitReached, match=r"^the answer was stopped: the limit of 1000 tokens per minute"):
        await held.grow(1000, 9000)

    held.settle(500, 0)
    _, other = await setting.admit(key(TOKENS))
    assert other is not None
    assert (900,) == other.now, "what was used counts once, however often more was kept aside"


async def test_another_who_is_asked_after_one_who_may_charge_is_paid_for_too() -> None:
    setting = Setting()
    _, held = await setting.admit(key(TOKENS))
    assert held is not None
    await held.again(0)
    assert [400] == [want.amount for want in held.wants]
    await held.again(1)
    await held.again(1)
    assert [400, 100] == [want.amount for want in held.wants]
    for paid in range(2, 7):
        await held.again(paid)
    with pytest.raises(LimitReached, match=r"^nobody else is asked: "):
        await held.again(7)
    held.settle(0, 0)
    assert 1000 == (await setting.admit(key(TOKENS), Bound(700, 300, 0, 0)))[1].now[0]  # type: ignore[union-attr]


async def test_parts_of_a_call_are_settled_as_one() -> None:
    setting, who = Setting(), key(TOKENS)
    parts = [(await setting.admit(who))[1] for _ in range(2)]
    Together([part for part in parts if part is not None]).settle(300, 0)
    _, other = await setting.admit(who)
    assert other is not None
    assert (700,) == other.now


async def test_models_without_a_price_are_refused_or_free_as_it_is_set() -> None:
    unpriced = Bound(1, 1, 0, 0, unpriced="sim/echo")
    with pytest.raises(PermissionDenied, match="no price of 'sim/echo' is known"):
        await Setting().admit(key(MONTHLY), unpriced)
    assert (await Setting(unpriced="free").admit(key(MONTHLY, REQUESTS), unpriced))[1]
    assert (await Setting().admit(key(TOKENS), unpriced))[1]


async def test_while_nobody_can_say_a_call_is_refused_for_now() -> None:
    setting = Setting()
    setting.ledger.fails = True
    with pytest.raises(RouteUnavailable) as caught:
        await setting.admit(key(MONTHLY))
    assert 1 == caught.value.retry_after_s
    assert (await setting.admit(key()))[1] is None


async def test_limits_of_tenants_combos_and_policies_hold_beside_the_keys() -> None:
    plan = plan_with(
        tenants={"acme": Tenant(name="Acme Ltd", limits=(Limit(of="requests", amount=3, length_ms=60_000),))},
        combos={"smart": Combo(name="smart", members=(Member(model="sim/echo"),), limits=(REQUESTS,))},
        policies={
            "few": Policy(models=("sim/*",), count="tenant", limits=(Limit(of="concurrency", amount=1),)),
            "each": Policy(keys=("k*",), limits=(Limit(of="tokens", amount=500, calendar="day"),)),
            "wall": Policy(tenants=("acme",), allowed_models=("sim/*", "smart")),
        },
    )
    setting = Setting(plan)
    record, held = await setting.admit(key(MONTHLY, tenant="acme"))
    assert held is not None
    assert ("policy/few/tenant/acme", "policy/each/key/k") == record.counters
    assert ["key/k", "tenant/acme", "policy/few/tenant/acme", "policy/each/key/k"] == [
        want.rule.subject for want in held.wants
    ]
    with pytest.raises(LimitReached, match="all keys of this tenant under the policy 'few'"):
        await setting.admit(key(id_="x", tenant="acme"))
    record, held = await setting.admit(key(id_="x"), model="smart", combo="smart")
    assert ((), ["combo/smart"]) == (record.counters, [want.rule.subject for want in held.wants] if held else [])
    with pytest.raises(PermissionDenied, match="the policy 'wall' does not allow the model 'other/m'"):
        await setting.admit(key(id_="x", tenant="acme"), model="other/m")


async def test_what_was_used_elsewhere_is_counted_though_it_is_too_much() -> None:
    setting = Setting()
    record = CallRecord(id="r", operation="usage", protocol="", started_s=0.0, model="voice_call")
    setting.admission.charge(record, key(MONTHLY))
    assert record.held is not None
    record.held.settle(0, 5_000_000)
    setting.admission.charge(record, key())
    with pytest.raises(BudgetExceeded):
        await setting.admit(key(MONTHLY), Bound(1, 1, 1000, 0))


@given(
    st.lists(
        st.tuples(st.integers(0, 10**10), st.integers(0, 10**10), st.none() | st.integers(1, 4000)),
        min_size=1,
        max_size=4,
    ),
    st.integers(0, 10_000),
    st.none() | st.integers(1, 10_000),
)
def test_no_target_costs_more_than_the_bound(
    targets: list[tuple[int, int, int | None]], tokens: int, max_output: int | None
) -> None:
    models = [
        (str(number), Model(id="m", limits=ModelLimits(max_output=most), prices=prices(input=one, output=other)))
        for number, (one, other, most) in enumerate(targets)
    ]
    bound = bound_of(models, tokens, max_output)
    for _, model in models:
        assert model.prices is not None
        said = [each for each in (max_output, model.limits.max_output) if each is not None]
        output = min(said, default=UNKNOWN_OUTPUT)
        assert bound.tokens >= tokens + output
        assert bound.nano_usd * 1_000_000 >= tokens * model.prices.input + output * model.prices.output
    assert bound.open == (max_output is None and any(most is None for _, _, most in targets))


def test_a_bound_knows_what_makes_calls_dearer() -> None:
    model = Model(
        id="m",
        prices=prices(
            input=10**9, output=10**9, cache_write_1h=3 * 10**9, request=5000, search=10_000, reasoning=2 * 10**9
        ),
    )

    def input_(**more: bool) -> int:
        return bound_of([("m", model)], 1000, 10, **more).input_nano_usd

    assert (1_000_005, 3_000_005, 1_000_105) == (input_(), input_(caches=True), input_(searches=True))
    long = msgspec.structs.replace(
        model,
        prices=prices(
            input=10**9,
            output=10**9,
            cache_write_1h=3 * 10**9,
            long_above=1000,
            long_input=2 * 10**9,
            long_output=4 * 10**9,
        ),
    )
    usual, dearer = (bound_of([("m", long)], tokens, 10, caches=True) for tokens in (1000, 1001))
    assert (3_000_000, 10**9) == (usual.input_nano_usd, usual.per_output_nano_usd)
    assert (6_006_000, 4 * 10**9) == (dearer.input_nano_usd, dearer.per_output_nano_usd)
    tiers = prices(input=10**9, output=10**9, flex_input=5, priority_input=3 * 10**9, priority_output=5 * 10**9)
    tiered = msgspec.structs.replace(model, prices=tiers)
    calm, hurried = (bound_of([("m", tiered)], 1000, 10, tiers=each) for each in ((), ("priority",)))
    assert (10**6, 10**9) == (calm.input_nano_usd, calm.per_output_nano_usd)
    assert (3 * 10**6, 5 * 10**9) == (hurried.input_nano_usd, hurried.per_output_nano_usd)
    twice = bound_of([("m", model)], 1000, 10, answers=3, at_once=2)
    assert (2000, 60, 120_000) == (twice.input_tokens, twice.output_tokens, twice.output_nano_usd(60))
    assert "n" == bound_of([("m", model), ("n", Model(id="n"))], 1, 1).unpriced


@pytest.mark.parametrize(
    ("protocol", "found"),
    [
        (
            "anthropic_messages",
            [
                ("anthropic-ratelimit-requests-limit", "2"), ("anthropic-ratelimit-requests-remaining", "1"),
                ("anthropic-ratelimit-requests-reset", "2023-11-14T22:14:21Z"),
            ],
        ),
        (
            "gemini",
            [
                ("x-ratelimit-limit-requests", "2"), ("x-ratelimit-remaining-requests", "1"),
                ("x-ratelimit-reset-requests", "1m1s"),
            ],
        ),
    ],
)  # fmt: skip
async def test_headers_are_those_of_the_dialect(protocol: str, found: list[tuple[str, str]]) -> None:
    setting = Setting()
    setting.clock.at_ms = 1_700_000_000_000
    _, held = await setting.admit(key(REQUESTS, Limit(of="requests", amount=100, length_ms=86_400_000)))
    assert held is not None
    assert found == list(limit_headers(protocol, held.standings(), setting.clock.at_ms / 1000))


def test_windows_are_told_as_openai_tells_them() -> None:
    from runtime.limits.admission import Standing

    def told(seconds: float) -> str:
        return limit_headers("openai_chat", [Standing("tokens", 1, 1, seconds)], 0)[2][1]

    durations: dict[float, str] = {0.082: "82ms", 1: "1s", 360: "6m0s", 90_061: "25h1m1s", 0: "0ms"}
    assert durations == {seconds: told(seconds) for seconds in durations}
