"""Turn the discriminator's const of each member of a union into the record's tag; refuse unions nobody can read.

A record has one tag field, whichever unions it is in. What is left after this pass is what the decoder can tell apart:
at most one member per JSON type, or records with distinct tags.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from codegen.ir import (
    Boolean,
    Choice,
    Declaration,
    Integer,
    ListOf,
    MapOf,
    Null,
    Number,
    OneOf,
    Project,
    Raw,
    Record,
    Reference,
    Tag,
    Text,
    Type,
)  # fmt: skip
from codegen.passes.rewrite import Table, map_declaration, resolve, table
from runtime.source import Diagnostics, Note

__all__ = ["tag_unions"]


def tag_unions(project: Project, diagnostics: Diagnostics) -> Project:
    """Tag the members of every discriminated union."""
    names = table(project)
    tagger = _Tagger(names, diagnostics)
    for visit in (tagger.tag, tagger.check):
        for item in names.values():
            map_declaration(item, visit)
    modules = tuple(
        replace(module, declarations=tuple(_tagged(module.name, item, tagger.tags) for item in module.declarations))
        for module in project.modules
    )
    return replace(project, modules=modules)


def _tagged(module: str, item: Declaration, tags: dict[tuple[str, str], Tag]) -> Declaration:
    tag = tags.get((module, item.name))
    if tag is None or not isinstance(item, Record):
        return item
    return replace(item, tag=tag, fields=tuple(field for field in item.fields if field.wire != tag.field))


class _Tagger:
    def __init__(self, names: Table, diagnostics: Diagnostics) -> None:
        self._names = names
        self._diagnostics = diagnostics
        self.tags: dict[tuple[str, str], Tag] = {}

    def tag(self, type_: Type) -> Type:
        """Note the tags that a union gives its members."""
        if isinstance(type_, OneOf) and type_.discriminator is not None:
            self._tag(type_, type_.discriminator, _records(type_, self._names))
        return type_

    def check(self, type_: Type) -> Type:
        """Report a union whose members look alike. All tags are known by now."""
        if isinstance(type_, OneOf):
            self._check_readable(type_, list(_members(type_, self._names)), _records(type_, self._names))
        return type_

    def _tag(self, union: OneOf, discriminator: str, records: list[tuple[str, str]]) -> None:
        by_value: dict[str | int, str] = {}
        for key in records:
            record = self._names.get(key)
            if not isinstance(record, Record):
                continue
            value = _const(record, discriminator)
            if value is None:
                message = f"{record.name} has no required const {discriminator!r} to be told apart by"
                notes = [Note(union.span, "in this union")]
                self._diagnostics.error(
                    "ambiguous-union", record.span, message, f"add `{discriminator}: {{const: …}}`", notes
                )
                continue
            if value in by_value and by_value[value] != record.name:
                message = f"{by_value[value]} and {record.name} have the same {discriminator}: {value!r}"
                self._diagnostics.error("ambiguous-union", union.span, message)
            by_value[value] = record.name
            tag = Tag(field=discriminator, value=value)
            if self.tags.setdefault(key, tag) != tag:
                message = f"{record.name} is told apart by {self.tags[key].field!r} in another union"
                self._diagnostics.error("ambiguous-union", union.span, message, "use one discriminator for a type")

    def _check_readable(self, union: OneOf, members: list[Type], records: list[tuple[str, str]]) -> None:
        kinds: dict[str, Type] = {}
        if len(set(records)) > 1 and union.discriminator is None and not self._all_tagged(records):
            hint = "add a `discriminator` and give each member a const"
            self._diagnostics.error(
                "ambiguous-union", union.span, "several objects, and nothing to tell them apart", hint
            )
        for member in members:
            kind = _json_kind(member)
            earlier = kinds.setdefault(kind, member)
            if kind == "anything" and len(members) > 1:
                self._diagnostics.error(
                    "ambiguous-union", union.span, "x-raw beside other types takes everything", "keep x-raw alone"
                )
            elif earlier is not member and not (isinstance(earlier, Reference) and isinstance(member, Reference)):
                self._diagnostics.error(
                    "ambiguous-union", union.span, f"two members are read from the same JSON: {kind}"
                )

    def _all_tagged(self, records: list[tuple[str, str]]) -> bool:
        """Whether other unions gave the records distinct tags under one name."""
        tags = [self.tags.get(key) for key in dict.fromkeys(records)]
        fields = {tag.field for tag in tags if tag is not None}
        return None not in tags and len(fields) == 1 and len(set(tags)) == len(tags)


def _records(union: OneOf, names: Table) -> list[tuple[str, str]]:
    return [(member.module, member.name) for member in _members(union, names) if isinstance(member, Reference)]


def _members(union: OneOf, names: Table, above: tuple[OneOf, ...] = ()) -> Iterator[Type]:
    """The members with aliases followed, so that a union of unions shows all its records. Cycles are cut."""
    for member in union.members:
        found = resolve(member, names)
        if not isinstance(found, OneOf):
            yield found
        elif found not in above:
            yield from _members(found, names, (*above, found))


def _const(record: Record, wire: str) -> str | int | None:
    if record.tag is not None and record.tag.field == wire:
        return record.tag.value
    for field in record.fields:
        if field.wire == wire and isinstance(field.type, Choice) and field.type.const:
            return field.type.values[0]
    return None


def _json_kind(type_: Type) -> str:
    match type_:
        case Text() | Choice():
            numbers = isinstance(type_, Choice) and all(isinstance(value, int) for value in type_.values)
            return "a whole number" if numbers else "a text"
        case Integer():
            return "a whole number"
        case Number():
            return "a number"
        case Boolean():
            return "true or false"
        case ListOf():
            return "an array"
        case Raw():
            return "anything"
        case Null():
            return "null"
        case Reference() | MapOf():
            return "an object"
        case _:
            return type(type_).__name__
