"""OpenAPI files to the middle: components become modules of types, paths become the operations of resources.

Refuses an operation that does not say which scope a key needs (its spec does), one that cannot be served as written, and
names that point nowhere. A shared response or parameter is resolved here, so that the middle has no references but to types.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, TypeVar, cast

from codegen.ir import Declaration, Inline, ListOf, MapOf, Module, OneOf, Reference, Text, Type
from codegen.ir.operations import Api, Body, Content, Header, Operation, Parameter, Resource, Response, Verb
from codegen.link import Links
from codegen.load import Inputs, Source
from codegen.lower.types import lower_type, lower_types
from codegen.naming import class_name, python_name
from codegen.spec import OpenApiFile, Schema
from codegen.spec import openapi as spec
from runtime.source import Diagnostics, MappingNode, Node, Note, SequenceNode, Span, closest, locate

__all__ = ["NEGOTIATED", "PUBLIC", "ROOT", "lower_api", "lower_components", "lower_resources"]

ROOT: Final = "schemas/openapi/gateway.yaml"
PUBLIC: Final = "public"
NEGOTIATED: Final = "negotiated"

_VERBS: Final[tuple[tuple[str, Verb], ...]] = (
    ("get", "GET"), ("post", "POST"), ("put", "PUT"), ("patch", "PATCH"), ("delete", "DELETE"), ("head", "HEAD"),
)  # fmt: skip
_TAKEN: Final = frozenset({
    "body", "cookies", "data", "front", "headers", "query", "request", "scope", "self", "service", "socket", "state",
})  # fmt: skip
"""Arguments that Litestar fills by their names, and what the generated module calls its own."""

_OPERATION_ID: Final = re.compile(r"[a-z][A-Za-z0-9]*")
_IN_PATH: Final = re.compile(r"\{([^}]*)\}")

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
    for number, prefix in enumerate(root.spec.prefixes):
        if not re.fullmatch(r"(/[A-Za-z0-9._-]+)+", prefix):
            span = locate(root.node, ("x-prefixes", number))
            diagnostics.error("invalid-value", span, f"{prefix!r} is no path prefix", "write it as `/v1`")
    return Api(
        title=info.title,
        version=info.version,
        summary=info.summary,
        description=info.description,
        servers=tuple((server.url, server.description) for server in root.spec.servers),
        tags=tuple((tag.name, tag.description) for tag in root.spec.tags),
        prefixes=root.spec.prefixes,
        schemes=tuple(root.spec.components.security_schemes.items()),
        source=root.path,
        span=root.node.span,
    )


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
    _check_distinct(resources, diagnostics)
    return resources


def _check_distinct(resources: Iterable[Resource], diagnostics: Diagnostics) -> None:
    """An id is one operation's, and a method of a path too, however its parameters are called."""
    seen: dict[str, Span] = {}
    for resource in resources:
        for operation in resource.operations:
            claims = [f"the operation {operation.id}", f"the method {resource.service}.{operation.name}"]
            claims += [f"{operation.verb} {_IN_PATH.sub('{}', path)}" for path in operation.paths]
            taken = next((claim for claim in claims if claim in seen), None)
            if taken is not None:
                notes = [Note(seen[taken], "first here")]
                diagnostics.error("duplicate-name", operation.span, f"{taken} stands here twice", None, notes)
            seen |= {claim: operation.span for claim in claims if claim not in seen}


