"""One connection to a provider: HTTP/1.1 over a transport, one exchange after the other. llhttp parses what comes.

Knows no pools and no limits: whoever asks sets a timer and cuts the line. What it reads goes straight into the `Answer`
that is being waited for; while nobody takes that, it does not read on.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from typing_extensions import override

from runtime.errors import UpstreamError, UpstreamProtocolError, UpstreamUnavailable
from runtime.upstream.types import Straight

__all__ = ["Answer", "Line"]

READ_BUFFER_BYTES: Final = 64 * 1024
GIVEN_BYTES: Final = 16 * 1024
"""Of more than READ_BUFFER_BYTES, so much is given at once: a server keeps so and so many pieces for a slow client."""

HEAD_LIMIT_BYTES: Final = 64 * 1024
HEADERS_LIMIT: Final = 256
NAMES_KEPT: Final = 1024
LARGE_BODY_BYTES: Final = 512 * 1024
"""Above this a body is written piece by piece, so that other requests get their turn."""

PIECE_BYTES: Final = 256 * 1024
BODILESS: Final = frozenset({204, 304})
NO_HEADERS: Final[Mapping[str, str]] = MappingProxyType({})
TOO_LONG: Final = ": a line or header is too long"


class Answer:
    """What comes back for one request. ``wake`` is resolved at its head, at every read, at its end, when it fails.

    With ``straight`` it is not at reads in the middle, unless that says so: with True then, and the read is taken.

    Attributes:
        status: 0 until the head is complete.
        headers: lower-case names; values of one that came several times are joined by a comma.
        begun: whether anything of it came.
        complete: whether all of it came.
        failure: why the rest will not come.
        line: what it still comes over; None once it is complete, or has failed.
        parts: what came of its body and was not taken yet. The parser appends to it.
        size: how much was read since the body was taken, as it was sent.
        since_s: since when whoever waits for more has heard nothing.
    """

    __slots__ = (
        "begun",
        "complete",
        "failure",
        "headers",
        "line",
        "parts",
        "since_s",
        "size",
        "status",
        "straight",
        "wake",
    )

    def __init__(self, line: Line, parts: list[bytes]) -> None:
        self.status = 0
        self.headers: Mapping[str, str] = NO_HEADERS
        self.parts = parts
        self.size = 0
        self.begun = False
        self.complete = False
        self.failure: UpstreamError | None = None
        self.line: Line | None = line
        self.wake: asyncio.Future[bool] | None = None
        self.straight: Straight | None = None
        self.since_s = 0.0

    def take(self) -> bytes:
        """What came since the last call, perhaps nothing; of much, a piece."""
        if self.size > READ_BUFFER_BYTES:
            return self._piece()
        data = b"".join(self.parts)
        self.parts.clear()
        self.size = 0
        return data

    def _piece(self) -> bytes:
        """The next parts. The provider waits until all of what came is taken."""
        parts, size, count = self.parts, 0, 0
        while count < len(parts) and size < GIVEN_BYTES:
            size += len(parts[count])
            count += 1
        data = b"".join(parts[:count])
        del parts[:count]
        if not parts:
            self.size = 0
            if self.line is not None:
                self.line.taken()
        return data

    def fail(self, failure: UpstreamError) -> None:
        """It will not come any more. What came before can still be taken. Not once it is complete, and only once."""
        if not self.complete and self.failure is None:
            self.failure = failure
            self.line = None
            self.awake()

    def awake(self) -> None:
        wake = self.wake
        if wake is not None and not wake.done():
            wake.set_result(False)

    def pass_to(self, straight: Straight, wake: asyncio.Future[bool]) -> None:
        """Give ``straight`` what came, for who waits for ``wake``."""
        try:
            goes_on = straight(self.take())
        except Exception as error:  # noqa: BLE001 — is raised where the answer is read
            if not wake.done():
                wake.set_exception(error)
        else:
            if not goes_on and not wake.done():
                wake.set_result(True)


class Line(asyncio.Protocol):
    """``free`` is told when the line can be used again, ``lost`` when it is gone.

    ``names`` holds the headers' names as providers write them, and as they are called here; lines fill and share it.

    Attributes:
        open: whether requests may be sent over it.
    """

    __slots__ = (
        "_answer",
        "_body",
        "_fault",
        "_free",
        "_head",
        "_head_bytes",
        "_headers",
        "_interim",
        "_loop",
        "_lost",
        "_names",
        "_parser",
        "_paused",
        "_repeats",
        "_room",
        "_transport",
        "_uploading",
        "on_body",
        "open",
    )

    def __init__(self, free: Callable[[Line], None], lost: Callable[[Line], None], names: dict[bytes, str]) -> None:
        self._loop = asyncio.get_running_loop()
        self._free = free
        self._lost = lost
        self._transport: asyncio.Transport | None = None
        self._answer: Answer | None = None
        self._body: list[bytes] = []  # the parts of the answer that is under way; each chunk comes by itself
        self.on_body = self._body.append
        self._parser = self._new_parser()
        self._headers: dict[str, str] = {}
        self._names = names
        self._head = ""
        self._head_bytes = 0
        self._fault = ""
        self._repeats = 0
        self._interim = False
        self._paused = False
        self._uploading = False
        self._room: asyncio.Future[bool] | None = None
        self.open = False

    # -- what is asked

    def ask(self, head: bytes, body: bytes, method: str) -> Answer:
        """Send a request. Large bodies are only begun: `upload` sends the rest."""
        answer = self._answer = Answer(self, self._body)
        transport = self._transport
        if transport is None or not self.open:
            answer.fail(UpstreamUnavailable("the provider closed the connection before it answered"))
            return answer
        self._head = method
        self._uploading = len(body) > LARGE_BODY_BYTES
        if self._uploading:
            transport.write(head)
        else:
            transport.writelines((head, body))
        return answer

    async def upload(self, answer: Answer, body: bytes) -> None:
        """Send a large body, no faster than it is taken, until its answer's head is here."""
        view = memoryview(body)
        for start in range(0, len(body), PIECE_BYTES):
            if answer.status or answer.failure is not None or self._transport is None:
                return
            self._transport.write(view[start : start + PIECE_BYTES])
            if self._room is not None:
                answer.wake = self._room
                await self._room
        self._uploading = False

    def taken(self) -> None:
        """There is room for more."""
        if self._paused and self._transport is not None:
            self._paused = False
            self._transport.resume_reading()

    def cut(self) -> None:
        """Close at once: unsent bytes are dropped, no farewell is waited for. What still comes, fails."""
        self.open = False
        answer, self._answer = self._answer, None
        if answer is not None:
            self._end_of(answer, broken=True)
        if self._transport is not None:
            self._transport.abort()

    def close(self) -> None:
        """Close a line that carries nothing."""
        self.open = False
        if self._transport is not None:
            self._transport.close()

    # -- what the transport tells

    @override
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.open = True
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    @override
    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked
            self.cut()
            return
        if not answer.status:
            answer.begun = True
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._break(answer, ": it changes the protocol")
        except HttpParserError:
            self._break(answer, self._fault)
        if not answer.status:
            if self._head_bytes > HEAD_LIMIT_BYTES:
                self._break(answer, TOO_LONG)
            return
        if answer.complete:
            self._body.clear()  # what follows the head of an answer that has no body
            answer.awake()
        else:
            self._came(answer, len(data))

    def _came(self, answer: Answer, size: int) -> None:
        """Of an answer that goes on. What is no body, chunks' sizes and trailers, has the limit of a head."""
        answer.size += size
        if not self._body:
            self._head_bytes += size
            if self._head_bytes > HEAD_LIMIT_BYTES:
                self._break(answer, TOO_LONG)
                return
        else:
            self._head_bytes = 0
            if answer.size > READ_BUFFER_BYTES:
                self._pause()
                answer.awake()
                return
        straight, wake = answer.straight, answer.wake
        if straight is None:
            answer.awake()
        elif wake is not None and not wake.done():
            answer.since_s = self._loop.time()
            if self._body:
                answer.pass_to(straight, wake)

    @override
    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._transport = None
        answer, self._answer = self._answer, None
        self._make_room()
        if answer is not None:
            self._end_of(answer, broken=exc is not None)
        self._lost(self)

    @override
    def pause_writing(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()

    @override
    def resume_writing(self) -> None:
        self._make_room()

    # -- what the parser tells

    def on_message_begin(self) -> None:
        if self._answer is None:
            raise ValueError("nobody asked")
        self._headers = {}
        self._repeats = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        key = self._names.get(name) or self._named(name)
        headers = self._headers
        if key in headers:
            self._repeats += 1
            headers[key] = f"{headers[key]}, {value.decode('latin-1')}"
        else:
            headers[key] = value.decode("latin-1")
        if len(headers) + self._repeats > HEADERS_LIMIT:
            self._fault = TOO_LONG
            raise ValueError(TOO_LONG)

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 100:
            raise ValueError("no status")
        self._interim = 100 <= status < 200
        answer = self._answer
        if self._interim or answer is None:
            return
        answer.headers = self._headers
        answer.status = status
        self._head_bytes = 0
        if self._head == "HEAD":
            self._complete(answer, reusable=False)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and not self._interim:
            odd = answer.status in BODILESS and _announces_body(answer)
            self._complete(answer, reusable=self._parser.should_keep_alive() and not odd)

    # -- inside

    def _named(self, name: bytes) -> str:
        """``name`` as it is called here: a provider's names are the same in all its answers."""
        if len(self._names) >= NAMES_KEPT:
            self._names.clear()
        key = self._names[name] = name.decode("latin-1").lower()
        return key

    def _new_parser(self) -> HttpResponseParser:
        parser = HttpResponseParser(self)
        # Servers of old end lines with LF alone, and some put a space behind a chunk's size.
        parser.set_dangerous_leniencies(
            lenient_optional_cr_before_lf=True, lenient_optional_lf_after_cr=True, lenient_spaces_after_chunk_size=True
        )
        return parser

    def _pause(self) -> None:
        """Enough came that nobody has taken."""
        if self.open and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def _complete(self, answer: Answer, *, reusable: bool) -> None:
        self._answer = None
        answer.complete = True
        answer.line = None
        answer.parts = self._body.copy()  # the next answer of this line may begin before it is taken
        self._body.clear()
        self._head_bytes = 0
        if self._paused:
            self.taken()
        if reusable and not self._uploading and self.open:
            self._free(self)
        else:
            self.cut()

    def _break(self, answer: Answer, detail: str) -> None:
        if answer.complete:
            self.cut()
            return
        if answer.status:
            said = f"the body of the provider's answer is broken{detail}"
        else:
            said = f"the provider answered with what is not HTTP{detail}"
        self._answer = None
        answer.fail(UpstreamProtocolError(said))
        self.cut()

    def _end_of(self, answer: Answer, *, broken: bool) -> None:
        """The connection ended while ``answer`` came."""
        if not answer.status:
            how = "the connection to the provider broke" if broken else "the provider closed the connection"
            answer.fail(UpstreamUnavailable(f"{how} before it answered"))
        elif not broken and not _sized(answer):
            answer.complete = True
            answer.line = None
            answer.awake()
        else:
            how = "the connection to the provider broke" if broken else "the provider closed the connection"
            answer.fail(UpstreamUnavailable(f"{how} in the middle of its answer"))

    def _make_room(self) -> None:
        room, self._room = self._room, None
        if room is not None and not room.done():
            room.set_result(False)


def _announces_body(answer: Answer) -> bool:
    """Whether it says that a body comes. Where none may, what comes after all would be read as the next answer."""
    headers = answer.headers
    return headers.get("content-length", "0") != "0" or "transfer-encoding" in headers


def _sized(answer: Answer) -> bool:
    """Whether its end can be told from the connection's."""
    headers = answer.headers
    return "content-length" in headers or "transfer-encoding" in headers or answer.status in BODILESS
