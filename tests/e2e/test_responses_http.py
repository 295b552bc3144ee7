"""Responses over a real server with the vendor's SDK: kept, continued, cancelled, whichever worker and model serve them."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import openai
import pytest
from openai.types.responses import Response

from tests.support.gateway import Running, gateway
from tests.support.vendor import KEY, Vendor, vendor

ANNA, BEN = "gw-test-anna-0123456789abcdef", "gw-test-ben-0123456789abcdef"
CONFIG = """version: 1
discovery: {{providers: none}}
server: {{workers: {workers}, shutdown_grace: 1s}}
keys:
  anna: {{key: "${{ANNA_KEY}}", scopes: [chat, view]}}
  ben: {{key: "${{BEN_KEY}}", scopes: [chat]}}
  viewer: {{key: "${{VIEWER_KEY}}", scopes: [view]}}
providers:
  sim:
    connections: [{{id: sim}}]
  native:
    base_url: {native}/v1
    surfaces: {{openai_responses: {{}}}}
    open_models: true
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
combos:
  mended: {{targets: [native/plain], rescue: splice}}
responses: {{background_limit: 3{more}}}
"""
ENV = {"ANNA_KEY": ANNA, "BEN_KEY": BEN, "VIEWER_KEY": "gw-test-viewer-0123456789abcdef", "VENDOR_KEY": KEY}
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    "openai-beta: responses_websockets=2026-02-06\r\n\r\n"
)


@pytest.fixture(scope="module")
def native() -> Iterator[Vendor]:
    with vendor("openai_responses") as fake:
        yield fake


@pytest.fixture(scope="module")
def served(native: Vendor, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two workers: whatever one did, the other must know."""
    config = CONFIG.format(workers=2, native=native.url, more="")
    with gateway(tmp_path_factory.mktemp("gateway"), config, ENV) as running:
        yield running
        assert "Traceback" not in running.log
        assert "Remember" not in running.log  # prompts are in the store and nowhere else


def client(served: Running, key: str = ANNA) -> openai.OpenAI:
    """Without kept connections, so that its calls meet both workers."""
    headers = {"connection": "close"}
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key=key, max_retries=0, default_headers=headers)


@pytest.fixture
def anna(served: Running) -> Iterator[openai.OpenAI]:
    with client(served) as made:
        yield made


@pytest.fixture
def ben(served: Running) -> Iterator[openai.OpenAI]:
    with client(served, BEN) as made:
        yield made


