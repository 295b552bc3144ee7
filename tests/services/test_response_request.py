"""What a request asks of the store, and what is left of it afterwards."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from typing_extensions import override

from runtime.errors import InvalidRequest, TooLarge
from runtime.protocols import splice
from runtime.services.response_request import Asking, Reader
from runtime.services.runs import Runs
from runtime.stores.base import Item, Status, StoredResponse
from tests.support.responses import MemoryResponses

HI: Any = {"role": "user", "content": "hi"}


@pytest.fixture
async def store() -> MemoryResponses:
    made = MemoryResponses()
    await keep(made, "resp_1")
    return made


async def keep(store: MemoryResponses, id_: str, status: Status = "completed", lease_until_s: float = 100.0) -> None:
    await store.put(
        StoredResponse(owner="anna", id=id_, status=status, created_s=1.0, body=b"{}", lease_until_s=lease_until_s),
        [Item(id="msg_q", body=b'{"role":"user","content":"q"}')],
        [Item(id="msg_a", body=b'{"id":"msg_a","type":"message","role":"assistant","content":[]}')],
    )


async def read(store: MemoryResponses | None, owner: str = "anna", max_bytes: int = 1000, /, **fields: Any) -> Asking:
    numbers = itertools.count(1)
    body = json.dumps({"model": "m", **fields}).encode()
    faults: list[Exception] = []
    runs = None if store is None else Runs(store, 1, lambda: 50.0, lambda error, _: faults.append(error), doubt_s=0)
    return await Reader(store, runs, lambda: f"new{next(numbers)}", max_bytes).read(splice.peek(body), owner)


def ids(asking: Asking) -> list[str]:
    return [item.id for item in asking.context]


def sent(asking: Asking) -> dict[str, Any]:
    body: dict[str, Any] = json.loads(asking.envelope.body)
    assert body == {name: json.loads(bytes(value)) for name, value in asking.envelope.fields.items()}
    return body


async def test_a_request_that_asks_nothing_of_the_store_stays_byte_for_byte(store: MemoryResponses) -> None:
    envelope = splice.peek(b'{ "model" : "m",\n "input": [{"role":"user","content":"hi"}], "store": null }')
    asking = await Reader(store, None, lambda: "1", 1000).read(envelope, "anna")

    assert asking.envelope is envelope
    assert (asking.keep, asking.background, asking.previous) == (True, False, None)


@pytest.mark.parametrize(("store_field", "kept"), [({}, True), ({"store": None}, True), ({"store": False}, False)])
async def test_answers_are_kept_unless_the_client_says_no(
    store: MemoryResponses, store_field: dict[str, Any], kept: bool
) -> None:
    assert (await read(store, input="hi", **store_field)).keep is kept


async def test_items_get_ids_of_their_kind_and_keep_their_own(store: MemoryResponses) -> None:
    output = {"type": "function_call_output", "call_id": "c", "output": "o"}
    asking = await read(store, input=[HI, {"type": "message", "id": "mine", **HI}, output, {"type": "strange"}])

    assert ids(asking) == ["msg_new1", "mine", "fco_new2", "item_new3"]


@pytest.mark.parametrize("given", [{"input": None}, {}, {"input": []}])
async def test_no_input_is_no_items(store: MemoryResponses, given: dict[str, Any]) -> None:
    assert ids(await read(store, **given)) == []


async def test_a_text_is_a_message_of_the_user(store: MemoryResponses) -> None:
    (item,) = (await read(store, input="hi")).context

    assert json.loads(item.body) == {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "hi"}],
    }


async def test_an_item_alone_is_a_list_of_one(store: MemoryResponses) -> None:
    assert ids(await read(store, input=HI)) == ["msg_new1"]


async def test_the_conversation_stands_before_the_input(store: MemoryResponses) -> None:
    asking = await read(store, input="more", previous_response_id="resp_1", instructions="new ones")

    assert ids(asking) == ["msg_q", "msg_a", "msg_new1"]
    assert asking.previous == "resp_1"
    assert sent(asking) == {
        "model": "m",
        "instructions": "new ones",
        "input": [
            {"role": "user", "content": "q"},
            {"id": "msg_a", "type": "message", "role": "assistant", "content": []},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "more"}]},
        ],
    }


async def test_a_continuation_needs_no_input_of_its_own(store: MemoryResponses) -> None:
    assert len(sent(await read(store, previous_response_id="resp_1"))["input"]) == 2


@pytest.mark.parametrize("owner", ["ben", "anna"])
async def test_an_unknown_or_foreign_response_cannot_be_continued(store: MemoryResponses, owner: str) -> None:
    with pytest.raises(InvalidRequest, match="not found") as caught:
        await read(store, owner, input="hi", previous_response_id="resp_1" if owner == "ben" else "resp_none")

    assert (caught.value.param, caught.value.code) == ("previous_response_id", "previous_response_not_found")


@pytest.mark.parametrize("id_", ["a\0b", "a" * 1001, "\U00020000" * 251])
async def test_an_item_whose_id_not_every_store_can_hold_is_refused_where_it_is_to_be_kept(
    store: MemoryResponses, id_: str
) -> None:
    given = [{"id": "a" * 1000, "role": "user", "content": "hi"}, {"id": id_, "role": "user", "content": "hi"}]
    with pytest.raises(InvalidRequest) as caught:
        await read(store, input=given)

    assert (caught.value.param, caught.value.code) == ("input[1].id", "invalid_value")
    assert not (await read(store, input=given, store=False)).keep


async def test_a_response_that_still_runs_cannot_be_continued(store: MemoryResponses) -> None:
    await keep(store, "resp_2", "in_progress")

    with pytest.raises(InvalidRequest, match="still in_progress") as caught:
        await read(store, input="hi", previous_response_id="resp_2")
    assert caught.value.param == "previous_response_id"


async def test_a_response_that_nobody_makes_any_more_has_failed_for_who_continues_it_too(
    store: MemoryResponses,
) -> None:
    """Nobody needs to have asked for it before."""
    await keep(store, "resp_2", "in_progress", lease_until_s=49.0)

    assert ["msg_q"] == ids(await read(store, previous_response_id="resp_2"))
    assert "failed" == store.rows["anna", "resp_2"].response.status


@pytest.mark.parametrize("reference", [{"type": "item_reference", "id": "msg_a"}, {"id": "msg_a"}])
async def test_a_reference_becomes_the_item(store: MemoryResponses, reference: dict[str, Any]) -> None:
    asking = await read(store, input=[HI, reference])

    assert ids(asking) == ["msg_new1", "msg_a"]
    assert sent(asking)["input"] == [HI, {"id": "msg_a", "type": "message", "role": "assistant", "content": []}]


@pytest.mark.parametrize("owner", ["ben", "anna"])
async def test_a_reference_to_an_unknown_or_foreign_item_is_refused_by_place(
    store: MemoryResponses, owner: str
) -> None:
    reference = {"type": "item_reference", "id": "msg_a" if owner == "ben" else "msg_none"}

    with pytest.raises(InvalidRequest, match=r"Item with id 'msg_\w+' not found") as caught:
        await read(store, owner, input=[HI, reference])
    assert caught.value.param == "input[1]"


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        (
            {"conversation": {"id": "c"}, "previous_response_id": "resp_1"},
            "conversation",
            "mutually_exclusive_parameters",
        ),
        ({"background": True, "stream": True}, "stream", "unsupported_parameter"),
        ({"background": True, "store": False}, "background", None),
        ({"background": "yes"}, "background", "invalid_type"),
        ({"store": 1}, "store", "invalid_type"),
        ({"previous_response_id": 5}, "previous_response_id", "invalid_type"),
        ({"input": 5}, "input", "invalid_type"),
        ({"input": [HI, "text"]}, "input[1]", "invalid_type"),
        ({"input": [{"type": 5}]}, "input[0]", "invalid_type"),
    ],
)
async def test_what_cannot_be_done_is_refused_by_field(
    store: MemoryResponses, fields: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await read(store, **{"input": "hi", **fields})

    assert (caught.value.param, caught.value.code) == (param, code)


async def test_a_background_request_goes_on_as_one_that_waits(store: MemoryResponses) -> None:
    asking = await read(store, input="hi", background=True, stream=False, stream_options=None)

    assert asking.background
    assert not asking.envelope.stream
    assert sent(asking) == {"model": "m", "input": "hi"}


async def test_a_conversation_may_not_be_larger_than_a_body(store: MemoryResponses) -> None:
    with pytest.raises(TooLarge):
        await read(store, "anna", 100, input="x" * 50, previous_response_id="resp_1")


class Counting(MemoryResponses):
    """Notes what is read of it."""

    def __init__(self) -> None:
        super().__init__()
        self.read: list[str] = []

    @override
    async def item(self, owner: str, item_id: str) -> Item | None:
        self.read.append(item_id)
        return await super().item(owner, item_id)


async def counting(bytes_each: int) -> Counting:
    """One that keeps twenty items of such a size, `msg_0` to `msg_19`."""
    store = Counting()
    kept = StoredResponse(owner="anna", id="resp_0", status="completed", created_s=1.0, body=b"{}")
    items: list[Item] = []
    for id_ in (f"msg_{number}" for number in range(20)):
        head, tail = f'{{"id":"{id_}","role":"user","content":"', '"}'
        items.append(Item(id=id_, body=f"{head}{'x' * (bytes_each - len(head) - len(tail))}{tail}".encode()))
    await store.put(kept, items, [])
    return store


def references(*numbers: int) -> list[dict[str, str]]:
    return [{"type": "item_reference", "id": f"msg_{number}"} for number in numbers]


async def test_an_item_is_read_once_however_often_it_is_referred_to() -> None:
    store = await counting(100)
    asking = await read(store, "anna", 50_000, input=references(*[1, 2] * 150))

    assert ["msg_1", "msg_2"] == store.read
    assert ["msg_1", "msg_2"] * 150 == ids(asking)


@pytest.mark.parametrize(
    ("given", "reads"),
    [
        (references(*[7] * 300), 1),
        (references(*range(20)), 11),
        ([{"role": "user", "content": "x" * 500}, *references(*range(20))], 5),
        ([*references(*range(9)), {"role": "user", "content": "x" * 500}, *references(*range(9, 20))], 10),
    ],
)
async def test_no_item_is_read_behind_the_one_that_makes_it_too_large(given: list[Any], reads: int) -> None:
    store = await counting(100)

    with pytest.raises(TooLarge):
        await read(store, "anna", 1000, input=given)
    assert reads == len(store.read)


async def test_what_is_continued_counts_before_what_is_referred_to() -> None:
    store = await counting(100)
    await keep(store, "resp_1")

    with pytest.raises(TooLarge):
        await read(store, "anna", 450, input=references(*range(20)), previous_response_id="resp_1")
    assert 4 == len(store.read)


async def test_references_may_fill_a_body_to_its_limit() -> None:
    store = await counting(100)

    assert 10 == len((await read(store, "anna", 1000, input=references(*range(10)))).context)


async def test_without_a_store_every_request_says_store_false() -> None:
    asking = await read(None, input="hi", store=True)

    assert not asking.keep
    assert sent(asking) == {"model": "m", "input": "hi", "store": False}
    assert (await read(None, input="hi", store=False)).keep is False
    for fields in ({"background": True}, {"previous_response_id": "resp_1"}, {"input": [{"id": "msg_a"}]}):
        with pytest.raises(InvalidRequest):
            await read(None, **{"input": "hi", **fields})
