"""OpenAPI files to the middle: components become modules of types, paths become the operations of resources.

Refuses an operation that does not say which scope a key needs (its spec does), one that cannot be served as written, and
names that point nowhere. A shared response or parameter is resolved here, so that the middle has no references but to types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, cast

from codegen.ir import Declaration, Inline, ListOf, MapOf, Module, OneOf, Text, Type
from codegen.ir.operations import Api, Body, Content, Header, Operation, Parameter, Resource, Response, Verb
from codegen.link import Links
from codegen.load import Inputs, Source
from codegen.lower.rules import NEGOTIATED, PUBLIC, Rules, check_dialects, check_distinct, check_prefixes
from codegen.lower.types import lower_type, lower_types
from codegen.naming import class_name, python_name
from codegen.spec import OpenApiFile, Schema
from codegen.spec import openapi as spec
from runtime.source import Diagnostics, MappingNode, Node, SequenceNode, locate

__all__ = ["NEGOTIATED", "PUBLIC", "ROOT", "lower_api", "lower_components", "lower_resources"]

ROOT: Final = "schemas/openapi/gateway.yaml"

_VERBS: Final[tuple[tuple[str, Verb], ...]] = (
    ("get", "GET"), ("post", "POST"), ("put", "PUT"), ("patch", "PATCH"), ("delete", "DELETE"), ("head", "HEAD"),
)  # fmt: skip

Shared = TypeVar("Shared", spec.Response, spec.Parameter, spec.Header)


def lower_api(inputs: Inputs, diagnostics: Diagnostics) -> Api | None:
    """What the root file says of the whole. None without OpenAPI files, or with a fault that was reported."""
    root = next((source for source in inputs.openapi if source.path == ROOT), None)
    if root is None:
        if inputs.openapi and ROOT not in inputs.nodes:
            first = inputs.openapi[0]
            diagnostics.error("missing-field", first.node.span, f"there is no {ROOT} with info and x-prefixes")
        return None
    info = root.spec.info
    if info is None:
        diagnostics.error("missing-field", root.node.span, "the root file lacks the field 'info'", "write `info: …`")
        return None
    prefixes = root.spec.prefixes or ()
    if root.spec.prefixes is not None:
        check_prefixes(prefixes, root.node, diagnostics)
    dialects = dict.fromkeys(prefixes, NEGOTIATED) | root.spec.dialects
    api = Api(
        title=info.title,
        version=info.version,
        summary=info.summary,
        description=info.description,
        servers=tuple((server.url, server.description) for server in root.spec.servers),
        tags=tuple((tag.name, tag.description) for tag in root.spec.tags),
        prefixes=prefixes,
        dialects=tuple(sorted(dialects.items(), key=lambda pair: (-len(pair[0]), pair[0]))),
        schemes=tuple(root.spec.components.security_schemes.items()),
        source=root.path,
        span=root.node.span,
    )
    check_dialects(inputs, root.node, prefixes, root.spec.dialects, diagnostics)
    return api


def lower_components(
    sources: Iterable[Source[OpenApiFile]], links: Links, diagnostics: Diagnostics
) -> tuple[Module, ...]:
    """The types of every file that has some."""
    modules: list[Module] = []
    for source in sources:
        table = _at(source.node, "components", "schemas")
        if not isinstance(table, MappingNode) or not source.spec.components.schemas:
            continue
        types: tuple[Declaration, ...] = lower_types(
            source.spec.components.schemas, table, source.path, links, diagnostics
        )
        title = f"Types of the {source.stem} operations."
        modules.append(Module(name=links.modules[source.path], source=source.path, title=title, declarations=types))
    return tuple(modules)


def lower_resources(inputs: Inputs, api: Api | None, links: Links, diagnostics: Diagnostics) -> tuple[Resource, ...]:
    """Every file with paths, as a resource."""
    if api is None:
        return ()
    lowerer = _Lowerer(inputs, api, links, diagnostics)
    resources = tuple(lowerer.resource(source) for source in inputs.openapi if source.spec.paths)
    check_distinct(resources, diagnostics)
    return resources


class _Lowerer:
    def __init__(self, inputs: Inputs, api: Api, links: Links, diagnostics: Diagnostics) -> None:
        self._files = {source.path: source for source in inputs.openapi}
        self._api = api
        self._rules = Rules(inputs, api, diagnostics)
        self._links = links
        self._diagnostics = diagnostics

    def resource(self, source: Source[OpenApiFile]) -> Resource:
        module = self._links.modules[source.path]
        self._check_prefixes(source)
        operations = [
            self._operation(source, path, item, word, verb, operation)
            for path, item in source.spec.paths.items()
            for word, verb in _VERBS
            if (operation := cast("spec.Operation | None", getattr(item, word))) is not None
        ]
        return Resource(
            name=module,
            service=f"{class_name(module)}Service",
            operations=tuple(operations),
            source=source.path,
            span=source.node.span,
        )

    def _operation(
        self,
        source: Source[OpenApiFile],
        path: str,
        item: spec.PathItem,
        word: str,
        verb: Verb,
        operation: spec.Operation,
    ) -> Operation:
        node = _at(source.node, "paths", path, word)
        above = [
            self._parameter(parameter, _at(source.node, "paths", path, "parameters", number), source)
            for number, parameter in enumerate(item.parameters)
        ]
        own = [
            self._parameter(parameter, _at(node, "parameters", number), source)
            for number, parameter in enumerate(operation.parameters)
        ]
        parameters = tuple(found for found in (*above, *own) if found is not None)
        lowered = Operation(
            id=operation.operation_id,
            name=python_name(_snake(operation.operation_id)),
            verb=verb,
            paths=self._paths(path, item, source),
            summary=operation.summary,
            description=operation.description,
            tags=operation.tags,
            scope=operation.scope,
            protocol=operation.raw,
            caller=operation.caller,
            operator=operation.operator,
            parameters=parameters,
            body=self._body(operation.request_body, _at(node, "requestBody"), source),
            responses=tuple(
                found
                for status, response in operation.responses.items()
                if (found := self._response(status, response, _at(node, "responses", status), source)) is not None
            ),
            span=locate(source.node, ("paths", path, word), key=True),
        )
        self._rules.check(lowered, path, node, source.node)
        return lowered

    def _paths(self, path: str, item: spec.PathItem, source: Source[OpenApiFile]) -> tuple[str, ...]:
        """All spellings: below the path's own prefixes, else its file's, else the root's."""
        bare = path.rstrip("/") or "/"
        prefixes = next((own for own in (item.prefixes, source.spec.prefixes) if own is not None), self._api.prefixes)
        below = tuple(f"{prefix}{bare.rstrip('/')}" for prefix in prefixes)
        return {"prefixes": below, "root": (bare,), "both": (bare, *below)}[item.under]

    def _check_prefixes(self, source: Source[OpenApiFile]) -> None:
        """Prefixes that can be some, and that somebody uses."""
        if source.spec.dialects and source.path != ROOT:
            span = locate(source.node, ("x-dialects",), key=True)
            self._diagnostics.error("contradiction", span, f"x-dialects is for {ROOT} only", "write it there")
        if source.spec.prefixes is not None and source.path != ROOT:
            check_prefixes(source.spec.prefixes, source.node, self._diagnostics)
        for path, item in source.spec.paths.items():
            if item.prefixes is None:
                continue
            node = _at(source.node, "paths", path)
            check_prefixes(item.prefixes, node, self._diagnostics)
            if item.under == "root":
                span = locate(node, ("x-prefixes",), key=True)
                self._diagnostics.error("contradiction", span, f"{path} stands at the root and has prefixes", None)

    # -- parts

    def _parameter(self, parameter: spec.Parameter, node: Node, source: Source[OpenApiFile]) -> Parameter | None:
        found = self._shared(parameter, node, source, "parameters")
        if found is None:
            return None
        parameter, node, source = found
        if parameter.name is None or parameter.in_ is None or parameter.schema is None:
            self._diagnostics.error("missing-field", node.span, "a parameter needs `name`, `in` and `schema`")
            return None
        if parameter.slashes and parameter.in_ != "path":
            span = locate(node, ("x-slashes",), key=True)
            self._diagnostics.error("contradiction", span, f"x-slashes is for path parameters, not {parameter.in_}")
        return Parameter(
            wire=parameter.name,
            name=python_name(_snake(parameter.name)),
            place=parameter.in_,
            description=parameter.description,
            required=parameter.required,
            slashes=parameter.slashes,
            type=self._type(parameter.schema, _at(node, "schema"), source),
            default=parameter.schema.default,
            example=parameter.example,
            span=node.span,
        )

    def _body(self, body: spec.RequestBody | None, node: Node, source: Source[OpenApiFile]) -> Body | None:
        if body is None:
            return None
        content = self._content(body.content, _at(node, "content"), source)
        return Body(description=body.description, required=body.required, content=content)

    def _response(
        self, status: str, response: spec.Response, node: Node, source: Source[OpenApiFile]
    ) -> Response | None:
        found = self._shared(response, node, source, "responses")
        if found is None:
            return None
        response, node, source = found
        if response.description is None:
            self._diagnostics.error("missing-field", node.span, "a response needs a description")
        headers = (
            self._header(name, header, _at(node, "headers", name), source) for name, header in response.headers.items()
        )
        return Response(
            status=status,
            description=response.description or "",
            headers=tuple(header for header in headers if header is not None),
            content=self._content(response.content, _at(node, "content"), source),
        )

    def _header(self, name: str, header: spec.Header, node: Node, source: Source[OpenApiFile]) -> Header | None:
        found = self._shared(header, node, source, "headers")
        if found is None:
            return None
        header, node, source = found
        type_ = self._type(header.schema, _at(node, "schema"), source) if header.schema else Text()
        return Header(name=name, description=header.description, required=header.required, type=type_)

    def _content(
        self, content: Mapping[str, spec.MediaType], node: Node, source: Source[OpenApiFile]
    ) -> tuple[Content, ...]:
        return tuple(
            Content(
                media_type=name,
                type=self._type(media.schema, _at(node, name, "schema"), source) if media.schema else None,
            )
            for name, media in content.items()
        )

    def _type(self, schema: Schema, node: Node, source: Source[OpenApiFile]) -> Type:
        lowered = lower_type(schema, node, source.path, self._links, self._diagnostics)
        if any(isinstance(part, Inline) for part in _parts(lowered)):
            hint = "name it below components.schemas and refer to it"
            self._diagnostics.error("unsupported-schema", node.span, "an object inside an operation has no name", hint)
        return lowered

    def _shared(
        self, part: Shared, node: Node, source: Source[OpenApiFile], table: str
    ) -> tuple[Shared, Node, Source[OpenApiFile]] | None:
        """Follow a reference to a shared part. None when the file it is in is faulty, or when it is no such part."""
        if part.ref is None:
            return part, node, source
        target = self._links.resolve(part.ref, source.path)
        owner = self._files.get(target.file)
        if owner is None:
            return None
        if target.steps[:-1] != ("components", table):
            self._diagnostics.error("unknown-name", node.span, f"{part.ref!r} is not one of the {table}")
            return None
        found = cast("Mapping[str, Shared]", getattr(owner.spec.components, table)).get(target.name)
        if found is None or found.ref is not None:
            if found is not None:
                self._diagnostics.error("unsupported-schema", node.span, f"{part.ref!r} is a reference itself")
            return None
        return found, _at(owner.node, *target.steps), owner


def _parts(type_: Type) -> Iterator[Type]:
    yield type_
    match type_:
        case ListOf():
            yield from _parts(type_.item)
        case MapOf():
            yield from _parts(type_.value)
        case OneOf():
            for member in type_.members:
                yield from _parts(member)
        case _:
            return


def _snake(name: str) -> str:
    """`createChatCompletion` to `create_chat_completion`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _at(node: Node, *path: str | int) -> Node:
    """The node at ``path``, or the nearest one above it."""
    for step in path:
        found: Node | None = None
        if isinstance(node, MappingNode):
            found = node.get(str(step))
        elif isinstance(node, SequenceNode) and isinstance(step, int) and step < len(node.items):
            found = node.items[step]
        if found is None:
            return node
        node = found
    return node
