"""What `schemas/protocols/<protocol>.yaml` may contain: the facts of `runtime.catalog.WireProtocol`, and types."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from codegen.spec.schema import Schema
from runtime.catalog import ErrorRule, ErrorShape, Range

__all__ = ["FinishTable", "ProtocolFile", "StreamGrammar"]


class StreamGrammar(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a stream is made of."""

    events: Annotated[dict[str, str], Meta(description="A stream event's name to the type of its payload.")] = {}
    order: Annotated[str, Meta(description="A regular expression over event names, each followed by one space.")] = ""


class FinishTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The vendor's finish reasons to the canonical ones, and back."""

    in_: dict[str, str] = msgspec.field(name="in", default={})
    out: dict[str, str] = {}


class ProtocolFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One wire protocol: the vendor's version it follows, its facts as tables, its types."""

    version: Annotated[int, Meta(description="The version of this kind of file.")]
    name: Annotated[str, Meta(description="Equal to the file's name.")]
    title: str
    vendor: str
    vendor_version: Annotated[str, Meta(description="The vendor's version this project follows.")]
    source: Annotated[str, Meta(description="Where the vendor describes it.")]
    accepts: Annotated[tuple[str, ...], Meta(description="Other versions that clients may name.")] = ()
    framing: Annotated[
        Literal["sse", "sse_named", "ndjson"] | None,
        Meta(description="How the pieces of a stream are told apart; absent where nothing is streamed."),
    ] = None
    terminator: Annotated[str | None, Meta(description="The last data frame, if there is one.")] = None
    stream: StreamGrammar = StreamGrammar()
    finish: FinishTable = FinishTable()
    budgets: Annotated[
        dict[str, int], Meta(description="A canonical effort word to the token budget that stands for it.")
    ] = {}
    ranges: Annotated[dict[str, Range], Meta(description="The numbers a request field takes.")] = {}
    usage: Annotated[
        dict[str, tuple[str, ...]],
        Meta(description="A canonical usage field to the paths in the answer it is read from."),
    ] = {}
    errors: Annotated[tuple[ErrorShape, ...], Meta(description="What clients are told.")] = ()
    rules: Annotated[tuple[ErrorRule, ...], Meta(description="How upstreams' errors are recognised, first fit.")] = ()
    types: dict[str, Schema] = {}
