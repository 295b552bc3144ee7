"""What is served, of the middle: operations, grouped by the resource that one service implements."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from codegen.ir.types import Node, Type
from runtime.source import Span

__all__ = ["Api", "Body", "Content", "Header", "Operation", "Parameter", "Resource", "Response", "Verb"]

Verb: TypeAlias = Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"]


class Content(Node, frozen=True, kw_only=True):
    """A body of one media type; ``type`` is None where it is opaque."""

    media_type: str
    type: Type | None = None


class Header(Node, frozen=True, kw_only=True):
    name: str
    description: str | None = None
    required: bool = False
    type: Type


class Response(Node, frozen=True, kw_only=True):
    status: str
    description: str
    headers: tuple[Header, ...] = ()
    content: tuple[Content, ...] = ()


class Body(Node, frozen=True, kw_only=True):
    description: str | None = None
    required: bool = False
    content: tuple[Content, ...] = ()


class Parameter(Node, frozen=True, kw_only=True):
    """``slashes``: a path parameter that takes the rest of the path. ``default`` is plain JSON, UNSET if none."""

    wire: str
    name: str
    place: Literal["path", "query", "header"]
    description: str | None = None
    required: bool = False
    slashes: bool = False
    type: Type
    default: object = msgspec.UNSET
    example: object = msgspec.UNSET
    span: Span


class Operation(Node, frozen=True, kw_only=True):
    """One method of a path.

    ``name`` is the service's method; ``paths`` are all spellings of the path, the first of them the one to document.
    ``protocol`` is the dialect of an operation that is served raw, `negotiated` if its client decides, `problem` where it
    is no vendor's; None: it is typed.
    ``caller``: the method of a typed one is told whose key it was. ``operator``: a typed one is for the operator's keys only.
    """

    id: str
    name: str
    verb: Verb
    paths: tuple[str, ...]
    summary: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    scope: str
    protocol: str | None = None
    caller: bool = False
    operator: bool = False
    parameters: tuple[Parameter, ...] = ()
    body: Body | None = None
    responses: tuple[Response, ...] = ()
    span: Span


class Resource(Node, frozen=True, kw_only=True):
    """The operations of one file. ``service`` is the class of what implements them."""

    name: str
    service: str
    operations: tuple[Operation, ...]
    source: str
    span: Span


class Api(Node, frozen=True, kw_only=True):
    """What the document says of itself.

    ``schemes`` are the ways to present a key, described in OpenAPI's words. ``dialects`` maps path prefixes to the protocol in
    which unknown paths below them are refused, or `negotiated`; the longest first.
    """

    title: str
    version: str
    summary: str | None = None
    description: str | None = None
    servers: tuple[tuple[str, str | None], ...] = ()
    tags: tuple[tuple[str, str | None], ...] = ()
    prefixes: tuple[str, ...] = ()
    dialects: tuple[tuple[str, str], ...] = ()
    schemes: tuple[tuple[str, dict[str, object]], ...] = ()
    source: str
    span: Span
