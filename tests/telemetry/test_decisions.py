"""How many calls are remembered, for how long, and by which ids they are found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runtime.telemetry import CallRecord, Decisions


def call(id_: str, at_s: float = 0.0) -> CallRecord:
    return CallRecord(id=id_, operation="chat", protocol="openai_chat", started_s=at_s, key="k")


@given(keep=st.integers(0, 5), ids=st.lists(st.sampled_from("abc"), max_size=20))
def test_the_last_ones_are_kept_and_found_by_either_id(keep: int, ids: list[str]) -> None:
    decisions = Decisions(keep, 100.0, lambda: 0.0, "w-")
    made = [call(id_) for id_ in ids]
    names = [decisions.add(each) for each in made]

    kept = made[-keep:] if keep else []
    assert [each if each in kept else None for each in made] == [decisions.find(name) for name in names]
    for id_ in "abc":
        last = next((each for each in reversed(kept) if each.id == id_), None)
        assert last is decisions.find(id_)


def test_what_is_old_is_forgotten() -> None:
    now_s = [0.0]
    decisions = Decisions(10, 60.0, lambda: now_s[0], "w-")
    name = decisions.add(call("r"))
    now_s[0] = 60.0
    assert decisions.find(name) is not None
    now_s[0] = 60.1
    assert (None, None) == (decisions.find(name), decisions.find("r"))


def test_a_background_call_goes_on_under_the_id_its_client_was_told() -> None:
    decisions = Decisions(10, 60.0, lambda: 0.0, "w-")
    first, second = call("r"), call("r")
    second.decision = decisions.add(first)

    assert first.decision == decisions.add(second)
    assert second is decisions.find(first.decision)


def test_who_goes_on_under_an_id_stays_when_the_one_before_goes() -> None:
    decisions = Decisions(2, 60.0, lambda: 0.0, "w-")
    first, second, third = call("r"), call("r"), call("other")
    second.decision = decisions.add(first)
    decisions.add(second)
    decisions.add(third)

    assert (second, second) == (decisions.find(first.decision), decisions.find("r"))
    decisions.add(call("another"))
    assert (None, None) == (decisions.find(first.decision), decisions.find("r"))


def test_what_has_an_id_in_the_ledger_is_known_by_that() -> None:
    decisions = Decisions(10, 60.0, lambda: 0.0, "w-")
    settled = call("r")
    settled.settlement = "w-7"

    assert ("w-7", "w-7") == (decisions.add(settled), settled.decision)
    assert settled is decisions.find("w-7")
