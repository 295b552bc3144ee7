"""What runs while an exchange lasts: the watch for a client that leaves, and what keeps a silent line open."""

import asyncio
import gc
import weakref

import pytest

from runtime.errors import ClientClosed, InvalidRequest
from runtime.web.connected import Lookout
from runtime.web.exchange import Exchange
from tests.web.script import Script, exchange_of, scope


class TestDisconnect:
    async def test_a_client_that_leaves_cancels_the_block_and_what_is_in_finally_still_runs(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="GET")
        settled = []

        async def serve() -> None:
            with exchange.while_connected():
                try:
                    await asyncio.Event().wait()
                finally:
                    await asyncio.sleep(0)
                    settled.append("upstream closed")

        task = asyncio.ensure_future(serve())
        await script.waiting.wait()
        script.leave()

        with pytest.raises(ClientClosed):
            await task
        assert ["upstream closed"] == settled
        assert task.cancelling() == 0

    async def test_after_the_client_left_nothing_can_be_sent(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="GET")
        await exchange.start(200, [])
        script.leave()
        await exchange.watch_disconnect()

        with pytest.raises(ClientClosed):
            await exchange.send(b"x")
        with pytest.raises(ClientClosed):
            await exchange.finish()
        assert 1 == len(script.sent)

    async def test_watching_begins_when_the_body_was_read(self) -> None:
        script = Script([b"a", b"b"])
        exchange = exchange_of(script)

        with exchange.while_connected():
            await asyncio.sleep(0)
            read_before = script.read
            body = await exchange.read_body(10, 5)
            await script.waiting.wait()

        assert (0, b"ab") == (read_before, body)

    async def test_many_calls_are_watched_by_one_lookout_and_those_that_ended_are_not(self) -> None:
        lookout, long = Lookout(), [Script(), Script()]
        quick = Script()

        async def serve(script: Script) -> None:
            with Exchange(scope("GET"), script.receive, script.send, "r", lookout=lookout).while_connected():
                await script.waiting.wait()

        with Exchange(scope("GET"), quick.receive, quick.send, "r", lookout=lookout).while_connected():
            pass
        await asyncio.gather(*(serve(script) for script in long))

        assert not quick.waiting.is_set()

    def test_a_lookout_goes_on_in_another_loop(self) -> None:
        lookout = Lookout()

        async def serve() -> bool:
            script = Script()
            with Exchange(scope("GET"), script.receive, script.send, "r", lookout=lookout).while_connected():
                await script.waiting.wait()
            return True

        assert [True, True] == [asyncio.run(serve()), asyncio.run(serve())]

    async def test_the_end_of_an_answer_is_no_disconnect(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="GET")

        with exchange.while_connected():
            await script.waiting.wait()
            await exchange.respond(200, [], b"done")
            script.leave()
            for _ in range(5):
                await asyncio.sleep(0)

        assert script.answer.complete

    async def test_what_was_watched_is_let_go_without_the_collector(self) -> None:
        """It holds all of its call and what the server keeps for it; five hundred streams that end together hold a lot."""

        async def serve() -> weakref.ref[Exchange]:
            script = Script()
            exchange = exchange_of(script, method="GET")
            with exchange.while_connected():
                await script.waiting.wait()
            return weakref.ref(exchange)

        gc.disable()
        try:
            served = await serve()
            await asyncio.sleep(0.01)
            assert served() is None
        finally:
            gc.enable()

    async def test_a_cancellation_from_elsewhere_stays_one(self) -> None:
        exchange = exchange_of(Script(), method="GET")

        async def serve() -> None:
            with exchange.while_connected():
                await asyncio.Event().wait()

        task = asyncio.ensure_future(serve())
        await asyncio.sleep(0)
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task

    async def test_an_error_of_the_block_passes_through(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="GET")

        with pytest.raises(InvalidRequest), exchange.while_connected():
            raise InvalidRequest("no")

    async def test_a_block_that_fails_while_it_is_cancelled_leaves_no_cancellation_behind(self) -> None:
        script = Script()
        exchange = exchange_of(script, method="GET")

        async def serve() -> int:
            try:
                with exchange.while_connected():
                    try:
                        await asyncio.Event().wait()
                    finally:
                        raise ValueError("closing failed")
            except ValueError:
                await asyncio.sleep(0)
                return asyncio.current_task().cancelling()
            return -1

        task = asyncio.ensure_future(serve())
        await script.waiting.wait()
        script.leave()

        assert 0 == await task


class TestKeepAlive:
    async def test_a_silence_is_broken_again_and_again(self) -> None:
        script = Script()
        exchange = exchange_of(script)

        with exchange.keep_alive(b": \n\n", 0.001):
            await exchange.start(200, [])
            await script.until(4)
            await exchange.finish()

        assert script.answer.body.startswith(b": \n\n: \n\n: \n\n")
        assert script.answer.complete

    async def test_nothing_is_sent_before_the_start(self) -> None:
        script = Script()
        exchange = exchange_of(script)

        with exchange.keep_alive(b"x", 0.0001):
            for _ in range(50):
                await asyncio.sleep(0)

        assert [] == script.sent

    @pytest.mark.parametrize(("data", "silence_s"), [(None, 0.0001), (b"x", 0.0), (b"", 0.0001)])
    async def test_a_dialect_without_a_keep_alive_stays_silent(self, data: bytes | None, silence_s: float) -> None:
        script = Script()
        exchange = exchange_of(script)

        with exchange.keep_alive(data, silence_s):
            await exchange.start(200, [])
            for _ in range(50):
                await asyncio.sleep(0)

        assert 1 == len(script.sent)

    async def test_a_keep_alive_never_comes_between_a_blocked_send_and_the_end(self) -> None:
        script = Script()
        exchange = exchange_of(script)

        with exchange.keep_alive(b"k", 0.0001):
            await exchange.start(200, [])
            script.gate = asyncio.Event()
            sending = asyncio.ensure_future(exchange.send(b"piece"))
            for _ in range(50):
                await asyncio.sleep(0)
            script.gate.set()
            await sending
            await exchange.finish()

        assert script.answer.complete
        assert b"" == script.sent[-1]["body"]
        assert b"piece" in script.answer.body
