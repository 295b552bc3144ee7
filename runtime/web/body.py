"""A request's body: whole, decoded, never larger than allowed, never later than allowed.

Does not look inside: codecs do. The limit holds twice, for the bytes on the wire and for what they decode to, and a
decoder is never asked for more than the limit leaves, so a small body that unpacks to a large one costs no memory.

`gzip` and `deflate` are always understood (RFC 9110, section 8.4.1); `br` and `zstd` where their modules are installed.
"""

from __future__ import annotations

import asyncio
import importlib
import io
import zlib
from contextlib import suppress
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Protocol

from runtime.errors import ClientClosed, InvalidRequest, TooLarge, UnsupportedMedia
from runtime.web.patience import begun, started, waited, within

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
    from types import ModuleType

    from runtime.web.wire import Receive

__all__ = ["LINGER_S", "UNWANTED_S", "broken_off", "decode_body", "linger", "lingering", "pieces_of_body", "read_body"]

MAX_ENCODINGS: Final = 2
MAX_ZSTD_WINDOW_BYTES: Final = 128 << 20
MAX_DIGITS: Final = 20
LINGER_S: Final = 2.0
"""For how long a body that is too large may go on to arrive before the answer goes out."""
LINGER_BYTES: Final = 64 << 20
UNWANTED_S: Final = 0.25
"""For how long a body that is not wanted may still arrive before the answer goes out."""


async def read_body(receive: Receive, headers: Mapping[str, str], max_bytes: int, timeout_s: float) -> bytes:
    """Read and decode the whole body.

    Raises:
        TooLarge: more than ``max_bytes``, as declared, as received or once decoded.
        InvalidRequest: it did not arrive within ``timeout_s``, ended early, or cannot be decoded.
        UnsupportedMedia: its content-encoding is not understood.
        ClientClosed: the client left before it was complete.
    """
    declared = _declared_length(headers)
    if declared is not None and declared > max_bytes:
        await linger(receive, headers, min(timeout_s, LINGER_S))
        raise _too_large(max_bytes)
    pieces: list[bytes] = []
    try:
        rest = begun(timeout_s, _collect(receive, declared, max_bytes, pieces))
        if rest is not None:
            await rest
    except TimeoutError:
        if (rest := _drain(receive, LINGER_BYTES, UNWANTED_S)) is not None:
            await rest
        message = f"the request's body did not arrive within {timeout_s:g} s"
        raise InvalidRequest(message, code="request_timeout") from None
    except _Overrun as overrun:
        if overrun.more and (rest := _drain(receive, LINGER_BYTES, min(timeout_s, LINGER_S))) is not None:
            await rest
        raise _too_large(max_bytes) from None
    raw = pieces[0] if len(pieces) == 1 else b"".join(pieces)
    encoding = headers.get("content-encoding")
    if encoding is None:
        return raw
    encoding = encoding.strip().lower()
    if not encoding or encoding == "identity":
        return raw
    return await asyncio.to_thread(decode_body, raw, encoding, max_bytes)


async def pieces_of_body(
    receive: Receive, headers: Mapping[str, str], max_bytes: int, idle_s: float
) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, for what does not fit into memory. Each piece has ``idle_s`` to arrive.

    Raises as `read_body` does; an encoding is not undone, so one is refused.
    """
    declared = _declared_length(headers)
    if headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
        raise UnsupportedMedia("a file is taken without a content-encoding")
    if declared is not None and declared > max_bytes:
        await linger(receive, headers, min(idle_s, LINGER_S))
        raise _too_large(max_bytes)
    size, more = 0, True
    while more and size != declared:
        try:
            message = await within(idle_s, receive())
        except TimeoutError:
            raise InvalidRequest(f"nothing of the body arrived for {idle_s:g} s", code="request_timeout") from None
        if message["type"] != "http.request":
            raise ClientClosed
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > max_bytes:
            if (rest := _drain(receive, LINGER_BYTES, min(idle_s, LINGER_S))) is not None:
                await rest
            raise _too_large(max_bytes)
        if piece:
            yield piece
    if declared is not None and size != declared:
        raise InvalidRequest(f"the body has {size} bytes where content-length says {declared}")


def decode_body(raw: bytes, encoding: str, max_bytes: int) -> bytes:
    """Undo a ``content-encoding``, the last one first. Raises TooLarge, InvalidRequest or UnsupportedMedia."""
    names = [name.strip() for name in encoding.split(",")]
    if len(names) > MAX_ENCODINGS:
        raise UnsupportedMedia(f"at most {MAX_ENCODINGS} content encodings are undone, found {len(names)}")
    for name in reversed(names) if raw else ():
        if name not in _DECODERS:
            raise UnsupportedMedia(f"content-encoding {name!r} is not understood; send gzip, deflate or none")
        raw = _DECODERS[name](raw, max_bytes)
    return raw


class _Overrun(Exception):  # noqa: N818 — becomes TooLarge
    """There is more than the limit; ``more``: and that is not all."""

    def __init__(self, *, more: bool) -> None:
        super().__init__()
        self.more = more


async def _collect(receive: Receive, declared: int | None, max_bytes: int, pieces: list[bytes]) -> None:
    """All pieces. Stops as soon as the declared length is there: the server's empty last message is not waited for."""
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ClientClosed
        piece, more = message.get("body", b""), message.get("more_body", False)
        size += len(piece)
        if size > max_bytes:
            raise _Overrun(more=more)
        pieces.append(piece)
        if not more or size == declared:
            break
    if declared is not None and size != declared:
        raise InvalidRequest(f"the body has {size} bytes where content-length says {declared}")


