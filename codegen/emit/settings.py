"""`generated/config.py`: the Structs of gateway.yaml and the list of all settings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, cast

import msgspec
from jinja2 import Environment

from codegen.emit import layout
from codegen.emit.layout import Atom, Call, Expression, Sequence_, Subscript, assignment, class_header, flat
from codegen.emit.output import Output
from codegen.emit.python import exports, header
from codegen.emit.value import expression
from codegen.ir import AnyItem, Item, ListItem, MapItem, Plain, Project, RecordItem, Section, Setting

__all__ = ["SOURCE", "emit_settings", "setting_paths"]

SOURCE = "schemas/config/"

_QUANTITIES = {"duration": "Milliseconds", "size": "Bytes", "usd": "NanoUsd"}
_WORDS = {"text": "str", "secret": "str", "integer": "int", "number": "float", "boolean": "bool"}
_STRUCT: list[tuple[str, Expression]] = [
    (name, Atom("True")) for name in ("frozen", "kw_only", "omit_defaults", "forbid_unknown_fields")
]


def emit_settings(project: Project, env: Environment) -> Iterator[Output]:
    """One module for all sections."""
    if not project.sections:
        return
    records = [_record(record.name, record.help, [_field(setting) for setting in record.settings])
               for section in project.sections for record in section.records]  # fmt: skip
    version = {
        "line": assignment("version", Atom("int"), None, depth=1),
        "help": "The version of gateway.yaml's format.",
    }
    sections = [{"line": _section_line(section), "help": section.help} for section in project.sections]
    records.append(_record("GatewayConfig", "The whole of gateway.yaml.", [version, *sections]))
    opened = {record.name: record.settings for section in project.sections for record in section.records}
    paths = [found for section in project.sections for found in setting_paths(section, opened)]
    settings = [_setting(path, setting) for path, setting in paths]
    annotation = Subscript("tuple", (Atom("Setting"), Atom("...")))
    table = assignment("SETTINGS", annotation, Sequence_(tuple(settings)))
    names = ["SETTINGS", "Setting", *(record["name"] for record in records)]
    yield Output(
        path="generated/config.py",
        sources=(SOURCE,),
        text=env.get_template("config.py.jinja").render(
            header=header(SOURCE),
            imports=_imports(" ".join(field["line"] for record in records for field in record["fields"])),
            exports=exports(names),
            records=records,
            settings=table,
        ),
    )


def setting_paths(section: Section, records: Mapping[str, tuple[Setting, ...]]) -> Iterator[tuple[str, Setting]]:
    """Every setting of a section, ``records`` opened, with its path: `providers.*.connections.*.key`."""

    def walk(item: Item, path: str, above: tuple[str, ...]) -> Iterator[tuple[str, Setting]]:
        match item:
            case ListItem() | MapItem():
                yield from walk(item.item, f"{path}.*", above)
            case AnyItem():
                for part in item.items:
                    yield from walk(part, path, above)
            case RecordItem() if item.name not in above:
                for setting in records.get(item.name, ()):
                    yield f"{path}.{setting.key}", setting
                    yield from walk(setting.item, f"{path}.{setting.key}", (*above, item.name))
            case _:
                return

    yield from walk(section.item, section.key if section.shape == "record" else f"{section.key}.*", ())


def _record(name: str, help_: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "header": class_header(name, "msgspec.Struct", _STRUCT), "help": help_, "fields": fields}


def _setting(path: str, setting: Setting) -> Expression:
    values: dict[str, Any] = {
        "path": path, "type": _kind(setting.item), "default": setting.written, "help": " ".join(setting.help.split()),
        "secret": setting.secret, "reload": setting.reload,
    }  # fmt: skip
    return Call("Setting", tuple((name, expression(value)) for name, value in values.items()))


def _kind(item: Item) -> str:
    match item:
        case ListItem():
            return "list"
        case MapItem():
            return "map"
        case RecordItem():
            return "record"
        case AnyItem():
            return "any"
        case Plain():
            return item.word


def _section_line(section: Section) -> str:
    entry = _annotation(section.item)
    if section.shape == "map":
        annotation: Expression = Subscript("dict", (_key(section.names), entry))
        return assignment(section.name, annotation, layout.Mapping(()), depth=1)
    if section.shape == "list":
        return assignment(section.name, Subscript("tuple", (entry, Atom("..."))), Sequence_(()), depth=1)
    complete = isinstance(section.item, RecordItem) and section.item.complete
    return assignment(section.name, entry, Call(flat(entry), ()) if complete else None, depth=1)


def _field(setting: Setting) -> dict[str, Any]:
    annotation = _annotation(setting.item)
    value: Expression | None = None
    if setting.default is not msgspec.UNSET:
        value = _default(setting.item, setting.default)
    elif not setting.required:
        annotation = layout.Union((annotation, Atom("None")))
        value = Atom("None")
    renamed: tuple[tuple[str, Expression], ...] = ()
    if setting.name != setting.key:
        renamed = (("name", expression(setting.key)),)
    if isinstance(value, layout.Mapping) and value.items:  # msgspec copies no default that holds something
        value = Call("msgspec.field", (*renamed, ("default_factory", layout.Lambda(value))))
    elif renamed:
        value = Call("msgspec.field", renamed if value is None else (*renamed, ("default", value)))
    return {"line": assignment(setting.name, annotation, value, depth=1), "help": setting.help}


def _default(item: Item, default: Any) -> Expression:
    """Lists are tuples, so that the Structs are as frozen as they say."""
    if isinstance(item, RecordItem):
        return Call(item.name, ())
    if isinstance(default, list):
        return expression(tuple(cast("Sequence[Any]", default)))
    return expression(default)


def _annotation(item: Item) -> Expression:
    match item:
        case ListItem():
            inner = Subscript("tuple", (_annotation(item.item), Atom("...")))
            return _limited(inner, min_length=item.min_items, max_length=item.max_items)
        case MapItem():
            return Subscript("dict", (_key(item.names), _annotation(item.item)))
        case RecordItem():
            return Atom(item.name)
        case AnyItem():
            return layout.Union(tuple(_annotation(part) for part in item.items))
        case Plain():
            return _plain(item)


def _plain(item: Plain) -> Expression:
    if item.word == "choice":
        return Subscript("Literal", tuple(expression(choice) for choice in item.choices))
    if item.word not in _QUANTITIES:
        return _limited(Atom(_WORDS[item.word]), ge=item.minimum, le=item.maximum, pattern=item.pattern)
    if item.minimum is None and item.maximum is None:
        return Atom(_QUANTITIES[item.word])
    # msgspec takes each limit once, so a quantity with limits of its own is spelt out.
    return _limited(Atom("int"), ge=item.minimum or 0, le=item.maximum, extra={"quantity": item.word})


def _key(names: str | None) -> Expression:
    return _limited(Atom("str"), pattern=names)


def _limited(base: Expression, **limits: Any) -> Expression:
    given = tuple((name, expression(value)) for name, value in limits.items() if value is not None)
    return Subscript("Annotated", (base, Call("msgspec.Meta", given))) if given else base


def _imports(text: str) -> list[list[str]]:
    """Import lines in groups, for what the field lines use."""
    # Defaults are literals in quotes; a word inside one would only cost an unused import, so they are cut out.
    code = re.sub(r'"(?:[^"\\]|\\.)*"|\'(?:[^\'\\]|\\.)*\'', "", text)
    typing = [name for name in ("Annotated", "Literal") if f"{name}[" in code]
    quantities = [name for name in _QUANTITIES.values() if re.search(rf"\b{name}\b", code)]
    groups = [[layout.from_import("typing", typing)]] if typing else []
    groups.append(["import msgspec"])
    return [*groups, [layout.from_import("runtime.source", quantities)]] if quantities else groups
