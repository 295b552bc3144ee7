"""Facts about wire protocols that are tables rather than code; `generated.protocols` fills them from `schemas/protocols`."""

from __future__ import annotations

from typing import Literal

import msgspec

from runtime.catalog.model import Range

__all__ = ["ErrorRule", "ErrorShape", "WireProtocol"]


class ErrorShape(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How a client of this protocol is told of an error: ``kind`` is `GatewayError.kind`."""

    kind: str
    status: int
    type: str
    code: str | None = None


class ErrorRule(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """How an upstream's error is recognised: every condition that is given must hold, the first rule that fits decides.

    ``texts`` are lower-case pieces of the message, one of which must occur.
    """

    kind: str
    statuses: tuple[int, ...] = ()
    codes: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()


class WireProtocol(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """One wire protocol.

    Attributes:
        version: the vendor's version this project follows; ``accepts`` are others that clients may name.
        framing: how a stream's pieces are told apart, None where nothing is streamed; ``terminator`` the last data frame, if the protocol has one.
        events: a stream event's name to the type of its payload.
        order: the grammar of a stream: a regular expression over event names, each followed by one space.
        finish_in, finish_out: the vendor's finish reason to the canonical one, and back.
        budgets: a canonical effort word to the token budget that stands for it.
        ranges: the numbers that a request field takes, where the protocol says so.
        usage: a canonical usage field to the paths in the answer it is read from.
        errors: what clients are told; rules: how upstreams' errors are recognised.
    """

    name: str
    title: str
    vendor: str
    version: str
    source: str
    accepts: tuple[str, ...] = ()
    framing: Literal["sse", "sse_named", "ndjson"] | None = None
    terminator: str | None = None
    events: dict[str, str] = {}
    order: str = ""
    finish_in: dict[str, str] = {}
    finish_out: dict[str, str] = {}
    budgets: dict[str, int] = {}
    ranges: dict[str, Range] = {}
    usage: dict[str, tuple[str, ...]] = {}
    errors: tuple[ErrorShape, ...] = ()
    rules: tuple[ErrorRule, ...] = ()
