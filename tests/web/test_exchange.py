import asyncio
import gc
from typing import Literal

import pytest
from typing_extensions import override

from runtime.errors import ClientClosed, InvalidRequest
from runtime.web.exchange import MAX_QUERY_FIELDS, Exchange
from tests.web.script import Script, exchange_of, scope


class TestHead:
    def test_repeated_headers_are_joined_in_order(self) -> None:
        headers = [("anthropic-beta", "a-1"), ("X-Other", "é"), ("anthropic-beta", "b-2")]

        assert {"anthropic-beta": "a-1,b-2", "x-other": "é"} == exchange_of(Script(), headers=headers).headers

    def test_the_first_value_of_a_query_name_wins_and_empty_ones_are_kept(self) -> None:
        exchange = exchange_of(Script(), query="beta=true&key=a%20b&key=c&empty=")

        assert {"beta": "true", "key": "a b", "empty": ""} == exchange.query

    def test_a_query_with_too_many_names_is_refused(self) -> None:
        exchange = exchange_of(Script(), query="&".join(f"a{number}=1" for number in range(MAX_QUERY_FIELDS + 1)))

        with pytest.raises(InvalidRequest):
            _ = exchange.query

    def test_client_host_is_the_peer_or_nothing(self) -> None:
        script = Script()
        unknown = Exchange({**scope(), "client": None}, script.receive, script.send, request_id="r")

        assert ("127.0.0.1", "") == (exchange_of(script).client_host, unknown.client_host)


