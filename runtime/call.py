"""What goes into the gateway and what comes out of it: values, without behaviour."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from types import MappingProxyType

import msgspec

from runtime.protocols.base import ClientCodec, Envelope
from runtime.protocols.embedding import Embedder
from runtime.telemetry import CallRecord
from runtime.web.key import KeyRecord

__all__ = ["Call", "Complete", "Count", "EmbedCall", "Streaming"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """One client request: whose, in which dialect, and the record of it that grows. ``headers`` are lower-case.

    ``shown`` is how the answer calls the model, where the client's name for it is not the public one. ``keeps``: the answer
    may be given to others, so that it has to be known whether it is at its end.
    """

    codec: ClientCodec
    envelope: Envelope
    headers: Mapping[str, str]
    key: KeyRecord
    record: CallRecord
    shown: str | None = None
    keeps: bool = False


class EmbedCall(msgspec.Struct, frozen=True, kw_only=True):
    """One client request for vectors: whose, in which protocol, and the record of it that grows; ``shown`` as for `Call`.

    ``aside``: we ask on the way to another answer, so that it is no request of the client's own.
    """

    embedder: Embedder
    envelope: Envelope
    key: KeyRecord
    record: CallRecord
    shown: str | None = None
    headers: Mapping[str, str] = MappingProxyType({})
    aside: bool = False


class Complete(msgspec.Struct, frozen=True, kw_only=True):
    """``ended`` is False where a call `keeps` its answer and whoever gave it did not say that it is at its end."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    ended: bool = True


class Streaming(msgspec.Struct, frozen=True, kw_only=True):
    """``chunks`` must be closed by whoever iterates it: that closes the upstream and ends the record."""

    headers: tuple[tuple[str, str], ...]
    content_type: str
    keep_alive: bytes | None
    chunks: AsyncGenerator[bytes, None]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """``estimated``: by a tokenizer of ours, because the provider cannot count."""

    tokens: int
    estimated: bool
