"""`generated/catalog/`: each provider as one constant in a module of its own, and the table that finds it."""

from __future__ import annotations

from collections.abc import Iterator

from jinja2 import Environment

from codegen.emit.layout import Atom, Call, Mapping, Subscript, assignment, from_import, string
from codegen.emit.output import Output
from codegen.emit.python import header
from codegen.emit.value import classes, expression
from codegen.ir import Project

__all__ = ["SOURCE", "emit_catalog"]

SOURCE = "schemas/providers/"


def emit_catalog(project: Project, env: Environment) -> Iterator[Output]:
    """One module for each provider, and the package that loads them."""
    template = env.get_template("constant.py.jinja")
    for definition in project.providers:
        provider = definition.provider
        yield Output(
            path=f"generated/catalog/{definition.module}.py",
            sources=(definition.source,),
            text=template.render(
                header=header(definition.source),
                title=f"Facts about {provider.name} and its models.",
                imports=from_import("runtime.catalog", sorted(set(classes(provider)))),
                name="PROVIDER",
                assignment=assignment("PROVIDER", Atom("Provider"), expression(provider)),
            ),
        )
    modules = Mapping(tuple((item.provider.id, string(item.module)) for item in project.providers))
    annotation = Subscript("Mapping", (Atom("str"), Atom("str")))
    yield Output(
        path="generated/catalog/__init__.py",
        sources=(SOURCE,),
        text=env.get_template("catalog.py.jinja").render(
            header=header(SOURCE),
            modules=assignment("_MODULES", annotation, Call("MappingProxyType", (("", modules),))),
        ),
    )