class TestAnswer:
    async def test_respond_sends_a_whole_answer_with_its_length(self) -> None:
        script = Script()
        exchange = exchange_of(script, base_headers=((b"x-build", b"1"), (b"x-own", b"base")))

        await exchange.respond(200, [("Content-Type", "text/plain"), ("X-Own", "given")], "né".encode())

        answer = script.answer
        expected = [
            (b"content-type", b"text/plain"),
            (b"x-own", b"given"),
            (b"x-build", b"1"),
            (b"content-length", b"3"),
        ]
        assert (200, sorted(expected), "né".encode(), True) == (
            answer.status, sorted(answer.raw_headers), answer.body, answer.complete,
        )  # fmt: skip
        assert (True, True) == (exchange.started, exchange.finished)

    async def test_a_body_that_nobody_wanted_is_let_come_to_its_last_byte_and_no_further(self) -> None:
        script = Script([b"abc", b"de"], endless=True)
        exchange = exchange_of(script, headers=[("content-length", "5")])

        await exchange.respond(401, [], b"no")

        assert (2, False) == (script.read, script.waiting.is_set())

    async def test_a_client_that_asks_before_it_sends_is_answered_at_once(self) -> None:
        script = Script([b"abc"])
        exchange = exchange_of(script, headers=[("content-length", "3"), ("expect", "100-continue")])

        await exchange.respond(401, [], b"no")

        assert script.read == 0

    async def test_fault_23_a_client_that_takes_nothing_has_left(self) -> None:
        script = Script()
        exchange = Exchange(scope(), script.receive, script.send, request_id="r", write_limit_s=0.03)
        await exchange.start(200, [])
        script.gate = asyncio.Event()

        with pytest.raises(ClientClosed):
            await exchange.send(b"x")
        script.gate.set()
        with pytest.raises(ClientClosed):
            await exchange.send(b"y")
        assert not script.answer.complete

    async def test_head_gets_the_length_and_no_body(self) -> None:
        script = Script()

        await exchange_of(script, method="HEAD").respond(200, [], b"hello")

        assert ("5", b"", True) == (script.answer.headers["content-length"], script.answer.body, script.answer.complete)

    async def test_head_of_a_stream_sends_nothing_but_its_end(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="HEAD")

        await exchange.start(200, [])
        await exchange.send(b"data")
        await exchange.finish()

        assert (b"", True) == (script.answer.body, script.answer.complete)

    async def test_an_answer_without_content_has_no_length(self) -> None:
        script = Script()

        await exchange_of(script).respond(204, [], b"")

        assert [] == script.answer.raw_headers

    async def test_a_stream_is_sent_piece_by_piece(self) -> None:
        script = Script()
        exchange = exchange_of(script)

        await exchange.start(200, [("content-type", "text/event-stream")])
        await exchange.send(b"a")
        await exchange.send(b"")
        await exchange.send(b"b")
        abandoned = script.answer
        await exchange.finish()

        assert (b"ab", False) == (abandoned.body, abandoned.complete)
        assert (4, True) == (len(script.sent), script.answer.complete)
        assert "content-length" not in script.answer.headers

    async def test_an_answer_cannot_be_started_twice(self) -> None:
        exchange = exchange_of(Script())
        await exchange.respond(200, [], b"")

        with pytest.raises(RuntimeError):
            await exchange.start(500, [])

    @pytest.mark.parametrize(
        ("value", "sent"),
        [("a\r\nset-cookie: x", b"a  set-cookie: x"), ("price 5 €", b"price 5 ?"), ("tab\there", b"tab here")],
    )
    async def test_a_header_value_cannot_break_out_of_its_line(self, value: str, sent: bytes) -> None:
        script = Script()

        await exchange_of(script).respond(200, [("x-a", value)], b"")

        assert (b"x-a", sent) in script.answer.raw_headers

    async def test_send_waits_while_the_server_does(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.gate = asyncio.Event()

        sending = asyncio.ensure_future(exchange.send(b"x"))
        await asyncio.sleep(0)
        before = sending.done()
        script.gate.set()
        await sending

        assert before is False

    async def test_a_send_that_the_server_refuses_means_that_the_client_left(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.fault = OSError("gone")

        for _ in range(2):
            with pytest.raises(ClientClosed):
                await exchange.send(b"x")

    async def test_much_data_lets_others_run_though_the_server_never_waits(self) -> None:
        exchange = exchange_of(Script())
        turns = 0

        async def other() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        task = asyncio.ensure_future(other())
        await exchange.start(200, [])
        for _ in range(32):
            await exchange.send(bytes(65536))
        task.cancel()

        assert turns >= 4


class TestOffer:
    """`Exchange.offer`: sending by who cannot wait."""

    async def test_it_is_sent_at_once_where_the_server_takes_it(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])

        left = exchange.offer(b"a"), exchange.offer(b""), exchange.offer(b"b")

        assert ((None, None, None), b"ab") == (left, script.answer.body)

    async def test_where_the_server_waits_the_waiting_is_left(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.gate = asyncio.Event()

        left = exchange.offer(b"a")
        sending = asyncio.ensure_future(exchange.send(b"b"))
        await asyncio.sleep(0)
        before = (sending.done(), len(script.sent))
        script.gate.set()
        await sending
        await exchange.finish()

        assert (b"", (False, 1)) == (left, before)
        assert (b"ab", True) == (script.answer.body, script.answer.complete)

    async def test_who_only_waits_sends_nothing(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.gate = asyncio.Event()
        left = exchange.offer(b"a")
        script.gate.set()

        await exchange.send(b"" if left is None else left)

        assert (b"a", 2, None) == (script.answer.body, len(script.sent), exchange.pass_on(b""))

    async def test_what_is_left_and_never_sent_says_nothing(self, recwarn: pytest.WarningsRecorder) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.gate = asyncio.Event()

        exchange.offer(b"a")
        del exchange
        gc.collect()

        assert [] == list(recwarn)

    async def test_fault_23_a_client_that_takes_nothing_of_it_has_left(self) -> None:
        script = Script()
        exchange = Exchange(scope(), script.receive, script.send, request_id="r", write_limit_s=0.03)
        await exchange.start(200, [])
        script.gate = asyncio.Event()
        exchange.offer(b"a")

        with pytest.raises(ClientClosed):
            await exchange.send(b"")

    async def test_a_client_that_has_left_is_told_of_where_it_is_sent(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        await exchange.start(200, [])
        script.fault = OSError("gone")

        assert (b"a", b"b") == (exchange.offer(b"a"), exchange.offer(b"b"))
        with pytest.raises(ClientClosed):
            await exchange.send(b"b")

    async def test_much_of_it_lets_others_run(self) -> None:
        exchange = exchange_of(Script())
        await exchange.start(200, [])

        left = [exchange.offer(bytes(65536)) for _ in range(8)]

        assert [None] * 3 == left[:3]
        assert left[3] == left[7] == bytes(65536)
        rest = exchange.pass_on(bytes(65536))
        assert rest is not None
        await rest
        assert exchange.offer(b"a") is None

    async def test_it_goes_out_behind_a_keep_alive_that_the_client_has_not_taken(self) -> None:
        script = Script()
        exchange = exchange_of(script)
        reached = asyncio.Event()

        class Gate(asyncio.Event):
            @override
            async def wait(self) -> Literal[True]:
                reached.set()
                return await super().wait()

        with exchange.keep_alive(b"k", 0.0001):
            await exchange.start(200, [])
            script.gate = Gate()
            await reached.wait()
            left = exchange.offer(b"a")
            script.gate.set()
            await exchange.send(left or b"")
            await exchange.finish()

        assert left == b"a"
        assert (True, b"a") == (script.answer.complete, script.answer.body.replace(b"k", b""))


@pytest.mark.parametrize(("headers", "read"), [([], 3), ([("expect", "100-continue")], 0)])
async def test_a_body_that_nobody_wanted_is_let_come_before_the_answer(
    headers: list[tuple[str, str]], read: int
) -> None:
    """A connection that is closed over unread bytes is reset, and the client might never see why it was refused."""
    script = Script([b"a", b"b", b"c"])

    await exchange_of(script, headers=headers).respond(401, (), b"no")

    assert (read, 401) == (script.read, script.answer.status)


async def test_a_body_that_nobody_wanted_and_that_does_not_come_is_not_waited_for_long() -> None:
    script = Script([b"a"], endless=True)
    async with asyncio.timeout(10):
        await exchange_of(script).respond(401, (), b"no")

    assert 401 == script.answer.status


async def test_what_is_left_of_a_body_is_let_come_when_its_reading_was_given_up() -> None:
    """A call that is told to end while its body arrives answers, and is to be heard."""
    script = Script([b"a"], endless=True)
    exchange = exchange_of(script)
    reading = asyncio.create_task(exchange.read_body(10, 60))
    await script.waiting.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    script.waiting.clear()

    await exchange.respond(503, (), b"no")

    assert script.waiting.is_set()
    assert 503 == script.answer.status


@pytest.mark.parametrize(("taken", "read"), [(1, 3), (3, 3)])
async def test_what_is_left_of_a_file_is_let_come_when_somebody_has_had_enough(taken: int, read: int) -> None:
    script = Script([b"a", b"b", b"c"])
    exchange = exchange_of(script, headers=[("content-length", "3")])
    pieces = exchange.pieces(10, 60)
    for _ in range(taken):
        await anext(pieces)

    await exchange.respond(413, (), b"no")

    assert (read, 413) == (script.read, script.answer.status)
