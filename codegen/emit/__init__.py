"""The middle to pages, one module per kind of page. Nothing here touches the disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from jinja2 import Environment

from codegen.emit.api import emit_api
from codegen.emit.catalog import emit_catalog
from codegen.emit.docs import emit_docs
from codegen.emit.endpoints import emit_endpoints
from codegen.emit.jsonschema import emit_json_schemas
from codegen.emit.openapi_json import emit_openapi_json
from codegen.emit.output import Output
from codegen.emit.protocols import emit_protocols
from codegen.emit.python import environment, header
from codegen.emit.settings import emit_settings
from codegen.emit.types import emit_types
from codegen.ir import Project

__all__ = ["EMITTERS", "Emitter", "Output", "emit"]

Emitter = Callable[[Project, Environment], Iterator[Output]]

EMITTERS: Final[tuple[Emitter, ...]] = (
    emit_types,
    emit_protocols,
    emit_settings,
    emit_catalog,
    emit_json_schemas,
    emit_docs,
    emit_api,
    emit_openapi_json,
    emit_endpoints,
)


def emit(project: Project) -> tuple[Output, ...]:
    """All pages, in the order of their paths."""
    env = environment()
    package = env.get_template("package.py.jinja").render(
        header=header("schemas/"), title="Everything that is compiled from schemas/. Checked in, never edited."
    )
    outputs = [Output(path="generated/__init__.py", sources=(), text=package)]
    outputs += [output for emitter in EMITTERS for output in emitter(project, env)]
    return tuple(sorted(outputs, key=lambda output: output.path))
