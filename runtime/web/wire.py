"""The part of ASGI 3 that is used here, typed: what a server hands in and what it takes.

Litestar's own types hold more than that, some of it untyped; `raw` turns the one into the other.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import NotRequired, TypeAlias, TypedDict

__all__ = ["HttpScope", "InMessage", "OutMessage", "Receive", "Send"]


class HttpScope(TypedDict):
    """The head of a request. ``path`` is percent-decoded."""

    type: str
    method: str
    path: str
    query_string: bytes
    headers: Iterable[tuple[bytes, bytes]]
    client: tuple[str, int] | None
    path_params: NotRequired[dict[str, str]]


class InMessage(TypedDict):
    """`http.request` or `http.disconnect`."""

    type: str
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


class OutMessage(TypedDict):
    """`http.response.start` or `http.response.body`."""

    type: str
    status: NotRequired[int]
    headers: NotRequired[list[tuple[bytes, bytes]]]
    body: NotRequired[bytes]
    more_body: NotRequired[bool]


Receive: TypeAlias = Callable[[], Awaitable[InMessage]]
Send: TypeAlias = Callable[[OutMessage], Awaitable[None]]