def until(done: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if found := done():
            return found
        time.sleep(0.02)
    raise AssertionError("it did not come about")


def ended(made: openai.OpenAI, id_: str) -> Response:
    def final() -> Response | None:
        found = made.responses.retrieve(id_)
        return found if found.status not in {"queued", "in_progress"} else None

    found = until(final)
    assert isinstance(found, Response)
    return found


def queued(made: openai.OpenAI, model: str, text: str) -> Response:
    """A background response; where a worker is not yet rid of those that were cancelled, one after them."""

    def admitted() -> Response | None:
        try:
            return made.responses.create(model=model, input=text, background=True)
        except openai.RateLimitError:
            return None

    found = until(admitted)
    assert isinstance(found, Response)
    return found


def errors(caught: pytest.ExceptionInfo[openai.APIStatusError]) -> tuple[int, str | None, str | None]:
    assert caught.value.type == "invalid_request_error"
    return caught.value.status_code, caught.value.param, caught.value.code


# -- kept and given back


def test_an_answer_is_kept_and_every_worker_finds_it(anna: openai.OpenAI) -> None:
    made = anna.responses.create(model="sim/echo", input="Remember this.", metadata={"a": "b"})

    assert "Remember this." in made.output_text
    for _ in range(8):
        assert anna.responses.retrieve(made.id).to_dict() == made.to_dict()


def test_a_streamed_answer_is_kept_before_its_end_arrives(anna: openai.OpenAI) -> None:
    with anna.responses.stream(model="sim/echo", input="Remember this.") as events:
        last = list(events)[-1]
        assert last.type == "response.completed"
        kept = anna.responses.retrieve(last.response.id)

    assert kept.to_dict() == last.response.to_dict() | {"output": kept.to_dict()["output"]}
    assert kept.output_text == events.get_final_response().output_text


def test_store_false_keeps_nothing(anna: openai.OpenAI) -> None:
    made = anna.responses.create(model="sim/echo", input="Remember this.", store=False)

    with pytest.raises(openai.NotFoundError):
        anna.responses.retrieve(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        anna.responses.create(model="sim/echo", input="x", previous_response_id=made.id)
    assert errors(caught) == (400, "previous_response_id", "previous_response_not_found")


@pytest.mark.parametrize(
    ("said", "kept"), [({}, True), ({"store": None}, True), ({"store": True}, True), ({"store": False}, False)]
)
@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_says_whether_it_is_kept(
    served: Running, said: dict[str, bool | None], kept: bool, stream: bool
) -> None:
    """`store` is true unless a request says otherwise, as the vendor has it."""
    headers = {"Authorization": f"Bearer {ANNA}"}
    body = {"model": "sim/echo", "input": "kept?", "stream": stream, **said}
    answer = httpx.post(f"{served.url}/v1/responses", json=body, headers=headers)
    told = json.loads(answer.text.rpartition("data: ")[2])["response"] if stream else answer.json()
    found = httpx.get(f"{served.url}/v1/responses/{told['id']}", headers=headers)

    assert (told["store"], found.status_code) == (kept, 200 if kept else 404)


def test_what_was_asked_is_listed_a_page_at_a_time(anna: openai.OpenAI) -> None:
    asked: Any = [{"role": "user", "content": f"number {number}"} for number in range(5)]
    made = anna.responses.create(model="sim/echo", input=asked)

    listed = list(anna.responses.input_items.list(made.id, limit=2, order="asc"))
    assert [item.to_dict()["content"] for item in listed] == [
        [{"type": "input_text", "text": each["content"]}] for each in asked
    ]
    newest = anna.responses.input_items.list(made.id)
    assert [item.id for item in newest.data] == [item.id for item in listed[::-1]]
    assert not newest.has_more
    assert all(str(item.id).startswith("msg_") for item in newest.data)
    after = anna.responses.input_items.list(made.id, order="asc", after=str(listed[2].id))
    assert [item.id for item in after.data] == [item.id for item in listed[3:]]


@pytest.mark.parametrize(
    ("query", "param"),
    [("limit=0", "limit"), ("limit=101", "limit"), ("limit=x", "limit"), ("order=up", "order"), ("after=y", "after")],
)
def test_a_page_that_cannot_be_is_refused_by_field(
    served: Running, anna: openai.OpenAI, query: str, param: str
) -> None:
    made = anna.responses.create(model="sim/echo", input="x")
    reply = httpx.get(
        f"{served.url}/v1/responses/{made.id}/input_items?{query}", headers={"authorization": f"Bearer {ANNA}"}
    )

    assert (reply.status_code, reply.json()["error"]["param"]) == (400, param)


def test_a_response_can_be_deleted(served: Running, anna: openai.OpenAI) -> None:
    made = anna.responses.create(model="sim/echo", input="x")
    reply = httpx.delete(f"{served.url}/v1/responses/{made.id}", headers={"authorization": f"Bearer {ANNA}"})

    assert reply.json() == {"id": made.id, "object": "response", "deleted": True}
    with pytest.raises(openai.NotFoundError):
        anna.responses.delete(made.id)
    with pytest.raises(openai.NotFoundError):
        anna.responses.input_items.list(made.id)


def test_another_keys_response_is_like_none(anna: openai.OpenAI, ben: openai.OpenAI) -> None:
    made = anna.responses.create(model="sim/echo", input="Remember this.")
    calls: list[Callable[[str], object]] = [
        ben.responses.retrieve,
        ben.responses.delete,
        ben.responses.cancel,
        ben.responses.input_items.list,
    ]

    for call in calls:
        told = []
        for id_ in (made.id, "resp_none"):
            with pytest.raises(openai.NotFoundError) as caught:
                call(id_)
            told.append(str(caught.value).replace(id_, "ID"))
        assert told[0] == told[1]
    with pytest.raises(openai.BadRequestError) as refused:
        ben.responses.create(model="sim/echo", input="x", previous_response_id=made.id)
    assert errors(refused) == (400, "previous_response_id", "previous_response_not_found")
    item = anna.responses.input_items.list(made.id).data[0]
    with pytest.raises(openai.BadRequestError) as refused:
        ben.responses.create(model="sim/echo", input=[{"type": "item_reference", "id": str(item.id)}])
    assert errors(refused)[:2] == (400, "input[0]")
    assert anna.responses.retrieve(made.id).id == made.id


def test_a_client_that_leaves_leaves_a_cancelled_response(served: Running, anna: openai.OpenAI) -> None:
    ask = {"model": "sim/slow", "input": "one two three four five six every 200ms", "stream": True}
    with httpx.stream(
        "POST", f"{served.url}/v1/responses", json=ask, headers={"authorization": f"Bearer {ANNA}"}
    ) as reply:
        first = next(line for line in reply.iter_lines() if line.startswith("data:"))
    id_ = json.loads(first[5:])["response"]["id"]

    def kept() -> Response | None:
        try:
            return anna.responses.retrieve(id_)
        except openai.NotFoundError:
            return None

    assert until(kept).status == "cancelled"


def test_a_request_id_of_the_clients_may_come_twice(anna: openai.OpenAI) -> None:
    made = [
        anna.responses.create(model="sim/echo", input=text, extra_headers={"x-request-id": "same"})
        for text in ("Remember one.", "Remember two.")
    ]

    assert made[0].id != made[1].id
    assert "one" in anna.responses.retrieve(made[0].id).output_text


@pytest.mark.parametrize("model", ["sim/echo", "native/plain", "mended"])
def test_a_request_id_of_the_clients_leads_to_no_other_response(anna: openai.OpenAI, model: str) -> None:
    """Whoever names the answer: the gateway where it translates one or would go on with it, else the provider."""
    ids = []
    for text in ("Remember one.", "Remember two."):
        with anna.responses.stream(model=model, input=text, extra_headers={"x-request-id": "again"}) as events:
            ids.append(next(event for event in events if event.type == "response.completed").response.id)

    own = ["resp_Gwplain"] * 2 if model == "native/plain" else ids
    assert own == ids
    assert "resp_again" not in ids
    asked = [list(anna.responses.input_items.list(id_))[-1].content[0].text for id_ in dict.fromkeys(ids)]  # type: ignore[union-attr]
    assert asked == (["Remember two."] if model == "native/plain" else ["Remember one.", "Remember two."])


# -- going on


def test_a_conversation_goes_on_from_its_id(anna: openai.OpenAI) -> None:
    first = anna.responses.create(model="sim/echo", input="Remember one.", instructions="Be brief.")
    second = anna.responses.create(model="sim/echo", input="Remember two.", previous_response_id=first.id)
    anna.responses.delete(first.id)
    with anna.responses.stream(model="sim/echo", input="Remember three.", previous_response_id=second.id) as events:
        third = next(event for event in events if event.type == "response.completed").response

    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert second.instructions is None
    items = list(anna.responses.input_items.list(third.id, order="asc", limit=2))
    assert [item.role for item in items] == ["user", "assistant"] * 2 + ["user"]  # type: ignore[union-attr]
    assert [item.id for item in items][3] == second.output[0].id


def test_a_conversation_goes_from_one_provider_to_another(anna: openai.OpenAI, native: Vendor) -> None:
    native.clear()
    first = anna.responses.create(model="sim/echo", input="Remember one.")
    second = anna.responses.create(model="native/plain", input="Remember two.", previous_response_id=first.id)
    third = anna.responses.create(model="sim/echo", input="Remember three.", previous_response_id=second.id)

    assert native.complaints == []
    sent = native.requests[0].body
    assert "previous_response_id" not in sent
    assert [item["role"] for item in sent["input"]] == ["user", "assistant", "user"]
    assert (second.previous_response_id, third.previous_response_id) == (first.id, second.id)
    assert len(anna.responses.input_items.list(third.id).data) == 5


def test_on_pass_through_the_stream_names_what_it_continues(anna: openai.OpenAI, native: Vendor) -> None:
    first = anna.responses.create(model="sim/echo", input="Remember one.")
    with anna.responses.stream(model="native/plain", input="x", previous_response_id=first.id) as events:
        named = [event.response.previous_response_id for event in events if hasattr(event, "response")]

    assert named == [first.id] * len(named)
    assert len(named) >= 2


def test_a_request_that_needs_nothing_passes_byte_for_byte(served: Running, native: Vendor) -> None:
    native.clear()
    body = b'{ "input" : "x",\n"model": "native/plain" ,"store":null}'
    reply = httpx.post(f"{served.url}/v1/responses", content=body, headers={"authorization": f"Bearer {ANNA}"})

    assert native.requests[0].raw == body.replace(b"native/plain", b"plain")
    assert reply.status_code == 200


def test_an_item_is_named_by_its_id(anna: openai.OpenAI, native: Vendor) -> None:
    native.clear()
    first = anna.responses.create(model="sim/echo", input="Remember one.")
    anna.responses.create(
        model="native/plain",
        input=[{"type": "item_reference", "id": str(first.output[0].id)}, {"role": "user", "content": "x"}],
    )

    assert native.requests[0].body["input"][0]["role"] == "assistant"


def test_tokens_are_counted_with_all_that_is_continued(anna: openai.OpenAI) -> None:
    first = anna.responses.create(model="sim/echo", input="Remember one. " * 50)
    alone = anna.responses.input_tokens.count(model="sim/echo", input="x")
    after = anna.responses.input_tokens.count(model="sim/echo", input="x", previous_response_id=first.id)

    assert alone.object == "response.input_tokens"
    assert after.input_tokens > alone.input_tokens + 100


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"previous_response_id": "resp_none"}, "previous_response_id", "previous_response_not_found"),
        ({"conversation": "conv_1"}, "conversation", "unsupported_parameter"),
        ({"conversation": "c", "previous_response_id": "r"}, "conversation", "mutually_exclusive_parameters"),
        ({"input": [{"type": "item_reference", "id": "msg_none"}]}, "input[0]", None),
        ({"background": True, "stream": True}, "stream", "unsupported_parameter"),
        ({"background": True, "store": False}, "background", None),
        ({"store": "yes"}, "store", "invalid_type"),
        ({"input": 5}, "input", "invalid_type"),
    ],
)
@pytest.mark.parametrize("model", ["sim/echo", "native/plain"])
def test_bad_input_is_refused_by_field(
    anna: openai.OpenAI, model: str, fields: dict[str, Any], param: str, code: str | None
) -> None:
    with pytest.raises(openai.BadRequestError) as caught:
        anna.post("/responses", body={"model": model, "input": "x", **fields}, cast_to=object)

    assert errors(caught) == (400, param, code)