class _Lowerer:
    def __init__(self, inputs: Inputs, api: Api, links: Links, diagnostics: Diagnostics) -> None:
        self._files = {source.path: source for source in inputs.openapi}
        self._api = api
        self._tags = [name for name, _ in api.tags]
        self._protocols = [*(source.stem for source in inputs.protocols), NEGOTIATED]
        self._scopes = _known_scopes(inputs)
        self._links = links
        self._diagnostics = diagnostics

    def resource(self, source: Source[OpenApiFile]) -> Resource:
        module = self._links.modules[source.path]
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
            paths=self._paths(path, item),
            summary=operation.summary,
            description=operation.description,
            tags=operation.tags,
            scope=operation.scope,
            protocol=operation.raw,
            parameters=parameters,
            body=self._body(operation.request_body, _at(node, "requestBody"), source),
            responses=tuple(
                found
                for status, response in operation.responses.items()
                if (found := self._response(status, response, _at(node, "responses", status), source)) is not None
            ),
            span=locate(source.node, ("paths", path, word), key=True),
        )
        self._check_words(lowered, node)
        self._check_path(lowered, path, source)
        self._check_responses(lowered, node)
        if lowered.protocol is None:
            self._check_typed(lowered)
        return lowered

    def _paths(self, path: str, item: spec.PathItem) -> tuple[str, ...]:
        bare = path.rstrip("/") or "/"
        below = tuple(f"{prefix}{bare.rstrip('/')}" for prefix in self._api.prefixes)
        return {"prefixes": below, "root": (bare,), "both": (bare, *below)}[item.under]

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

    # -- rules

    def _check_words(self, operation: Operation, node: Node) -> None:
        if not _OPERATION_ID.fullmatch(operation.id):
            hint = "write it as `createThing`"
            self._error(
                "bad-name", locate(node, ("operationId",)), f"{operation.id!r} cannot be an operation's id", hint
            )
        self._check_word(operation.scope, self._scopes, locate(node, ("x-scope",)), "scope")
        if operation.protocol is not None:
            self._check_word(operation.protocol, self._protocols, locate(node, ("x-raw",)), "protocol")
        for number, tag in enumerate(operation.tags):
            self._check_word(tag, self._tags, locate(node, ("tags", number)), "tag")
        if not operation.tags:
            self._error("missing-field", node.span, "the operation has no tag", f"one of: {', '.join(self._tags)}")

    def _check_word(self, word: str, known: list[str], span: Span, noun: str) -> None:
        if known and word not in known:
            near = closest(word, known)
            hint = f"did you mean {near!r}?" if near else f"one of: {', '.join(known)}"
            self._error("unknown-name", span, f"no {noun} {word!r}", hint)

    def _check_path(self, operation: Operation, path: str, source: Source[OpenApiFile]) -> None:
        span = locate(source.node, ("paths", path), key=True)
        if not path.startswith("/") or "?" in path or "#" in path:
            self._error("invalid-value", span, f"{path!r} is no path", "begin with `/`")
        names = _IN_PATH.findall(path)
        declared = {parameter.wire: parameter for parameter in operation.parameters if parameter.place == "path"}
        for name in names:
            if name not in declared:
                hint = "describe it below `parameters` with `in: path`"
                self._error(
                    "missing-field", span, f"{operation.id} does not describe the path parameter {name!r}", hint
                )
        for name, parameter in declared.items():
            if name not in names:
                self._error(
                    "unknown-name", parameter.span, f"the path {path} has no {{{name}}}", "remove the parameter"
                )
            if not parameter.required:
                self._error(
                    "contradiction", parameter.span, f"a path parameter is required: {name}", "write `required: true`"
                )
            if parameter.slashes and not path.endswith(f"{{{name}}}"):
                self._error(
                    "contradiction", parameter.span, f"{name} takes the rest of the path, and more follows it", None
                )

    def _check_responses(self, operation: Operation, node: Node) -> None:
        span = locate(node, ("responses",), key=True)
        for response in operation.responses:
            if not re.fullmatch(r"[1-5][0-9]{2}", response.status):
                found = locate(node, ("responses", response.status), key=True)
                self._error("invalid-value", found, f"{response.status!r} is no HTTP status", 'write it as "200"')
        if not any(response.status.startswith("2") for response in operation.responses):
            self._error("missing-field", span, f"{operation.id} describes no success", 'add "200"')

    def _check_typed(self, operation: Operation) -> None:
        """What a typed handler can take and give: one JSON body each way, of a named type; or text as the answer."""
        for parameter in operation.parameters:
            if parameter.place == "header":
                hint = "use the query, or serve the operation raw"
                self._error("unsupported-schema", parameter.span, "a typed operation takes no header parameters", hint)
            elif parameter.name in _TAKEN:
                self._error(
                    "bad-name", parameter.span, f"{parameter.name!r} has another meaning in handlers", "rename it"
                )
            elif parameter.name != parameter.wire:
                self._error(
                    "bad-name",
                    parameter.span,
                    f"{parameter.wire!r} is not in snake case",
                    f"call it {parameter.name!r}",
                )
        contents = [operation.body.content] if operation.body else []
        contents += [response.content for response in operation.responses if response.status.startswith("2")]
        for content in contents:
            if len(content) > 1 or any(not _is_typed(one) for one in content):
                hint = "refer to a component as application/json, answer text/plain, or add x-raw"
                self._error(
                    "unsupported-schema", operation.span, f"{operation.id} needs one body of a named type", hint
                )
        if operation.verb in {"GET", "HEAD"} and operation.body is not None:
            self._error("contradiction", operation.span, f"a {operation.verb} has no body", "remove requestBody")

    def _error(self, code: str, span: Span, message: str, hint: str | None) -> None:
        self._diagnostics.error(code, span, message, hint)


def _is_typed(content: Content) -> bool:
    if content.media_type == "application/json":
        return isinstance(content.type, Reference)
    return content.media_type.startswith("text/") and isinstance(content.type, Text)


def _known_scopes(inputs: Inputs) -> list[str]:
    """What a key can be given, as the settings of keys say, and `public`."""
    for source in inputs.sections:
        if source.spec.section == "keys" and "scopes" in source.spec.settings:
            return [*source.spec.settings["scopes"].choices, PUBLIC]
    return []


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
