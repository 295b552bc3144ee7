"""An answer that broke off and is told again: nothing twice, nothing missing, nothing contradicted."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.canonical import (
    Choice,
    Delta,
    Ended,
    Event,
    Finish,
    Finished,
    Message,
    PartEnded,
    PartStarted,
    Reasoning,
    ReasoningConfig,
    Request,
    Response,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
    collect,
)  # fmt: skip
from runtime.rescue import DivergedError, Retelling, Told, extended, prefill_of
from tests.support.canonical import events_of, responses

START = Started(id="r", model="m")
STOP = Finished(finish=Finish(reason="stop"))
END: list[Event] = [STOP, UsageReported(usage=Usage(input=3, output=5)), Ended()]


def texts(*pieces: str, index: int = 0) -> list[Event]:
    return [PartStarted(index=index, part=Text(text="")), *(Delta(index=index, text=piece) for piece in pieces)]


def retold(first: Sequence[Event], again: Sequence[Event], prefilled: str | None = None) -> list[Event]:
    """All that a client is told when ``first`` breaks off and ``again`` follows."""
    told = Told()
    told.note(first)
    return [*first, *Retelling(told, prefilled).feed(again)]


def resplit(events: Sequence[Event], size: int) -> list[Event]:
    """The same with other pieces."""
    out: list[Event] = []
    for event in events:
        if isinstance(event, Delta) and len(event.text) > size:
            pieces = [event.text[at : at + size] for at in range(0, len(event.text), size)]
            out += [Delta(index=event.index, text=piece) for piece in pieces]
        else:
            out.append(event)
    return out


def said(response: Response) -> list[object]:
    return [part for choice in response.choices for part in choice.content]


@given(responses(), st.data())
def test_the_same_again_is_told_once_wherever_it_broke_off(response: Response, data: st.DataObject) -> None:
    events = events_of(response)
    until = next(at for at, event in enumerate(events) if isinstance(event, Finished))
    cut = data.draw(st.integers(1, until))
    again = resplit(events, data.draw(st.integers(1, 3)))

    whole = collect(retold(events[:cut], again))

    assert said(response) == said(whole)
    assert response.choices[0].finish == whole.choices[0].finish


@given(responses(), st.data())
def test_it_breaks_off_again_and_again(response: Response, data: st.DataObject) -> None:
    events = events_of(response)
    until = next(at for at, event in enumerate(events) if isinstance(event, Finished))
    told, out = Told(), list[Event]()
    out += events[: data.draw(st.integers(1, until))]
    told.note(out)
    for _ in range(2):
        out += Retelling(told, None).feed(events[: data.draw(st.integers(1, until))])
    out += Retelling(told, None).feed(events)

    assert said(response) == said(collect(out))


@given(responses(), responses(), st.data())
def test_another_answer_never_contradicts_what_was_told(one: Response, other: Response, data: st.DataObject) -> None:
    events = events_of(one)
    until = next(at for at, event in enumerate(events) if isinstance(event, Finished))
    first = events[: data.draw(st.integers(1, until))]
    try:
        out = retold(first, events_of(other))
    except DivergedError:
        return

    whole = collect(out)
    spoken = [part for part in other.choices[0].content if not isinstance(part, Reasoning)]
    heard = [part for part in whole.choices[0].content if not isinstance(part, Reasoning)]
    assert [(type(part), _words(part)) for part in spoken if _words(part)] == [
        (type(part), _words(part)) for part in heard if _words(part)
    ]


def _words(part: object) -> str:
    return part.name + part.arguments if isinstance(part, ToolCall) else str(getattr(part, "text", ""))


@given(st.text(min_size=16, max_size=60), st.text(max_size=40), st.integers(1, 7), st.booleans())
def test_a_model_that_goes_on_from_a_prefill_is_heard_from_there(
    begun: str, rest: str, size: int, repeats: bool
) -> None:
    given_ = begun.rstrip()
    if len(given_) < 16:
        return
    space = begun[len(given_) :]
    more = (given_ if repeats else "") + space + rest
    pieces = [more[at : at + size] for at in range(0, len(more), size)]
    if not repeats and more.startswith(given_):
        return

    whole = collect(retold([START, *texts(begun)], [START, *texts(*pieces), PartEnded(index=0), *END], given_))

    assert [Text(text=begun + rest)] == said(whole)


def test_text_that_differs_is_another_answer() -> None:
    with pytest.raises(DivergedError):
        retold([START, *texts("Paris is")], [START, *texts("Par", "don")])


def test_an_answer_that_ends_earlier_is_another_one() -> None:
    with pytest.raises(DivergedError):
        retold([START, *texts("Paris is")], [START, *texts("Par"), PartEnded(index=0), *END])
    with pytest.raises(DivergedError):
        retold([START, *texts("Paris is")], [START, *END])


def call(*pieces: str, id_: str = "c1", name: str = "f", index: int = 0) -> list[Event]:
    return [PartStarted(index=index, part=ToolCall(id=id_, name=name)), *(Delta(index=index, text=p) for p in pieces)]


def test_a_tool_call_is_completed_and_keeps_the_id_it_was_told_with() -> None:
    again = [START, *call('{"a', '": 1}', id_="other"), PartEnded(index=0), *END]

    whole = collect(retold([START, *call('{"a": ')], again))

    assert [ToolCall(id="c1", name="f", arguments='{"a": 1}')] == said(whole)


@pytest.mark.parametrize("again", [call('{"b": 1}'), call('{"a": 1}', name="g"), texts('{"a": ')])
def test_a_call_with_other_arguments_or_another_name_is_another_answer(again: list[Event]) -> None:
    with pytest.raises(DivergedError):
        retold([START, *call('{"a": ')], [START, *again])


def thought(*pieces: str, index: int = 0, sealed_by: str | None = None) -> list[Event]:
    part = Reasoning(sealed_by=sealed_by)
    return [PartStarted(index=index, part=part), *(Delta(index=index, text=piece) for piece in pieces)]


def test_other_thoughts_are_told_beside_those_before_the_answer_and_dropped_after() -> None:
    again = [START, *thought("aha"), PartEnded(index=0), *texts("Paris is", " it.", index=1), PartEnded(index=1), *END]

    before = collect(retold([START, *thought("hm")], again))
    after = collect(retold([START, *thought("hm"), PartEnded(index=0), *texts("Paris", index=1)], again))

    assert [Reasoning(text="hm"), Reasoning(text="aha"), Text(text="Paris is it.")] == said(before)
    assert [Reasoning(text="hm"), Text(text="Paris is it.")] == said(after)


def test_a_seal_goes_only_to_thoughts_of_its_own_protocol() -> None:
    sealed = Delta(index=0, seal="sig")
    again = [START, *thought("hm", sealed_by="gemini"), sealed, PartEnded(index=0), *texts("x", index=1), *END]

    other = collect(retold([START, *thought("h", sealed_by="anthropic_messages")], again))
    same = collect(retold([START, *thought("h", sealed_by="gemini")], again))

    assert Reasoning(text="hm") == said(other)[0]
    assert Reasoning(text="hm", seal="sig", sealed_by="gemini") == said(same)[0]


def test_several_choices_are_not_gone_on_with() -> None:
    told = Told()
    told.note([START, *texts("a"), PartStarted(index=0, part=Text(text=""), choice=1)])

    assert told.lost


def request(**fields: object) -> Request:
    asked = Request(model="m", messages=(Message(role="user", content=(Text(text="hi"),)),))
    return msgspec.structs.replace(asked, **fields)


@pytest.mark.parametrize(
    ("events", "fields", "prefill"),
    [
        (texts("The capital of France is "), {}, "The capital of France is"),
        (texts("The capital"), {}, None),
        (texts("The capital of France is"), {"reasoning": ReasoningConfig(effort="low")}, None),
        (texts("The capital of France is"), {"reasoning": ReasoningConfig(mode="off")}, "The capital of France is"),
        ([*texts("The capital of France is"), *call("{", index=1)], {}, None),
        (thought("The capital of France is"), {}, None),
    ],
)
def test_only_enough_text_alone_is_a_prefill(
    events: list[Event], fields: dict[str, object], prefill: str | None
) -> None:
    told = Told()
    told.note(events)

    assert prefill == prefill_of(told, request(**fields))


def test_a_prefill_is_the_last_turn_after_what_the_client_gave() -> None:
    own = request(messages=(Message(role="assistant", content=(Text(text="So: "),)),))

    assert ("assistant", (Text(text="x"),)) == (
        extended(request(), "x").messages[-1].role,
        extended(request(), "x").messages[-1].content,
    )
    assert (Text(text="So: "), Text(text="x")) == extended(own, "x").messages[-1].content
    assert 1 == len(extended(own, "x").messages)


def test_usage_and_finish_need_no_content() -> None:
    assert [STOP] == [event for event in retold([START], [START, *END]) if isinstance(event, Finished)]
    assert Choice(content=(), finish=STOP.finish) == collect(retold([START], [START, *END])).choices[0]
