"""A file of frames is read as far as it is whole, and never otherwise than it was written."""

from __future__ import annotations

import struct
from zlib import crc32

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from runtime.accounting.frames import Frame, Opened, Passed, PriceTable, encode_frame, scan, scan_kept
from runtime.stores.entries import NO_COUNTS, AttemptEntry, Settlement
from tests.support.accounting import PRICES

TEXT = st.text(max_size=12)
COUNT = st.integers(0, 2**40)
ENTRIES = st.builds(
    AttemptEntry, COUNT, st.floats(0, 2e9), TEXT, TEXT, TEXT, TEXT, COUNT, COUNT, st.just(NO_COUNTS), st.booleans(),
    COUNT, st.booleans(), TEXT,
)  # fmt: skip
SETTLEMENTS = st.builds(
    Settlement, TEXT, st.floats(0, 2e9), TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT,
    st.booleans(), TEXT, COUNT, TEXT, TEXT, COUNT, COUNT, COUNT, st.just(NO_COUNTS), st.booleans(), COUNT, st.booleans(),
    st.lists(ENTRIES, max_size=2).map(tuple),
)  # fmt: skip
OPENED = st.builds(
    Opened, TEXT, st.floats(0, 2e9), TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, TEXT, st.booleans(), COUNT,
    st.floats(0, 2e9), TEXT, TEXT, TEXT, TEXT, COUNT,
)  # fmt: skip
FRAMES = st.lists(OPENED | SETTLEMENTS | st.builds(PriceTable, TEXT, st.just(PRICES)), max_size=5)


@given(frames=FRAMES, data=st.data())
def test_a_file_that_is_cut_anywhere_is_a_prefix(frames: list[Frame], data: st.DataObject) -> None:
    whole = [encode_frame(each) for each in frames]
    written = b"".join(whole)
    cut = data.draw(st.integers(0, len(written)))

    found = scan(written[:cut])
    assert frames[: len(found.frames)] == found.frames
    assert found.sound == sum(map(len, whole[: len(found.frames)])) == (found.ends[-1] if found.ends else 0)
    left = whole[len(found.frames) :]
    assert not left or found.sound + len(left[0]) > cut


@given(frames=FRAMES.filter(bool), data=st.data())
def test_a_byte_that_changed_ends_what_is_read(frames: list[Frame], data: st.DataObject) -> None:
    whole = [encode_frame(each) for each in frames]
    written = bytearray(b"".join(whole))
    at = data.draw(st.integers(0, len(written) - 1))
    written[at] ^= data.draw(st.integers(1, 255))

    found = scan(bytes(written))
    assert found.sound <= at
    assert frames[: len(found.frames)] == found.frames


@given(frames=FRAMES)
def test_whoever_lives_reads_the_same_but_for_what_it_sent(frames: list[Frame]) -> None:
    written = b"".join(map(encode_frame, frames))
    whole, kept = scan(written), scan_kept(written)

    assert [Passed() if isinstance(each, Opened) else each for each in frames] == kept.frames
    assert (whole.ends, whole.sound) == (kept.ends, kept.sound)


def test_zeros_behind_the_end_are_no_frames() -> None:
    frame = PriceTable("v", PRICES)

    assert [frame] == scan(encode_frame(frame) + bytes(64)).frames


@given(written=SETTLEMENTS, lacking=st.integers(1, 2))
def test_what_a_release_before_settled_is_one_request_if_somebody_was_asked(written: Settlement, lacking: int) -> None:
    payload = msgspec.msgpack.encode(msgspec.msgpack.decode(encode_frame(written)[8:])[:-lacking])
    found = scan(struct.pack("<II", len(payload), crc32(payload)) + payload).frames

    assert [written] == found
    assert (1, False) == (written.admitted, written.let_in)
