"""What an operation must keep to so that it can be served as written, asks for a key, and is nobody's namesake."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Final

from codegen.ir import Reference, Text
from codegen.ir.operations import Api, Content, Operation, Resource
from codegen.load import Inputs
from runtime.source import Diagnostics, Node, Note, Span, closest, locate

__all__ = ["NEGOTIATED", "PROBLEM", "PUBLIC", "Rules", "check_dialects", "check_distinct", "check_prefixes"]

PUBLIC: Final = "public"
NEGOTIATED: Final = "negotiated"
PROBLEM: Final = "problem"

_TAKEN: Final = frozenset({
    "body", "caller", "cookies", "data", "front", "headers", "query", "request", "scope", "self", "service", "socket", "state",
})  # fmt: skip
"""Arguments that Litestar fills by their names, and what the generated module calls its own."""


_OPERATION_ID: Final = re.compile(r"[a-z][A-Za-z0-9]*")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._-]+)+")
_IN_PATH: Final = re.compile(r"\{([^}]*)\}")


def check_distinct(resources: Iterable[Resource], diagnostics: Diagnostics) -> None:
    """An id is one operation's, and a method of a path too, however its parameters are called.

    All raw methods of a path make one route, so they stand in one place.
    """
    seen: dict[str, Span] = {}
    routes: dict[str, Operation] = {}
    for resource in resources:
        for operation in resource.operations:
            claims = [f"the operation {operation.id}", f"the method {resource.service}.{operation.name}"]
            claims += [f"{operation.verb} {_IN_PATH.sub('{}', path)}" for path in operation.paths]
            taken = next((claim for claim in claims if claim in seen), None)
            if taken is not None:
                notes = [Note(seen[taken], "first here")]
                diagnostics.error("duplicate-name", operation.span, f"{taken} stands here twice", None, notes)
            elif operation.protocol is not None:
                _check_one_route(operation, routes, diagnostics)
            seen |= {claim: operation.span for claim in claims if claim not in seen}


def _check_one_route(operation: Operation, routes: dict[str, Operation], diagnostics: Diagnostics) -> None:
    for path in operation.paths:
        other = routes.setdefault(_IN_PATH.sub("{}", path), operation)
        if other.paths != operation.paths or other.span.file != operation.span.file:
            hint = "write both methods below one path, with the same prefixes"
            notes = [Note(other.span, "the other one")]
            message = f"{path} has raw methods in two places"
            diagnostics.error("contradiction", operation.span, message, hint, notes)
            return


def check_prefixes(prefixes: Collection[str], node: Node, diagnostics: Diagnostics) -> None:
    """Each of the ``x-prefixes`` of ``node`` can begin a path, and there is one at least."""
    for number, prefix in enumerate(prefixes):
        if not _PREFIX.fullmatch(prefix):
            span = locate(node, ("x-prefixes", number))
            diagnostics.error("invalid-value", span, f"{prefix!r} is no path prefix", "write it as `/v1`")
    if not prefixes:
        diagnostics.error("invalid-value", locate(node, ("x-prefixes",)), "there is no prefix", "leave x-prefixes out")


def check_dialects(
    inputs: Inputs, root: Node, prefixes: Collection[str], dialects: Mapping[str, str], diagnostics: Diagnostics
) -> None:
    """What `x-dialects` of the root file names exists, and none of it is one of the ``prefixes``."""
    known = [*(source.stem for source in inputs.protocols), NEGOTIATED, PROBLEM]
    for prefix, protocol in dialects.items():
        span = locate(root, ("x-dialects", prefix), key=True)
        if prefix in prefixes:
            diagnostics.error("contradiction", span, f"{prefix!r} is one of x-prefixes, where clients decide")
        if not _PREFIX.fullmatch(prefix):
            diagnostics.error("invalid-value", span, f"{prefix!r} is no path prefix", "write it as `/v1`")
        if protocol not in known:
            near = closest(protocol, known)
            hint = f"did you mean {near!r}?" if near else f"one of: {', '.join(known)}"
            at = locate(root, ("x-dialects", prefix))
            diagnostics.error("unknown-name", at, f"no protocol {protocol!r}", hint)


class Rules:
    """The words that operations of one project may use, and what is checked of each operation."""

    def __init__(self, inputs: Inputs, api: Api, diagnostics: Diagnostics) -> None:
        self._tags = [name for name, _ in api.tags]
        self._protocols = [*(source.stem for source in inputs.protocols), NEGOTIATED, PROBLEM]
        self._scopes = _known_scopes(inputs)
        self._diagnostics = diagnostics

    def check(self, operation: Operation, path: str, node: Node, root: Node) -> None:
        """Report what is wrong. ``node`` is the operation's in its file, ``root`` the file's, ``path`` as written there."""
        self._check_words(operation, node)
        self._check_path(operation, path, root)
        self._check_responses(operation, node)
        if operation.protocol is None:
            self._check_typed(operation)

    def _check_words(self, operation: Operation, node: Node) -> None:
        if not _OPERATION_ID.fullmatch(operation.id):
            hint = "write it as `createThing`"
            self._error(
                "bad-name", locate(node, ("operationId",)), f"{operation.id!r} cannot be an operation's id", hint
            )
        self._check_word(operation.scope, self._scopes, locate(node, ("x-scope",)), "scope")
        for word, said in (("x-caller", operation.caller), ("x-operator", operation.operator)):
            if said and (operation.protocol is not None or operation.scope == PUBLIC):
                message = f"{word} is for typed operations that need a key"
                self._error("contradiction", locate(node, (word,), key=True), message, "take it away")
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

    def _check_path(self, operation: Operation, path: str, root: Node) -> None:
        span = locate(root, ("paths", path), key=True)
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
            elif parameter.name != parameter.wire and parameter.place != "query":
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
