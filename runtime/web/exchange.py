"""One HTTP call as raw ASGI: what the client sent, and the way to answer it. What every inference operation is given.

Decides nothing: services read and write through it. No middleware runs around it, and nothing is parsed before it is
asked for. What the code below rests on, found with Granian 2.8 (its asyncio task implementation) on loopback:

* ``receive`` gives `http.disconnect` within milliseconds of the client's leaving; also when it shuts only its sending
  side, whose answer is cut there; also once the answer is complete, when it means nothing. Two waits for it may be
  pending at once, and one may be cancelled.
* ``send`` never raises. With a client that is gone it returns at once, without giving the loop a turn, and logs a line
  each time; so the only news of a leaving client comes from ``receive``, and a loop that only sends would never read it.
* ``send`` waits while the client's buffers are full (about 4.5 MB on loopback) and returns when it reads on or leaves.
* An application that returns after `http.response.start` without the last body message cuts the connection without a
  terminator: the client sees that the answer is incomplete. That is how an answer is abandoned.
* A body with Content-Length comes with `more_body` true and then an empty message; Expect: 100-continue is answered by
  the first ``receive``; header names are lower-case, repeated headers come one by one; the path is percent-decoded,
  `%2F` too.
* With Granian's Rust task implementation a task cannot be cancelled, and `asyncio.timeout` does not work: not usable.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from runtime.errors import ClientClosed, InvalidRequest
from runtime.web.body import UNWANTED_S, lingering, pieces_of_body, read_body
from runtime.web.connected import Beat, Lookout, WhileConnected
from runtime.web.header import decode_headers, encode_headers
from runtime.web.patience import started, waited

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterable, Mapping

    from runtime.web.header import RawHeaders
    from runtime.web.patience import Left
    from runtime.web.wire import HttpScope, OutMessage, Receive, Send

__all__ = ["Exchange"]

MAX_QUERY_FIELDS: Final = 200
YIELD_BYTES: Final = 256 << 10
NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


class Exchange:
    """One HTTP call, from its head to the last byte of its answer.

    Attributes:
        headers: lower-case names, as ASGI has them; values of repeated headers joined by a comma, in order.
        request_id: ours, or the client's where it is fit to be one.
        required_scope: the key scope that the operation's schema asks for, or `public`.
        started: whether the head of the answer was sent; after that no other status can be.
        finished: whether the answer is complete.
        body_read: whether the whole body was read, or there is none.
        left: whether it is known that the client has left.
    """

    def __init__(
        self,
        scope: HttpScope,
        receive: Receive,
        send: Send,
        request_id: str,
        headers: Mapping[str, str] | None = None,
        path_params: Mapping[str, str] = NOTHING,
        required_scope: str = "public",
        base_headers: RawHeaders = (),
        write_limit_s: float | None = None,
        lookout: Lookout | None = None,
    ) -> None:
        """``base_headers`` go out with every answer unless it brings its own of that name.

        ``headers`` are those of ``scope``, where somebody has read them; ``lookout`` is what all calls share.
        A client that takes nothing for ``write_limit_s`` counts as one that has left; None: however long.
        """
        self._scope = scope
        self._receive = receive
        self._send = send
        self.headers: Mapping[str, str] = decode_headers(scope["headers"]) if headers is None else headers
        self.request_id = request_id
        self.method = scope["method"]
        self.path = scope["path"]
        self.path_params = path_params
        self.required_scope = required_scope
        self._base_headers = base_headers
        self._write_limit_s = write_limit_s
        self._lookout = lookout
        self.body_read = self.method in {"GET", "HEAD"}
        self._untouched = not self.body_read
        self.started = self.finished = self.left = False
        self._query: Mapping[str, str] | None = None
        self._on_body: Callable[[], None] | None = None
        self._beat: Beat | None = None
        self._writing = False
        self._offered: Left | None = None
        self._last_sent_s = 0.0
        self._unyielded_bytes = 0

    # -- the request

    @property
    def query(self) -> Mapping[str, str]:
        """The first value of each name. Raises InvalidRequest for more names than any sound request has."""
        if self._query is None:
            raw = self._scope["query_string"]
            self._query = _read_query(raw) if raw else {}
        return self._query

    @property
    def client_host(self) -> str:
        """The address of whoever is connected: a proxy's, when there is one."""
        client = self._scope["client"]
        return client[0] if client else ""

    async def read_body(self, max_bytes: int, timeout_s: float) -> bytes:
        """The whole body, decoded; once. Raises as `runtime.web.body.read_body` does."""
        self._untouched = False
        try:
            body = await read_body(self._receive, self.headers, max_bytes, timeout_s)
        except asyncio.CancelledError:
            self._untouched = True
            raise
        self.body_read = True
        if self._on_body is not None:
            self._on_body()
        return body

    async def pieces(self, max_bytes: int, idle_s: float) -> AsyncGenerator[bytes, None]:
        """The body as it arrives; once. Raises as `runtime.web.body.pieces_of_body` does."""
        self._untouched = False
        async for piece in pieces_of_body(self._receive, self.headers, max_bytes, idle_s):
            self._untouched = True  # as far as the rest goes, which whoever has this piece may not want
            yield piece
            self._untouched = False
        self.body_read = True
        if self._on_body is not None:
            self._on_body()

    # -- the answer

    def stamp(self, name: bytes, value: str) -> None:
        """Whatever the answer will be, error or not, it carries this header, unless it brings its own of that name."""
        self._base_headers = (*self._base_headers, (name, value.encode("latin-1")))

    async def respond(self, status: int, headers: Iterable[tuple[str, str]], body: bytes) -> None:
        """The whole answer. Content-Length is added. Raises ClientClosed when nobody is there to get it.

        A body that nobody wanted is let come first, for a moment: `runtime.web.body.linger` says why.
        """
        if (rest := self.responded(status, headers, body)) is not None:
            await rest

    def responded(
        self, status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> Coroutine[object, object, None] | None:
        """`respond`: None where it is done, as nearly always, else what is left of it, to be awaited."""
        if self._untouched:
            self._untouched = False
            if (rest := lingering(self._receive, self.headers, UNWANTED_S)) is not None:
                return self._respond_after(rest, status, headers, body)
        head = self._head(headers)
        if status >= 200 and status != 204:
            head.append((b"content-length", b"%d" % len(body)))
        if self.method == "HEAD":
            body = b""
        rest = self._begin(status, head)
        return self._end(body) if rest is None else self._end_after(rest, body)

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        """The head of an answer whose length is not known. Raises ClientClosed."""
        if (rest := self._begin(status, self._head(headers))) is not None:
            await rest

    async def send(self, data: bytes) -> None:
        """A piece of the answer, sent at once. Waits while the client does not read. Raises ClientClosed."""
        if (rest := self.pass_on(data)) is not None:
            await rest

    def pass_on(self, data: bytes) -> Coroutine[object, object, None] | None:
        """`send` of one of many pieces: None where it is done, as nearly always, else what is left of it, to be awaited."""
        if self._offered is not None:
            return self._behind(self._offered, data)
        if not data or self.method == "HEAD":
            return None
        rest = self._put({"type": "http.response.body", "body": data, "more_body": True})
        self._unyielded_bytes += len(data)
        if rest is not None or self._unyielded_bytes >= YIELD_BYTES:
            return self._passed_on(rest)
        if self._beat is not None:
            self._last_sent_s = self._beat.now()
        return None

    def offer(self, data: bytes) -> bytes | None:
        """`pass_on` for who cannot wait: None where it is done, else what is to be passed on by who can, before anything else.

        That is ``data``, or nothing where only the waiting is left.
        """
        if not data or self.method == "HEAD":
            return None
        beat = self._beat
        unyielded = self._unyielded_bytes + len(data)
        if self.left or unyielded >= YIELD_BYTES or (beat is not None and beat.sending is not None):
            return data
        try:
            left = started(self._send({"type": "http.response.body", "body": data, "more_body": True}))
        except OSError:
            self.left = True
            return data
        self._unyielded_bytes = unyielded
        if left is not None:
            self._offered, self._writing = left, True
            return b""
        if beat is not None:
            self._last_sent_s = beat.now()
        return None

    async def finish(self) -> None:
        """The end of a complete answer. To abandon one, return without it: the client then sees that it was cut."""
        if (rest := self._end(b"")) is not None:
            await rest

    # -- while it lasts

    async def watch_disconnect(self) -> None:
        """Return as soon as the client has left, or the answer is complete. Only once the body was read."""
        while not self.left:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                if self.finished:
                    return
                self.left = True

    def while_connected(self, task: asyncio.Task[object] | None = None) -> WhileConnected:
        """Cancel the block, which ``task`` runs, soon after the client leaves, and raise ClientClosed in place of the cancellation.

        Watching begins within WATCH_AFTER_S after the body was read, not at once, so that a quick answer does not pay for it
        (`read_body` itself notices a client that leaves before). What the block does in its `finally` runs, and may wait.
        """
        return WhileConnected(self, self._lookout or Lookout(), task or asyncio.current_task())

    def when_read(self, begin: Callable[[], None] | None) -> None:
        """Call ``begin`` once the body was read: now, where it was. None: call nobody."""
        self._on_body = begin
        if self.body_read and begin is not None:
            begin()

    @contextmanager
    def keep_alive(self, data: bytes | None, silence_s: float) -> Generator[None, None, None]:
        """Send ``data`` whenever nothing was sent for ``silence_s`` after the start. None or zero: never.

        Whatever else is sent inside the block must end where ``data`` may stand.
        """
        if not data or silence_s <= 0:
            yield
            return

        async def send() -> None:
            if (left := self._write({"type": "http.response.body", "body": data, "more_body": True})) is not None:
                await self._written(left)
            self._last_sent_s = asyncio.get_running_loop().time()

        self._beat = Beat(send, self._silent_s, silence_s)
        self._last_sent_s = self._beat.now()
        try:
            yield
        finally:
            self._beat.stop()
            self._beat = None

    # -- inside

    def _head(self, headers: Iterable[tuple[str, str]]) -> list[tuple[bytes, bytes]]:
        head = encode_headers(headers, self.request_id)
        given = dict(head)
        for pair in self._base_headers:
            if pair[0] not in given:
                head.append(pair)
        return head

    def _begin(self, status: int, head: list[tuple[bytes, bytes]]) -> Coroutine[object, object, None] | None:
        if self.started:
            raise RuntimeError("the answer was already started")
        self.started = True
        if self._beat is not None:
            self._last_sent_s = self._beat.now()
        return self._put({"type": "http.response.start", "status": status, "headers": head})

    async def _respond_after(
        self, rest: Coroutine[object, object, None], status: int, headers: Iterable[tuple[str, str]], body: bytes
    ) -> None:
        await rest
        await self.respond(status, headers, body)

    async def _end_after(self, rest: Coroutine[object, object, None], body: bytes) -> None:
        await rest
        if (end := self._end(body)) is not None:
            await end

    def _end(self, body: bytes) -> Coroutine[object, object, None] | None:
        self.finished = True
        return self._put({"type": "http.response.body", "body": body, "more_body": False})

    async def _behind(self, left: Left, data: bytes) -> None:
        """``data`` goes out behind what was offered and is ``left``."""
        self._offered = None
        await self._written(left)
        if self._beat is not None:
            self._last_sent_s = self._beat.now()
        await self.send(data)

    async def _passed_on(self, rest: Coroutine[object, object, None] | None) -> None:
        if rest is not None:
            await rest
        if self._beat is not None:
            self._last_sent_s = self._beat.now()
        if self._unyielded_bytes >= YIELD_BYTES:
            self._unyielded_bytes = 0
            await asyncio.sleep(0)

    def _put(self, message: OutMessage) -> Coroutine[object, object, None] | None:
        """Send ``message``: None where that is done, else what is left of it, to be awaited. Raises ClientClosed."""
        if self._beat is not None and self._beat.sending is not None:  # the client has not taken it yet
            return self._put_behind(self._beat, message)
        left = self._write(message)
        return None if left is None else self._written(left)

    async def _put_behind(self, beat: Beat, message: OutMessage) -> None:
        while beat.sending is not None:
            await asyncio.wait((beat.sending,))
        if (left := self._write(message)) is not None:
            await self._written(left)

    def _write(self, message: OutMessage) -> Left | None:
        """Begin to send ``message``: None where that is done, else what is left, for `_written`. Raises ClientClosed."""
        if self.left:
            raise ClientClosed
        try:
            return started(self._send(message))
        except OSError as error:
            self.left = True
            raise ClientClosed from error

    async def _written(self, left: Left) -> None:
        self._writing = True
        try:
            await waited(self._write_limit_s, left)
        # A TimeoutError is one; other servers than Granian say "Disconnected client" so (ASGI 2.4).
        except OSError as error:
            self.left = True
            raise ClientClosed from error
        finally:
            self._writing = False
        if self.left:
            raise ClientClosed

    def _silent_s(self) -> float | None:
        """For how long nothing was sent; None where nothing may be sent now."""
        if not self.started or self.finished or self._writing:
            return None
        return asyncio.get_running_loop().time() - self._last_sent_s


def _read_query(raw: bytes) -> Mapping[str, str]:
    try:
        pairs = parse_qsl(raw.decode("latin-1"), keep_blank_values=True, max_num_fields=MAX_QUERY_FIELDS)
    except ValueError:
        raise InvalidRequest(f"the query has more than {MAX_QUERY_FIELDS} fields") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
