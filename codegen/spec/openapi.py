"""What `schemas/openapi/**.yaml` may contain: the subset of OpenAPI 3.1 that compiles to routes and services."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from codegen.spec.schema import Schema

__all__ = [
    "Components",
    "Header",
    "Info",
    "MediaType",
    "OpenApiFile",
    "Operation",
    "Parameter",
    "PathItem",
    "RequestBody",
    "Response",
    "Server",
    "Tag",
]


class Info(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the document is about; only the root file has it."""

    title: str
    version: str
    summary: str | None = None
    description: str | None = None


class Server(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    url: str
    description: str | None = None


class Tag(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    description: str | None = None


class MediaType(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body of one content type; ``schema`` is absent where it is opaque."""

    schema: Schema | None = None
    example: Any = msgspec.UNSET


class RequestBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    description: str | None = None
    required: bool = False
    content: dict[str, MediaType] = {}


class Header(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A response header, or a reference to a shared one."""

    ref: str | None = msgspec.field(name="$ref", default=None)
    description: str | None = None
    required: bool = False
    schema: Schema | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A response, or a reference to a shared one."""

    ref: str | None = msgspec.field(name="$ref", default=None)
    description: str | None = None
    headers: dict[str, Header] = {}
    content: dict[str, MediaType] = {}


class Parameter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A parameter, or a reference to a shared one."""

    ref: str | None = msgspec.field(name="$ref", default=None)
    name: str | None = None
    in_: Literal["path", "query", "header"] | None = msgspec.field(name="in", default=None)
    description: str | None = None
    required: bool = False
    schema: Schema | None = None
    example: Any = msgspec.UNSET
    slashes: Annotated[bool, Meta(description="A path parameter that takes the rest of the path.")] = msgspec.field(
        name="x-slashes", default=False
    )


class Operation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One method of a path."""

    operation_id: str = msgspec.field(name="operationId")
    summary: str
    description: str | None = None
    tags: tuple[str, ...] = ()
    parameters: tuple[Parameter, ...] = ()
    request_body: RequestBody | None = msgspec.field(name="requestBody", default=None)
    responses: dict[str, Response] = {}
    scope: Annotated[str, Meta(description="The scope a key needs, or `public`.")] = msgspec.field(name="x-scope")
    raw: Annotated[str | None, Meta(description="Served as raw ASGI; the protocol that is spoken.")] = msgspec.field(
        name="x-raw", default=None
    )
    caller: Annotated[bool, Meta(description="The service's method is told whose key it was.")] = msgspec.field(
        name="x-caller", default=False
    )
    operator: Annotated[
        bool, Meta(description="It concerns all tenants: keys of others than the operator's are refused.")
    ] = msgspec.field(name="x-operator", default=False)


class PathItem(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The operations of one path."""

    under: Annotated[
        Literal["prefixes", "root", "both"],
        Meta(description="Whether the path stands below each of `x-prefixes`, at the root, or both."),
    ] = msgspec.field(name="x-under", default="prefixes")
    prefixes: Annotated[
        tuple[str, ...] | None,
        Meta(description="The prefixes of this path, in place of its file's and the root's."),
    ] = msgspec.field(name="x-prefixes", default=None)
    summary: str | None = None
    description: str | None = None
    parameters: tuple[Parameter, ...] = ()
    get: Operation | None = None
    post: Operation | None = None
    put: Operation | None = None
    patch: Operation | None = None
    delete: Operation | None = None
    head: Operation | None = None


class Components(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    schemas: dict[str, Schema] = {}
    parameters: dict[str, Parameter] = {}
    responses: dict[str, Response] = {}
    headers: dict[str, Header] = {}
    security_schemes: dict[str, dict[str, Any]] = msgspec.field(name="securitySchemes", default={})


class OpenApiFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One resource, or the root `gateway.yaml` with `info`, `servers` and `x-prefixes`."""

    version: Annotated[int, Meta(description="The version of this kind of file.")]
    openapi: str | None = None
    info: Info | None = None
    servers: tuple[Server, ...] = ()
    tags: tuple[Tag, ...] = ()
    security: tuple[dict[str, tuple[str, ...]], ...] = ()
    prefixes: Annotated[
        tuple[str, ...] | None,
        Meta(
            description="Path prefixes below which a file's operations are reached; the root's are for all other files."
        ),
    ] = msgspec.field(name="x-prefixes", default=None)
    dialects: Annotated[
        dict[str, str],
        Meta(
            description="Path prefixes to the protocol that is spoken below them, to refuse unknown paths in; the root's only."
        ),
    ] = msgspec.field(name="x-dialects", default={})
    paths: dict[str, PathItem] = {}
    components: Components = Components()
