"""`docs/reference/endpoints.md`: every operation with its paths, parameters and answers, in the schema's words."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from jinja2 import Environment

from codegen.emit.layout import flat
from codegen.emit.openapi_json import SOURCES
from codegen.emit.output import Output
from codegen.emit.python import header
from codegen.emit.types import type_expression
from codegen.ir import Project
from codegen.ir.operations import Content, Operation, Parameter, Response

__all__ = ["PATH", "emit_endpoints"]

PATH = "docs/reference/endpoints.md"

_NONE = "\N{EN DASH}"


def emit_endpoints(project: Project, env: Environment) -> Iterator[Output]:
    """The page; nothing without a root file."""
    api = project.api
    if api is None:
        return
    operations = [operation for resource in project.resources for operation in resource.operations]
    groups = [
        {"name": name, "description": description or "", "operations": [_operation(one) for one in tagged]}
        for name, description in api.tags
        if (tagged := [operation for operation in operations if operation.tags[:1] == (name,)])
    ]
    text = env.get_template("api_endpoints.md.jinja").render(
        header=header(*SOURCES), title=api.title, intro=_paragraphs(api.description), groups=groups
    )
    yield Output(path=PATH, sources=SOURCES, text=text)


def _operation(operation: Operation) -> dict[str, object]:
    answers = [one for one in operation.responses if one.status.startswith("2")]
    errors = [one for one in operation.responses if not one.status.startswith("2")]
    return {
        "id": operation.id,
        "verb": operation.verb,
        "path": operation.paths[0],
        "aliases": operation.paths[1:],
        "summary": operation.summary,
        "description": _paragraphs(operation.description),
        "scope": operation.scope,
        "whose": " of the operator's keys" if operation.operator else "",
        "protocol": operation.protocol or _NONE,
        "parameters": [_parameter(parameter) for parameter in operation.parameters],
        "body": _contents(operation.body.content) if operation.body else [],
        "body_text": (operation.body.description if operation.body else None) or "",
        "answers": [_response(one) for one in answers],
        "errors": [_response(one) for one in errors],
    }


def _parameter(parameter: Parameter) -> dict[str, str]:
    default = _NONE if parameter.default is msgspec.UNSET else msgspec.json.encode(parameter.default).decode()
    return {
        "name": parameter.wire,
        "place": parameter.place,
        "type": flat(type_expression(parameter.type)),
        "default": "required" if parameter.required else default,
        "description": parameter.description or "",
    }


def _response(response: Response) -> dict[str, object]:
    return {
        "status": response.status,
        "description": response.description,
        "content": _contents(response.content),
        "headers": [one.name for one in response.headers],
    }


def _contents(content: Iterable[Content]) -> list[str]:
    """Each media type, and what it holds."""
    return [part for one in content for part in (one.media_type, one.type and flat(type_expression(one.type))) if part]


def _paragraphs(text: str | None) -> list[str]:
    return [part for part in (text or "").split("\n\n") if part.strip()]
