"""An answer on its way to the client is kept before its end leaves, so that no follow-up can miss it.

Watches the bytes that the client gets, whole or as a stream, whoever wrote them: a codec or the provider itself. They are
changed only where the object must say what the provider cannot know: the response it continues, and whether it was kept.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Final, Literal

import msgspec

from runtime.gateway import Complete, Streaming
from runtime.protocols.framing import CR, SseReader
from runtime.protocols.splice import replace
from runtime.replay.kept import opened
from runtime.services.response_object import Changes, Lifecycle, name_items, read_event, read_head, with_fields
from runtime.services.response_request import Asking
from runtime.stores.base import ResponseStore, StoredResponse, StoreError

__all__ = ["Frames", "Keeping"]

_BLANK_LINE: Final = re.compile(rb"(?:\r\n|\n|\r(?!\n)){2}")
_WATCHED: Final = re.compile(
    rb'"type"\s*:\s*"response\.(?:created|queued|in_progress|completed|incomplete|failed|output_item\.done)"'
)
_ENDS: Final = frozenset({"response.completed", "response.incomplete", "response.failed"})


class Frames:
    """Cuts a stream into whole frames, as the bytes they came in."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The frames that ``data`` completes. A run of frames that nobody watches stays in one piece."""
        if not self._held and data.endswith(b"\n\n") and _WATCHED.search(data) is None:
            return [data]
        data = self._held + data
        frames: list[bytes] = []
        start = 0
        for end in _ends(data):
            frames.append(data[start:end])
            start = end
        self._held = data[start:]
        return frames

    def rest(self) -> bytes:
        """What no blank line ended."""
        rest, self._held = self._held, b""
        return rest


def _ends(data: bytes) -> Iterator[int]:
    """Behind each blank line. Most streams know no CR, and an answer may be megabytes in one line: `find` takes a hundredth of the time."""
    if CR in data:
        yield from (blank.end() for blank in _BLANK_LINE.finditer(data))
        return
    end = data.find(b"\n\n")
    while end >= 0:
        yield end + 2
        end = data.find(b"\n\n", end + 2)


class Keeping:
    """One answer. ``owner`` is whose it is; one that comes with the id ``chosen``, which may come again, gets another.

    Where the store fails, the answer goes out all the same and says that it was not kept.
    """

    def __init__(
        self,
        store: ResponseStore | None,
        asking: Asking,
        *,
        owner: str,
        chosen: str | None,
        created_s: float,
        new_id: Callable[[], str],
        on_fault: Callable[[Exception], None],
    ) -> None:
        self._store = store if asking.keep else None
        self._asking = asking
        self._owner = owner
        self._created_s = created_s
        self._new_id = new_id
        self._on_fault = on_fault
        self._changes: Changes = {} if asking.previous is None else {"previous_response_id": asking.previous}
        self._chosen = chosen
        self._own: Changes = self._changes if chosen is None else {**self._changes, "id": f"resp_{new_id()}"}
        self._begun: bytes | None = None
        self._items: list[msgspec.Raw] = []
        self._ended = False

    async def take(self, reply: Complete | Streaming) -> Complete | Streaming:
        """``reply`` as it shall go out; a whole one is kept already."""
        if isinstance(reply, Streaming):
            return msgspec.structs.replace(reply, chunks=await opened(self._stream(reply.chunks)))
        if read_head(reply.body) is None:
            return reply
        return msgspec.structs.replace(reply, body=await self._keep(self._edited(reply.body)))

    async def _stream(self, chunks: AsyncGenerator[bytes, None]) -> AsyncGenerator[bytes, None]:
        frames = Frames()
        left: Literal["failed", "cancelled"] = "cancelled"
        try:
            async with aclosing(chunks):
                yield b""
                async for data in chunks:
                    if out := b"".join([await self._passed(frame) for frame in frames.feed(data)]):
                        yield out
            if rest := frames.rest():
                yield await self._passed(rest)
            left = "failed"
        finally:
            await self._abandon(left)

    async def _passed(self, frame: bytes) -> bytes:
        """One frame, or several that nobody watches."""
        if _WATCHED.search(frame) is None:
            return frame
        reader = SseReader()
        for said in (*reader.feed(frame), *reader.close()):
            event = read_event(said.data)
            if event is None:
                continue
            if isinstance(event.item, msgspec.Raw):
                self._items.append(event.item)
            elif isinstance(event.response, msgspec.Raw) and read_head(event.response) is not None:
                body = await self._seen(event, bytes(event.response))
                if body != bytes(event.response):
                    name = f"event: {said.event}\n".encode() if said.event else b""
                    return name + b"data: " + replace(said.data, ("response",), msgspec.Raw(body)) + b"\n\n"
        return frame

    async def _seen(self, event: Lifecycle, response: bytes) -> bytes:
        response = self._edited(response)
        if self._ended:  # what comes behind an end takes nothing back
            return response
        if event.type in _ENDS:
            self._ended = True
            return await self._keep(response)
        self._begun = response
        return response

    def _edited(self, response: bytes) -> bytes:
        changes = self._changes
        if self._chosen is not None and (head := read_head(response)) is not None and head.id == self._chosen:
            changes = self._own
        return with_fields(response, changes) if changes else response

    async def _abandon(self, status: Literal["failed", "cancelled"]) -> None:
        """The answer stops before its end: what was seen of it is kept as that, so that its id leads somewhere."""
        if self._ended or self._begun is None:
            return
        output = msgspec.Raw(msgspec.json.encode(self._items))
        error = msgspec.Raw(b'{"code":"server_error","message":"The answer was cut."}') if status == "failed" else None
        await self._keep(with_fields(self._begun, {"status": status, "output": output, "error": error}))

    async def _keep(self, response: bytes) -> bytes:
        if self._store is None:
            return response
        head = read_head(response)
        assert head is not None, "only what has a head comes here"
        stored = StoredResponse(
            owner=self._owner, id=head.id, status=head.end, created_s=self._created_s, body=response
        )
        try:
            output = name_items(head.output, self._new_id)
            # A client that leaves now must not take with it what its next call may continue.
            await asyncio.shield(self._store.put(stored, self._asking.context, output))
        except (StoreError, msgspec.DecodeError) as error:
            self._on_fault(error)
            return with_fields(response, {"store": False})
        return response
