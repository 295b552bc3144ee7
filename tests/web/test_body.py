import asyncio
import gzip
import tracemalloc
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import ClientClosed, InvalidRequest, TooLarge, UnsupportedMedia
from runtime.web import body
from runtime.web.body import decode_body, read_body
from tests.web.script import Script


def raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


ENCODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "raw deflate": raw_deflate,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


async def read(script: Script, max_bytes: int = 100, timeout_s: float = 5, **headers: str) -> bytes:
    return await read_body(
        script.receive, {name.replace("_", "-"): value for name, value in headers.items()}, max_bytes, timeout_s
    )


class TestReading:
    @given(st.lists(st.binary(max_size=20), min_size=1, max_size=8))
    async def test_any_split_gives_the_same_body(self, pieces: list[bytes]) -> None:
        whole = b"".join(pieces)

        assert whole == await read(Script(pieces), max_bytes=200)
        assert whole == await read(Script(pieces), max_bytes=200, content_length=str(len(whole)))

    async def test_a_body_of_exactly_the_limit_is_read(self) -> None:
        assert bytes(100) == await read(Script([bytes(60), bytes(40)]))

    async def test_a_body_over_the_limit_is_refused_whatever_it_declares(self) -> None:
        for headers in ({}, {"content_length": "5"}, {"content_length": "101"}):
            with pytest.raises(TooLarge):
                await read(Script([bytes(60), bytes(41)]), **headers)

    async def test_a_length_over_the_limit_is_refused_before_the_body_is_kept(self) -> None:
        with pytest.raises(TooLarge, match="100 bytes"):
            await read(Script([b"small"]), content_length="9" * 30)

    async def test_a_client_that_waits_for_100_continue_is_refused_unread(self) -> None:
        script = Script([b"x"])

        with pytest.raises(TooLarge):
            await read(script, content_length="101", expect="100-continue")
        assert 0 == script.read

    async def test_what_a_refused_client_still_sends_is_taken_in_so_that_it_reads_the_answer(self) -> None:
        script = Script([bytes(60)] * 10)

        with pytest.raises(TooLarge):
            await read(script)
        assert 10 == script.read

    async def test_a_refused_client_that_never_ends_is_not_waited_for_long(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(body, "LINGER_S", 0.01)

        with pytest.raises(TooLarge):
            await read(Script([bytes(101)], endless=True))

    async def test_a_refused_client_is_not_listened_to_without_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(body, "LINGER_BYTES", 300)
        script = Script([bytes(100)] * 50)

        with pytest.raises(TooLarge):
            await read(script)
        assert script.read < 10

    @pytest.mark.parametrize("length", ["7", "3"])
    async def test_a_length_that_lies_is_refused(self, length: str) -> None:
        with pytest.raises(InvalidRequest, match="content-length"):
            await read(Script([b"ab", b"cde"]), content_length=length)

    @pytest.mark.parametrize("length", ["", "-1", "1e3", "٣", "0x10", "1 "])
    async def test_a_length_that_is_no_number_is_refused(self, length: str) -> None:
        with pytest.raises(InvalidRequest):
            await read(Script([b"a"]), content_length=length)

    async def test_the_servers_empty_last_message_is_not_waited_for(self) -> None:
        script = Script([b"abc"], endless=True)

        assert b"abc" == await read(script, content_length="3")

    async def test_a_client_that_leaves_half_way_is_gone(self) -> None:
        with pytest.raises(ClientClosed):
            await read(Script([b"half"], cut=True))

    async def test_a_body_that_comes_too_slowly_is_refused(self) -> None:
        with pytest.raises(InvalidRequest, match=r"within 0\.01 s") as found:
            await read(Script([b"h"], endless=True), timeout_s=0.01)
        assert "request_timeout" == found.value.code

    async def test_reading_can_be_cancelled(self) -> None:
        script = Script([b"h"], endless=True)
        task = asyncio.ensure_future(read(script))
        await script.waiting.wait()
        task.cancel()

        with pytest.raises(asyncio.CancelledError):
            await task


class TestEncodings:
    @pytest.mark.parametrize("name", ENCODERS)
    @given(data=st.binary(max_size=300))
    def test_what_was_encoded_is_decoded(self, name: str, data: bytes) -> None:
        assert data == decode_body(ENCODERS[name](data), name.removeprefix("raw "), 300)

    @pytest.mark.parametrize("name", ENCODERS)
    @given(data=st.binary(min_size=1, max_size=300), less=st.integers(1, 300))
    def test_the_limit_holds_for_what_comes_out(self, name: str, data: bytes, less: int) -> None:
        with pytest.raises(TooLarge):
            decode_body(ENCODERS[name](data), name.removeprefix("raw "), max(0, len(data) - less))

    @pytest.mark.parametrize("name", ENCODERS)
    @given(data=st.binary(min_size=1, max_size=300), cut=st.integers(1, 300))
    def test_a_body_that_ends_early_is_refused(self, name: str, data: bytes, cut: int) -> None:
        encoded = ENCODERS[name](data)

        with pytest.raises(InvalidRequest):
            decode_body(encoded[: max(1, len(encoded) - cut)], name.removeprefix("raw "), 1000)

    @pytest.mark.parametrize("name", ENCODERS)
    def test_bytes_after_the_end_are_refused(self, name: str) -> None:
        with pytest.raises(InvalidRequest):
            decode_body(ENCODERS[name](b"data") + b"more", name.removeprefix("raw "), 1000)

    @pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
    def test_a_bomb_costs_no_more_than_the_limit(self, name: str) -> None:
        zeros = bytes(64 << 20)
        bomb = brotli.compress(zeros, quality=1) if name == "br" else ENCODERS[name](zeros)
        tracemalloc.start()

        with pytest.raises(TooLarge):
            decode_body(bomb, name, 1 << 20)
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()

        assert len(bomb) < 1 << 20
        assert peak_bytes < 8 << 20

    def test_encodings_are_undone_last_first(self) -> None:
        assert b"data" == decode_body(gzip.compress(brotli.compress(b"data")), "br, gzip", 100)

    def test_several_gzip_members_are_one_body(self) -> None:
        assert b"ab" == decode_body(gzip.compress(b"a") + gzip.compress(b"b"), "gzip", 100)

    @pytest.mark.parametrize("name", ["compress", "gzip, gzip, gzip", "gzip;q=1"])
    def test_an_encoding_nobody_knows_is_refused(self, name: str) -> None:
        with pytest.raises(UnsupportedMedia):
            decode_body(b"data", name, 100)

    @pytest.mark.parametrize(("name", "module"), [("br", "brotli"), ("zstd", "zstandard")])
    def test_an_encoding_whose_module_is_absent_is_refused(
        self, name: str, module: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, module, None)

        with pytest.raises(UnsupportedMedia, match=name):
            decode_body(b"data", name, 100)

    async def test_a_body_is_decoded_as_it_is_read(self) -> None:
        encoded = gzip.compress(b"hello" * 10)

        assert b"hello" * 10 == await read(Script([encoded[:5], encoded[5:]]), content_encoding="GZIP")
        assert b"plain" == await read(Script([b"plain"]), content_encoding="identity")
        assert b"" == await read(Script([b""]), content_encoding="gzip")
