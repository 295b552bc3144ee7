"""`generated/protocols/<protocol>.py`: the facts of each wire protocol as one constant."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment

from codegen.emit.layout import Atom, assignment, from_import
from codegen.emit.output import Output
from codegen.emit.python import header
from codegen.emit.value import classes, expression
from codegen.ir import Project

__all__ = ["emit_protocols"]


def emit_protocols(project: Project, env: Environment) -> Iterator[Output]:
    """One module for each protocol, and the package."""
    template = env.get_template("constant.py.jinja")
    for definition in project.protocols:
        facts = definition.facts
        yield Output(
            path=f"generated/protocols/{definition.module}.py",
            sources=(definition.source,),
            text=template.render(
                header=header(definition.source),
                title=f"Facts about {facts.title}, version {facts.version}, as {facts.source} states them.",
                imports=from_import("runtime.catalog", sorted(set(classes(facts)))),
                name="FACTS",
                assignment=assignment("FACTS", Atom("WireProtocol"), expression(facts)),
            ),
        )
    yield Output(
        path="generated/protocols/__init__.py",
        sources=(),
        text=env.get_template("package.py.jinja").render(
            header=header("schemas/protocols/"), title="Facts about the wire protocols, one module each."
        ),
    )