# -- in the background


def test_a_background_response_is_polled_until_it_is_there(anna: openai.OpenAI) -> None:
    made = queued(anna, "sim/echo", "Remember this.")

    assert (made.status, made.background, made.output) == ("queued", True, [])
    done = ended(anna, made.id)
    assert (done.status, done.background, done.id) == ("completed", True, made.id)
    assert "Remember this." in done.output_text
    after = anna.responses.create(model="sim/echo", input="more", previous_response_id=made.id)
    assert len(anna.responses.input_items.list(after.id).data) == 3
    assert anna.responses.cancel(made.id).status == "completed"


def test_a_background_response_on_pass_through_keeps_the_id_that_was_told(anna: openai.OpenAI, native: Vendor) -> None:
    native.clear()
    made = queued(anna, "native/plain", "x")
    done = ended(anna, made.id)

    assert (done.id, done.status, done.background) == (made.id, "completed", True)
    assert native.requests[0].body == {"model": "plain", "input": "x"}


def test_a_background_response_that_fails_says_why(anna: openai.OpenAI) -> None:
    made = queued(anna, "sim/error", "error 503")
    done = ended(anna, made.id)

    assert done.status == "failed"
    assert done.error is not None
    assert "overloaded" in done.error.message


def test_a_model_that_does_not_exist_is_refused_at_once(anna: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError):
        anna.responses.create(model="sim/none", input="x", background=True)


