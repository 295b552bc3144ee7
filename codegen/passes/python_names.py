"""Give every field its Python name; two wire names that would become one are a fault, not a guess."""

from __future__ import annotations

from msgspec.structs import replace

from codegen.ir import Declaration, Field, Module, Project, Record
from codegen.naming import python_name
from runtime.source import Diagnostics, Note

__all__ = ["python_names"]


def python_names(project: Project, diagnostics: Diagnostics) -> Project:
    """Fill `Field.name`."""
    return replace(project, modules=tuple(_module(module, diagnostics) for module in project.modules))


def _module(module: Module, diagnostics: Diagnostics) -> Module:
    types = {item.name for item in module.declarations}
    named = tuple(_named(item, types, diagnostics) for item in module.declarations)
    return replace(module, declarations=named)


def _named(item: Declaration, types: set[str], diagnostics: Diagnostics) -> Declaration:
    if not isinstance(item, Record):
        return item
    fields: dict[str, Field] = {}
    for field in item.fields:
        name: str = python_name(field.wire)
        if name in types:
            name = f"{name}_"  # a field called like a type would hide it from the annotations below
        if name in fields:
            message = f"{field.wire!r} and {fields[name].wire!r} of {item.name} become the same name {name!r}"
            notes = [Note(fields[name].span, "the other one")]
            diagnostics.error("duplicate-name", field.span, message, None, notes)
        fields[name] = replace(field, name=name)
    return replace(item, fields=tuple(fields.values()))
