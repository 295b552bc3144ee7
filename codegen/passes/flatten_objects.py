"""Give every object that is written where it is used a name and a declaration of its own, before its first user."""

from __future__ import annotations

from msgspec.structs import replace

from codegen.ir import Alias, Declaration, Field, Inline, ListOf, MapOf, Module, OneOf, Project, Record, Reference, Type
from codegen.naming import class_name
from runtime.source import Diagnostics, Note, Span

__all__ = ["flatten_objects"]


def flatten_objects(project: Project, diagnostics: Diagnostics) -> Project:
    """`Parent` with an inline object in `field` gets a `ParentField`."""
    return replace(project, modules=tuple(_Flattener(module, diagnostics).module() for module in project.modules))


class _Flattener:
    def __init__(self, module: Module, diagnostics: Diagnostics) -> None:
        self._module = module
        self._diagnostics = diagnostics
        self._spans: dict[str, Span] = {item.name: item.span for item in module.declarations}
        self._out: list[Declaration] = []

    def module(self) -> Module:
        for item in self._module.declarations:
            if isinstance(item, Alias):
                self._out.append(replace(item, type=self._type(item.type, (item.name,), None, item.span)))
            else:
                self._record(item)
        return replace(self._module, declarations=tuple(self._out))

    def _record(self, record: Record) -> None:
        fields = tuple(self._field(field, record.name) for field in record.fields)
        self._out.append(replace(record, fields=fields))

    def _field(self, field: Field, parent: str) -> Field:
        return replace(field, type=self._type(field.type, (parent, field.wire), field.description, field.span))

    def _type(self, type_: Type, words: tuple[str, ...], description: str | None, span: Span) -> Type:
        match type_:
            case Inline():
                return self._inline(type_, words, description, span)
            case ListOf():
                return replace(type_, item=self._type(type_.item, (*words, "item"), None, span))
            case MapOf():
                return replace(type_, value=self._type(type_.value, (*words, "value"), None, span))
            case OneOf():
                objects = [member for member in type_.members if isinstance(member, Inline)]
                alone = len(objects) == 1 and len(words) > 1  # a type's own name is taken
                members = tuple(
                    self._type(member, words if alone or not _hint(member) else (*words, _hint(member)), None, span)
                    for member in type_.members
                )
                return replace(type_, members=members)
            case _:
                return type_

    def _inline(self, inline: Inline, words: tuple[str, ...], description: str | None, span: Span) -> Reference:
        name = class_name(*words)
        earlier = self._spans.get(name)
        if earlier is not None:
            message = f"the object here would be called {name!r}, and so is another type"
            notes = [Note(earlier, "this one")]
            self._diagnostics.error("duplicate-name", span, message, "declare it under a name of its own", notes)
        self._spans[name] = span
        described = replace(inline.record, name=name, span=span, description=inline.record.description or description)
        self._record(described)
        return Reference(module=self._module.name, name=name)


def _hint(member: Type) -> str:
    return (member.hint or "") if isinstance(member, Inline) else ""
