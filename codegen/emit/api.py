"""`generated/api/<resource>.py`: what implements a resource, as a protocol, and the routes that connect it.

The module declares, hand-written services implement, the composition root connects: a service that lacks a method is a
type error where it is given to `build_routes`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec
from jinja2 import Environment

from codegen.emit.layout import (
    INDENT,
    WIDTH,
    Atom,
    Call,
    Expression,
    Sequence_,
    Subscript,
    assignment,
    flat,
    from_import,
    quoted,
)  # fmt: skip
from codegen.emit.output import Output
from codegen.emit.python import exports, header
from codegen.emit.types import type_expression
from codegen.emit.value import expression
from codegen.ir import ListOf, Project, Reference, Type
from codegen.ir.operations import Content, Operation, Parameter, Resource
from codegen.lower.openapi import ROOT
from codegen.lower.rules import NEGOTIATED, PROBLEM
from codegen.passes.rewrite import references

__all__ = ["emit_api"]


def emit_api(project: Project, env: Environment) -> Iterator[Output]:
    """One module for each resource, and the package."""
    if project.api is None:
        return
    template = env.get_template("api.py.jinja")
    for resource in project.resources:
        yield Output(
            path=f"generated/api/{resource.name}.py",
            sources=(resource.source, ROOT),
            text=template.render(
                header=header(resource.source),
                resource=resource.name,
                service=resource.service,
                imports=_imports(resource),
                framework=_framework(resource),
                exports=exports([resource.service, "build_routes"]),
                operations=[_operation(operation) for operation in resource.operations],
                raw=_raw_paths(resource),
                handlers=[_operation(operation) for operation in resource.operations if operation.protocol is None],
            ),
        )
    yield Output(
        path="generated/api/__init__.py",
        sources=(ROOT,),
        text=env.get_template("api_package.py.jinja").render(
            header=header(ROOT),
            spoken=_spoken(_territories(project.resources, project.api.dialects)),
        ),
    )


def _territories(resources: Iterable[Resource], dialects: tuple[tuple[str, str], ...]) -> tuple[tuple[str, str], ...]:
    """``dialects``, and what is ours below a vendor's prefix or a vendor's below ours.

    There unknown paths are refused as the operations beside them are; where both have some, as the vendor's.
    """
    around = {prefix: protocol for prefix, protocol in dialects if protocol != NEGOTIATED}
    found: dict[str, set[str]] = {}
    for operation in (operation for resource in resources for operation in resource.operations):
        for path in operation.paths:
            prefix = next((prefix for prefix, _ in dialects if path.startswith(f"{prefix}/")), None)
            first = path[len(prefix) + 1 :].partition("/")[0] if prefix in around else ""
            if first and "{" not in first:
                found.setdefault(f"{prefix}/{first}", set()).add(operation.protocol or PROBLEM)
    added: list[tuple[str, str]] = []
    for path, protocols in found.items():
        theirs = protocols - {PROBLEM}
        if around[path.rpartition("/")[0]] != PROBLEM:
            added += [] if theirs else [(path, PROBLEM)]
        elif theirs:
            added.append((path, theirs.pop() if len(theirs) == 1 else NEGOTIATED))
    return tuple(sorted([*dialects, *added], key=lambda pair: (-len(pair[0]), pair[0])))


def _spoken(dialects: tuple[tuple[str, str], ...]) -> str:
    pairs = tuple(Sequence_((Atom(quoted(prefix)), Atom(quoted(protocol)))) for prefix, protocol in dialects)
    return assignment("SPOKEN", Atom("tuple[tuple[str, str], ...]"), Sequence_(pairs))


def _imports(resource: Resource) -> list[list[str]]:
    """Import lines, a list for each group, as import sorters order them."""
    raw = any(operation.protocol is not None for operation in resource.operations)
    typed = any(operation.protocol is None for operation in resource.operations)
    annotations = _typing_names(resource)
    renamed = any("Annotated[" in text for text in _handlers(resource))
    words = {
        *annotations,
        *(["Annotated"] if renamed else []),
        *(["TYPE_CHECKING"] if _framework(resource) else []),
        "Protocol",
    }
    standard = [
        *(["from collections.abc import Awaitable"] if raw else []),
        *(["from functools import partial"] if typed else []),
        from_import("typing", _sorted(words)),
    ]
    groups = [standard]
    if "Annotated" in annotations:
        groups.append(["import msgspec"])
    told = any(operation.caller for operation in resource.operations)
    used: dict[str, set[str]] = {}
    for type_ in _annotated(resource):
        for found in references(type_):
            used.setdefault(found.module, set()).add(found.name)
    own = [from_import(f"generated.types.{module}", sorted(used[module])) for module in sorted(used)]
    own += ["from runtime.web.exchange import Exchange"] if raw else []
    own.append("from runtime.web.front import Fronts")
    own += ["from runtime.web.key import KeyRecord"] if told else []
    own += ["from runtime.web.raw import RawOperation, raw_route"] if raw else []
    own.append(from_import("runtime.web.routes", ["Handlers", "Routes"] if typed else ["Routes"]))
    return [*groups, own]


def _sorted(names: Iterable[str]) -> list[str]:
    """Constants first, as import sorters have them."""
    return sorted(names, key=lambda name: (not name.isupper(), name))


def _framework(resource: Resource) -> list[str]:
    """Imports of names that stand in annotations of handlers only: the module itself does not load the framework."""
    told = any(operation.caller for operation in resource.operations)
    sources = _sources(resource)
    return [
        *(["from litestar import Request", "from litestar.datastructures import State"] if told else []),
        *([from_import("litestar.params", sorted(sources))] if sources else []),
    ]


def _sources(resource: Resource) -> list[str]:
    """Litestar's words for where the handlers' arguments come from."""
    words = sorted(
        set(re.findall(r"\b(?:From(?:Path|Query)|(?:Path|Query)Parameter)(?=[\[(])", " ".join(_handlers(resource))))
    )
    bodies = any(operation.body for operation in resource.operations if operation.protocol is None)
    return [*words, *(["JSONBody"] if bodies else [])]


def _handlers(resource: Resource) -> list[str]:
    """The arguments of handlers."""
    handled = [operation for operation in resource.operations if operation.protocol is None]
    return [_handled(parameter) for operation in handled for parameter in operation.parameters]


def _typing_names(resource: Resource) -> list[str]:
    text = " ".join(flat(type_expression(type_)) for type_ in _annotated(resource))
    return [name for name in ("Annotated", "Literal") if f"{name}[" in text]


def _annotated(resource: Resource) -> Iterator[Type]:
    """The types that stand in the signatures of typed operations."""
    for operation in resource.operations:
        if operation.protocol is not None:
            continue
        yield from (parameter.type for parameter in _taken(operation))
        contents = [*(operation.body.content if operation.body else ()), *_success(operation)[1]]
        yield from (content.type for content in contents if isinstance(content.type, Reference))


def _raw_paths(resource: Resource) -> list[dict[str, object]]:
    """Raw operations by path: all methods of one path are one route."""
    routes: dict[tuple[str, ...], list[Operation]] = {}
    for operation in resource.operations:
        if operation.protocol is not None:
            routes.setdefault(_spelled(operation), []).append(operation)
    return [
        {"paths": _path_list(paths, 4), "operations": [_operation(operation) for operation in operations]}
        for paths, operations in routes.items()
    ]


def _operation(operation: Operation) -> dict[str, object]:
    common: dict[str, object] = {
        "id": operation.id,
        "name": operation.name,
        "verb": operation.verb,
        "scope": operation.scope,
        "operator": operation.operator,
        "protocol": operation.protocol,
        "description": _description(operation),
    }
    return common | (_typed(operation) if operation.protocol is None else _raw(operation))


def _raw(operation: Operation) -> dict[str, object]:
    """A method that may hand on what others give to await, so that it need be no coroutine itself."""
    return {"method": _definition(operation.name, ["self", "exchange: Exchange"], "Awaitable[None]", "def")}


def _typed(operation: Operation) -> dict[str, object]:
    status, contents = _success(operation)
    answer = _answer(contents)
    taken = [_parameter(parameter) for parameter in _taken(operation)]
    handled = [_handled(parameter) for parameter in _taken(operation)]
    names = [parameter.name for parameter in _taken(operation)]
    body = _body(operation)
    if body is not None:
        taken.insert(0, f"data: {body}")
        if operation.body is not None and operation.body.required:
            handled.insert(0, f"data: JSONBody[{body}]")
        else:  # Litestar takes an empty body only where there is a default
            handled.append(f"data: JSONBody[{body}] = None")
        names.insert(0, "data")
    if operation.caller:
        taken.insert(0, "caller: KeyRecord")
        handled.insert(0, "request: Request[KeyRecord, object, State]")
    given = [f"{name}={name}" for name in names]
    given = ["caller=request.user", *given] if operation.caller else given
    called = f"await service.{operation.name}("
    return {
        "paths": _path_list(_spelled(operation), 2),
        "method": _definition(operation.name, ["self", *taken], answer),
        "handler": _definition(operation.name, handled, answer),
        "call": _call(called if answer == "None" else f"return {called}", given),
        "status": status,
        "media_type": contents[0].media_type if contents else "application/json",
    }


def _definition(name: str, parameters: list[str], answer: str, kind: str = "async def") -> str:
    """The first line of a method or handler, both of which are one level deep."""
    line = f"{INDENT}{kind} {name}({', '.join(parameters)}) -> {answer}:"
    if len(line) <= WIDTH:
        return line
    body = "".join(f"{INDENT * 2}{parameter},\n" for parameter in parameters)
    return f"{INDENT}{kind} {name}(\n{body}{INDENT}) -> {answer}:"


def _call(opening: str, given: list[str]) -> str:
    """A statement two levels deep that ends in a call: on one line, its arguments on one, or each on its own."""
    arguments = ", ".join(given)
    if len(f"{INDENT * 2}{opening}{arguments})") <= WIDTH:
        return f"{opening}{arguments})"
    if len(f"{INDENT * 3}{arguments}") <= WIDTH:
        return f"{opening}\n{INDENT * 3}{arguments}\n{INDENT * 2})"
    body = "".join(f"{INDENT * 3}{each},\n" for each in given)
    return f"{opening}\n{body}{INDENT * 2})"


def _path_list(paths: tuple[str, ...], depth: int) -> str:
    if len(paths) == 1:
        return f"[{quoted(paths[0])}]"
    body = "".join(f"{INDENT * (depth + 1)}{quoted(path)},\n" for path in paths)
    return f"[\n{body}{INDENT * depth}]"


def _description(operation: Operation) -> str:
    """The schema's prose, and where the operation is reached."""
    last = f"{operation.verb} {operation.paths[0]}"
    return "\n\n".join(filter(None, (f"{operation.summary}.", operation.description, f"Answers {last}.")))