async def linger(receive: Receive, headers: Mapping[str, str], timeout_s: float) -> None:
    """Let a body come that nobody has begun to read, and discard it, for a while.

    Closing a connection that holds unread bytes resets it, and a client that is still writing would see the reset instead
    of the answer. One that asks before it sends, by `Expect`, sends nothing.
    """
    if (rest := lingering(receive, headers, timeout_s)) is not None:
        await rest


def lingering(receive: Receive, headers: Mapping[str, str], timeout_s: float) -> Coroutine[object, object, None] | None:
    """`linger`: None where the body is there, as it is with most that are refused, else what is left of it, to be awaited."""
    if "expect" in headers:
        return None
    declared = headers.get("content-length", "")
    if declared.isdecimal() and len(declared) <= MAX_DIGITS:
        return _drain(receive, min(int(declared), LINGER_BYTES), timeout_s)
    return _drain(receive, LINGER_BYTES, timeout_s)


def _drain(receive: Receive, most: int, timeout_s: float) -> Coroutine[object, object, None] | None:
    try:
        left = started(_discard(receive, most))
    except TimeoutError:
        return None
    return None if left is None else _drained(waited(timeout_s, left))


async def _drained(rest: Coroutine[object, object, object]) -> None:
    with suppress(TimeoutError):
        await rest


async def _discard(receive: Receive, most: int) -> None:
    """As `_collect` does, it does not wait for the empty message behind the last byte."""
    left = most
    while left > 0:
        message = await receive()
        if message["type"] != "http.request" or not message.get("more_body", False):
            return
        left -= len(message.get("body", b""))


def _declared_length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length")
    if value is None:
        return None
    if not value.isdecimal():  # of latin-1, ASCII digits only
        raise InvalidRequest("content-length is not a number")
    return int(value[:MAX_DIGITS])


def broken_off() -> InvalidRequest:
    """What is told of a body that ended before its end, to whoever may still be there."""
    return InvalidRequest(
        "the request's body ended before it was complete, or its chunks are not what HTTP asks for",
        code="incomplete_body",
    )


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"the request's body is larger than {max_bytes} bytes")


class _Inflater(Protocol):
    @property
    def eof(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


def _gzip(raw: bytes, max_bytes: int) -> bytes:
    """One or more gzip members (RFC 1952, section 2.2)."""
    out = bytearray()
    while raw:
        member = zlib.decompressobj(wbits=31)
        out += _inflate(member, raw, max_bytes - len(out))
        raw = member.unused_data
    return bytes(out)


def _deflate(raw: bytes, max_bytes: int) -> bytes:
    """A zlib stream, as the standard says, or a bare one, as some clients send."""
    zlib_header = len(raw) > 1 and raw[0] & 0x0F == 8 and int.from_bytes(raw[:2], "big") % 31 == 0
    inflater = zlib.decompressobj(wbits=15 if zlib_header else -15)
    out = _inflate(inflater, raw, max_bytes)
    if inflater.unused_data:
        raise InvalidRequest("bytes follow the end of the deflate stream")
    return out


def _inflate(inflater: _Inflater, raw: bytes, max_bytes: int) -> bytes:
    try:
        out = inflater.decompress(raw, max_bytes + 1)
    except zlib.error as error:
        raise InvalidRequest("the body is not valid in its content-encoding") from error
    if len(out) > max_bytes:
        raise _too_large(max_bytes)
    if not inflater.eof:
        raise InvalidRequest("the compressed body ends too early")
    return out


def _brotli(raw: bytes, max_bytes: int) -> bytes:
    module = _optional("brotli", "br")
    decompressor = module.Decompressor()
    try:
        out: bytes = decompressor.process(raw, output_buffer_limit=max_bytes + 1)
        # It stops at a block's end near the limit and holds back what it has until it is asked again.
        while len(out) <= max_bytes and not decompressor.can_accept_more_data():
            out += decompressor.process(b"", output_buffer_limit=max_bytes + 1 - len(out))
    except module.error as error:
        raise InvalidRequest("the body is not valid in its content-encoding") from error
    if len(out) > max_bytes:
        raise _too_large(max_bytes)
    if not decompressor.is_finished():
        raise InvalidRequest("the compressed body ends too early")
    return out


def _zstd(raw: bytes, max_bytes: int) -> bytes:
    module = _optional("zstandard", "zstd")
    decompressor = module.ZstdDecompressor(max_window_size=MAX_ZSTD_WINDOW_BYTES)
    try:
        # This reader keeps to a limit but does not tell a cut frame from a whole one; the objects below do the reverse.
        with decompressor.stream_reader(io.BytesIO(raw), read_across_frames=True) as reader:
            out: bytes = reader.read(max_bytes + 1)
        if len(out) > max_bytes:
            raise _too_large(max_bytes)
        while raw:
            frame = decompressor.decompressobj()
            frame.decompress(raw)
            if not frame.eof:
                raise InvalidRequest("the compressed body ends too early")
            raw = frame.unused_data
    except module.ZstdError as error:
        raise InvalidRequest("the body is not valid in its content-encoding") from error
    return out


def _optional(module: str, encoding: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UnsupportedMedia(
            f"content-encoding {encoding!r} is not understood here; send gzip, deflate or none"
        ) from None


_DECODERS: Final[Mapping[str, Callable[[bytes, int], bytes]]] = MappingProxyType(
    {
        "gzip": _gzip,
        "x-gzip": _gzip,
        "deflate": _deflate,
        "br": _brotli,
        "zstd": _zstd,
        "identity": lambda raw, _: raw,
    }
)