def test_any_worker_cancels_and_cancelling_twice_is_no_fault(anna: openai.OpenAI) -> None:
    words = " ".join(["word"] * 200)
    for _ in range(4):  # with two workers, some of these meet the other one
        made = queued(anna, "sim/slow", f"{words} every 200ms")
        assert anna.responses.cancel(made.id).status == "cancelled"
        assert anna.responses.cancel(made.id).status == "cancelled"
        assert anna.responses.retrieve(made.id).status == "cancelled"


def test_a_cancelled_run_really_ends(anna: openai.OpenAI) -> None:
    """Three may run in each worker; if cancelled ones went on, there would soon be no room for another."""
    for _ in range(12):
        anna.responses.cancel(queued(anna, "sim/slow", "first after 60s").id)


def test_more_than_the_limit_are_refused(anna: openai.OpenAI) -> None:
    made: list[Response] = []
    with pytest.raises(openai.RateLimitError) as caught:
        made.extend(anna.responses.create(model="sim/slow", input="first after 60s", background=True) for _ in range(7))
    for each in made:
        anna.responses.cancel(each.id)

    assert caught.value.response.headers["retry-after"] == "5"


def test_a_deleted_background_response_is_stopped(anna: openai.OpenAI) -> None:
    made = queued(anna, "sim/slow", "first after 60s")
    anna.responses.delete(made.id)

    with pytest.raises(openai.NotFoundError):
        anna.responses.retrieve(made.id)


