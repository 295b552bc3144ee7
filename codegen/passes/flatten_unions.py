"""Make unions plain: a union in a union is one, null stands last and once, a union of one is its member."""

from __future__ import annotations

from msgspec.structs import replace

from codegen.ir import Null, OneOf, Project, Type
from codegen.passes.rewrite import map_declaration
from runtime.source import Diagnostics

__all__ = ["flatten_unions"]


def flatten_unions(project: Project, diagnostics: Diagnostics) -> Project:
    """Adds no diagnostics: every union has a plain form."""
    del diagnostics
    modules = tuple(
        replace(module, declarations=tuple(map_declaration(item, _plain) for item in module.declarations))
        for module in project.modules
    )
    return replace(project, modules=modules)


def _plain(type_: Type) -> Type:
    if not isinstance(type_, OneOf):
        return type_
    members: list[Type] = []
    discriminator = type_.discriminator
    for member in type_.members:
        if isinstance(member, OneOf):
            members += member.members
            discriminator = discriminator or member.discriminator
        else:
            members.append(member)
    distinct = list(dict.fromkeys(members))
    ordered = sorted(distinct, key=lambda member: isinstance(member, Null))
    if len(ordered) == 1:
        return ordered[0]
    return replace(type_, members=tuple(ordered), discriminator=discriminator)
