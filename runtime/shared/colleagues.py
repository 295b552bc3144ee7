"""Questions to all workers, and news for them: what one of them knows or is told, whichever is asked.

Costs nothing until somebody asks. A worker says once a second that it is there, listens four times a second, and answers
what it knows; whoever asked waits for those that are there, and says how many of them answered. Where the shared state
cannot be reached, a worker knows what it knows itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import msgspec

from runtime.shared.base import SharedError, SharedState

__all__ = ["Answers", "Colleagues"]

NEWS_S: Final = 0.25
PRESENT_S: Final = 1.0
ABSENT_S: Final = 3.5
"""A worker that was not heard of for so long is gone."""

ANSWER_S: Final = 1.5
KEPT_S: Final = 10.0

_NEWS: Final = "colleagues"
_PRESENT: Final = "colleagues.present"
_ANSWERS: Final = "colleagues.answers"

Told = Callable[[bytes], bytes | None]
"""What is done with a message; what it gives is the answer where one was asked for."""


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """Our own answer is among them, where we have one. ``workers`` were asked, ``heard`` of them answered in time."""

    answers: tuple[bytes, ...]
    workers: int
    heard: int


class _Message(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    sender: str
    kind: str
    body: bytes
    question: str = ""


class Colleagues:
    """``own_id`` is this worker's, ``new_id`` makes a question's. ``told`` says what is done with each kind of message.

    What that raises for somebody else's message, of another release perhaps, is for ``on_fault``; we listen on.
    """

    def __init__(
        self,
        shared: SharedState,
        own_id: str,
        new_id: Callable[[], str],
        told: Mapping[str, Told],
        on_fault: Callable[[Exception, str], None] = lambda _error, _id: None,
    ) -> None:
        self._shared = shared
        self._own_id = own_id
        self._new_id = new_id
        self._told = told
        self._on_fault = on_fault
        self._listening = asyncio.Event()

    async def listening(self) -> None:
        """Until this worker hears what is told from now on, and is asked; or knows that it cannot."""
        await self._listening.wait()

    async def ask(self, kind: str, body: bytes) -> Answers:
        """What everybody answers, ourselves included."""
        own = self._told[kind](body)
        answers = [] if own is None else [own]
        question = self._new_id()
        try:
            others = await self._present()
            if others:
                await self._send(_Message(sender=self._own_id, kind=kind, body=body, question=question))
            heard = await self._collect(question, len(others))
        except SharedError:
            return Answers(answers=tuple(answers), workers=1, heard=1)
        answers += [answer[1:] for answer in heard if answer[:1] == b"+"]
        return Answers(answers=tuple(answers), workers=len(others) + 1, heard=len(heard) + 1)

    async def tell(self, kind: str, body: bytes) -> int:
        """Let the others know, and do it here; how many others there are.

        Raises SharedError when they cannot be told: then it is not done here either.
        """
        others = await self._present()
        if others:
            await self._send(_Message(sender=self._own_id, kind=kind, body=body))
        self._told[kind](body)
        return len(others)

    async def listen(self) -> None:
        """Until it is cancelled: be there, and answer."""
        loop = asyncio.get_running_loop()
        cursor: int | None = None
        present_s = float("-inf")
        while True:
            try:
                if loop.time() >= present_s + PRESENT_S:
                    await self._shared.put(_PRESENT, self._own_id, b"", ABSENT_S)
                    present_s = loop.time()
                news = await self._shared.news(_NEWS, cursor)
                cursor = news.cursor
                for message in news.messages:
                    await self._hear(message)
            except SharedError:
                cursor = None
            self._listening.set()
            await asyncio.sleep(NEWS_S)

    async def _present(self) -> list[str]:
        return [key for key, _ in await self._shared.entries(_PRESENT) if key != self._own_id]

    async def _send(self, message: _Message) -> None:
        await self._shared.tell(_NEWS, msgspec.msgpack.encode(message))

    async def _hear(self, raw: bytes) -> None:
        try:
            message = msgspec.msgpack.decode(raw, type=_Message)
        except msgspec.MsgspecError:  # from another release
            return
        if message.sender == self._own_id or message.kind not in self._told:
            return
        try:
            answer = self._told[message.kind](message.body)
        except Exception as error:  # noqa: BLE001 — a worker that stopped listening would be deaf to all that comes after
            self._on_fault(error, "")
            answer = None
        if message.question:
            key = f"{message.question}.{self._own_id}"
            await self._shared.put(_ANSWERS, key, b"-" if answer is None else b"+" + answer, KEPT_S)

    async def _collect(self, question: str, wanted: int) -> list[bytes]:
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + ANSWER_S
        while True:
            found = await self._shared.entries(_ANSWERS, f"{question}.") if wanted else []
            if len(found) >= wanted or loop.time() >= deadline_s:
                return [answer for _, answer in found]
            await asyncio.sleep(NEWS_S / 5)
