"""Modules of types: records become msgspec Structs, everything else a type alias."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec
from jinja2 import Environment

from codegen.emit import layout
from codegen.emit.layout import Atom, Call, Expression, Subscript, assignment, class_header, flat
from codegen.emit.output import Output
from codegen.emit.python import exports, header
from codegen.emit.value import expression
from codegen.ir import (
    Alias,
    Boolean,
    Choice,
    Declaration,
    Field,
    Inline,
    Integer,
    ListOf,
    MapOf,
    Module,
    Null,
    Number,
    OneOf,
    Project,
    Raw,
    Reference,
    Text,
    Type,
)  # fmt: skip
from codegen.passes.rewrite import references

__all__ = ["emit_types", "type_expression"]

_UNSET = Atom("msgspec.UNSET")


def emit_types(project: Project, env: Environment) -> Iterator[Output]:
    """`generated/types/<module>.py` for every module, and the package."""
    template = env.get_template("types.py.jinja")
    for module in project.modules:
        if not module.declarations:
            continue
        yield Output(
            path=f"generated/types/{module.name}.py",
            sources=(module.source,),
            text=template.render(
                header=header(module.source),
                title=module.title,
                imports=_imports(module),
                exports=exports([item.name for item in module.declarations]),
                declarations=[_declaration(item) for item in module.declarations],
            ),
        )
    yield Output(
        path="generated/types/__init__.py",
        sources=(),
        text=env.get_template("package.py.jinja").render(
            header=header("schemas/protocols/"),
            title="Types of the wire protocols: one module each, msgspec Structs only.",
        ),
    )


def type_expression(type_: Type) -> Expression:
    """The annotation for a type."""
    match type_:
        case Text():
            return _limited("str", min_length=type_.min_length, max_length=type_.max_length, pattern=type_.pattern)
        case Integer():
            return _limited("int", ge=type_.minimum, le=type_.maximum)
        case Number():
            return _limited("float", ge=type_.minimum, le=type_.maximum)
        case ListOf():
            inner = Subscript("list", (type_expression(type_.item),))
            return _limited(inner, min_length=type_.min_items, max_length=type_.max_items)
        case MapOf():
            return Subscript("dict", (Atom("str"), type_expression(type_.value)))
        case Choice():
            return Subscript("Literal", tuple(expression(value) for value in type_.values))
        case OneOf():
            return layout.Union(tuple(type_expression(member) for member in type_.members))
        case Reference():
            return Atom(type_.name)
        case _:
            return Atom(_simple(type_))


def _simple(type_: Boolean | Null | Raw | Inline) -> str:
    match type_:
        case Boolean():
            return "bool"
        case Null():
            return "None"
        case Raw():
            return "msgspec.Raw"
        case Inline():
            raise AssertionError("the flatten pass leaves no inline object")


def _limited(base: str | Expression, **limits: Any) -> Expression:
    inner = Atom(base) if isinstance(base, str) else base
    given = tuple((name, expression(value)) for name, value in limits.items() if value is not None)
    return Subscript("Annotated", (inner, Call("msgspec.Meta", given))) if given else inner


def _imports(module: Module) -> list[list[str]]:
    """Import lines, a list for each group, as import sorters order them."""
    used = [name for item in module.declarations for name in _typing_names(item)]
    foreign: dict[str, set[str]] = {}
    for item in module.declarations:
        for type_ in _types(item):
            for found in references(type_):
                if found.module != module.name:
                    foreign.setdefault(found.module, set()).add(found.name)
    groups = [[layout.from_import("typing", sorted(set(used)))]] if used else []
    if not all(isinstance(item, Alias) for item in module.declarations) or _names_msgspec(module):
        groups.append(["import msgspec"])
    own = [layout.from_import(f"generated.types.{name}", sorted(foreign[name])) for name in sorted(foreign)]
    return [*groups, own] if own else groups


def _names_msgspec(module: Module) -> bool:
    return any("msgspec." in flat(type_expression(type_)) for item in module.declarations for type_ in _types(item))


def _types(item: Declaration) -> list[Type]:
    return [item.type] if isinstance(item, Alias) else [field.type for field in item.fields]


def _typing_names(item: Declaration) -> Iterator[str]:
    if isinstance(item, Alias):
        yield "TypeAlias"
    text = " ".join(flat(type_expression(type_)) for type_ in _types(item))
    if "Literal[" in text:
        yield "Literal"
    if "Annotated[" in text:
        yield "Annotated"


def _declaration(item: Declaration) -> dict[str, Any]:
    if isinstance(item, Alias):
        line = assignment(item.name, Atom("TypeAlias"), type_expression(item.type))
        return {"record": False, "line": line, "description": item.description}
    arguments: list[tuple[str, Expression]] = [("kw_only", Atom("True"))]
    if item.tag is not None:
        arguments += [("tag_field", expression(item.tag.field)), ("tag", expression(item.tag.value))]
    if item.closed:
        arguments.append(("forbid_unknown_fields", Atom("True")))
    return {
        "record": True,
        "header": class_header(item.name, "msgspec.Struct", arguments),
        "description": item.description,
        "fallback": f"The wire object `{item.name}`.",
        "fields": [{"line": _field(field), "description": field.description} for field in item.fields],
    }


def _field(field: Field) -> str:
    annotation = type_expression(field.type)
    default = _default(field)
    if default == _UNSET:
        members = annotation.members if isinstance(annotation, layout.Union) else (annotation,)
        annotation = layout.Union((*members, Atom("msgspec.UnsetType")))
    renamed: tuple[tuple[str, Expression], ...] = (
        (("name", expression(field.wire)),) if field.name != field.wire else ()
    )
    if isinstance(default, layout.Sequence_) and default.items:  # msgspec copies no default that holds something
        default = Call("msgspec.field", (*renamed, ("default_factory", layout.Lambda(default))))
    elif renamed:
        default = Call("msgspec.field", renamed if default is None else (*renamed, ("default", default)))
    return assignment(field.name, annotation, default, depth=1)


def _default(field: Field) -> Expression | None:
    """What a field holds when it is left out; None where it may not be."""
    if isinstance(field.type, Choice) and field.type.const:
        return expression(field.type.values[0])
    if field.required:
        return None
    return _UNSET if field.default is msgspec.UNSET else expression(field.default)
