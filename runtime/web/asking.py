"""Which call is being answered, for what is written down about it far below: its id, and where it came from."""

from __future__ import annotations

from contextvars import ContextVar

import msgspec

__all__ = ["Asking", "Askings"]


class Asking(msgspec.Struct, frozen=True, kw_only=True):
    """``ip`` is the address of whoever is connected: a proxy's, when there is one."""

    request_id: str = ""
    ip: str = ""


class Askings:
    """One per process, told by the routes. Outside a call nobody asks."""

    def __init__(self) -> None:
        self._now: ContextVar[Asking | None] = ContextVar("asking", default=None)

    def note(self, request_id: str, ip: str) -> None:
        """This is the call that the current task answers."""
        self._now.set(Asking(request_id=request_id, ip=ip))

    def now(self) -> Asking:
        """The call that the current task answers."""
        return self._now.get() or Asking()