def _spelled(operation: Operation) -> tuple[str, ...]:
    """The paths as Litestar writes them: a parameter has a kind."""
    paths = operation.paths
    for parameter in operation.parameters:
        if parameter.place == "path":
            kind = "path" if parameter.slashes else "str"
            paths = tuple(path.replace(f"{{{parameter.wire}}}", f"{{{parameter.wire}:{kind}}}") for path in paths)
    return paths


def _taken(operation: Operation) -> list[Parameter]:
    """What a typed method takes, in the order that Python asks for: what has a default comes last."""
    return sorted(operation.parameters, key=lambda parameter: not _needed(parameter))


def _needed(parameter: Parameter) -> bool:
    return parameter.required and parameter.default is msgspec.UNSET


def _parameter(parameter: Parameter) -> str:
    """A parameter of a method."""
    return _argument(parameter, type_expression(parameter.type), "{}")


def _handled(parameter: Parameter) -> str:
    """A parameter of a handler, with Litestar's word for where it comes from, which takes the limits too."""
    place = parameter.place.title()
    named = (("name", expression(parameter.wire)),) if parameter.name != parameter.wire else ()
    match type_expression(parameter.type):
        case Subscript("Annotated", (inner, Call(_, limits))):
            if isinstance(parameter.type, ListOf):
                limits = tuple((name.replace("length", "items"), value) for name, value in limits)
            marker = flat(Call(f"{place}Parameter", (*named, *limits)))
            return _argument(parameter, inner, f"Annotated[{{}}, {marker}]")
        case plain if named:
            return _argument(parameter, plain, f"Annotated[{{}}, {flat(Call(f'{place}Parameter', named))}]")
        case plain:
            return _argument(parameter, plain, f"From{place}[{{}}]")


def _argument(parameter: Parameter, annotation: Expression, form: str) -> str:
    if _needed(parameter):
        return f"{parameter.name}: {form.format(flat(annotation))}"
    if parameter.default is msgspec.UNSET:
        return f"{parameter.name}: {form.format(f'{flat(annotation)} | None')} = None"
    return f"{parameter.name}: {form.format(flat(annotation))} = {flat(expression(parameter.default))}"


def _body(operation: Operation) -> str | None:
    if operation.body is None or not operation.body.content:
        return None
    type_ = operation.body.content[0].type
    if not isinstance(type_, Reference):
        return None
    return type_.name if operation.body.required else f"{type_.name} | None"


def _success(operation: Operation) -> tuple[int, tuple[Content, ...]]:
    """The first status that is a success, and what it brings."""
    response = next(response for response in operation.responses if response.status.startswith("2"))
    return int(response.status), response.content


def _answer(contents: tuple[Content, ...]) -> str:
    """What a typed method gives back."""
    if len(contents) != 1:
        return "None"
    type_ = contents[0].type
    return type_.name if isinstance(type_, Reference) else "str"