def test_a_synchronous_response_cannot_be_cancelled(anna: openai.OpenAI) -> None:
    made = anna.responses.create(model="sim/echo", input="x")
    with pytest.raises(openai.BadRequestError) as caught:
        anna.responses.cancel(made.id)

    assert "synchronous" in str(caught.value)


def test_a_response_that_still_runs_cannot_be_continued(anna: openai.OpenAI) -> None:
    made = queued(anna, "sim/slow", "first after 60s")
    with pytest.raises(openai.BadRequestError) as caught:
        anna.responses.create(model="sim/echo", input="x", previous_response_id=made.id)
    anna.responses.cancel(made.id)

    assert errors(caught)[:2] == (400, "previous_response_id")


# -- at the door


@pytest.mark.parametrize("path", ["/v1/responses", "/api/v1/responses", "/v1/v1/responses"])
def test_a_websocket_handshake_is_answered_426(served: Running, path: str) -> None:
    with socket.create_connection(("127.0.0.1", served.port), timeout=60) as raw:
        raw.sendall(HANDSHAKE.format(path=path).encode())
        head, _, body = raw.recv(65536).partition(b"\r\n\r\n")

    lines = head.decode().lower().split("\r\n")
    assert lines[0] == "http/1.1 426 upgrade required"
    assert "upgrade: http/1.1" in lines
    assert json.loads(body)["error"]["type"] == "invalid_request_error"


def test_a_plain_get_is_answered_405(served: Running) -> None:
    reply = httpx.get(f"{served.url}/v1/responses", headers={"authorization": f"Bearer {ANNA}"})

    assert (reply.status_code, reply.headers["allow"]) == (405, "POST, OPTIONS")
    assert reply.json()["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("key", ["", ENV["VIEWER_KEY"]])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", ""),
        ("POST", "/input_tokens"),
        ("GET", "/resp_1"),
        ("DELETE", "/resp_1"),
        ("POST", "/resp_1/cancel"),
        ("GET", "/resp_1/input_items"),
    ],
)
def test_every_operation_needs_a_key_with_the_scope(served: Running, method: str, path: str, key: str) -> None:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    reply = httpx.request(method, f"{served.url}/v1/responses{path}", headers=headers)

    assert reply.status_code == (403 if key else 401)
    assert reply.json()["error"]["message"]
