"""What several passes share: visiting the types of a declaration, and finding a declaration by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from msgspec.structs import replace

from codegen.ir import Alias, Declaration, Inline, ListOf, MapOf, OneOf, Project, Reference, Type

__all__ = ["Table", "map_declaration", "map_type", "references", "resolve", "table"]

Table = Mapping[tuple[str, str], Declaration]
"""Every declaration by module and name."""


def table(project: Project) -> Table:
    return {(module.name, item.name): item for module in project.modules for item in module.declarations}


def map_type(type_: Type, change: Callable[[Type], Type]) -> Type:
    """``change`` every part of a type, innermost first."""
    match type_:
        case ListOf():
            type_ = replace(type_, item=map_type(type_.item, change))
        case MapOf():
            type_ = replace(type_, value=map_type(type_.value, change))
        case OneOf():
            type_ = replace(type_, members=tuple(map_type(member, change) for member in type_.members))
        case Inline():
            fields = tuple(replace(field, type=map_type(field.type, change)) for field in type_.record.fields)
            type_ = replace(type_, record=replace(type_.record, fields=fields))
        case _:
            pass
    return change(type_)


def map_declaration(declaration: Declaration, change: Callable[[Type], Type]) -> Declaration:
    """``change`` every type in a declaration."""
    if isinstance(declaration, Alias):
        return replace(declaration, type=map_type(declaration.type, change))
    fields = tuple(replace(field, type=map_type(field.type, change)) for field in declaration.fields)
    return replace(declaration, fields=fields)


def references(type_: Type) -> Iterator[Reference]:
    """The references in a type, as written."""
    match type_:
        case Reference():
            yield type_
        case ListOf():
            yield from references(type_.item)
        case MapOf():
            yield from references(type_.value)
        case OneOf():
            for member in type_.members:
                yield from references(member)
        case _:
            return


def resolve(type_: Type, names: Table) -> Type:
    """Follow references through aliases to what they stand for; a reference to a record stays one."""
    seen: set[tuple[str, str]] = set()
    while isinstance(type_, Reference):
        key = (type_.module, type_.name)
        found = names.get(key)
        if key in seen or not isinstance(found, Alias):
            return type_
        seen.add(key)
        type_ = found.type
    return type_
