"""The settings of gateway.yaml to the middle: what each holds, its bounds and default in the smallest unit.

Defaults and bounds are read by the same decoder that will read the operator's file, so a default that an operator could
not write is a fault here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from types import GenericAlias
from typing import Annotated, Any, Final, Literal, cast, get_args

import msgspec

from codegen.ir import AnyItem, Item, ListItem, MapItem, Plain, RecordItem, Section, Setting, SettingRecord
from codegen.load import Source
from codegen.naming import is_class_name, python_name
from codegen.spec import RecordSpec, SectionFile, SettingSpec
from runtime.source import (
    Bytes,
    Diagnostics,
    MappingNode,
    Milliseconds,
    NanoUsd,
    Node,
    Note,
    ScalarNode,
    Span,
    closest,
    decode,
    locate,
)  # fmt: skip

__all__ = ["SUFFIXES", "lower_sections"]

SUFFIXES: Final[Mapping[str, str]] = {"duration": "_ms", "size": "_bytes", "usd": "_nano_usd"}
"""What a quantity's field is called beyond its setting."""

_PLAIN: Final = ("text", "integer", "number", "boolean", "duration", "size", "usd", "secret", "choice")
_BOUNDED: Final = frozenset({"integer", "number", "duration", "size", "usd"})
_TYPES: Final[Mapping[str, Any]] = {
    "text": str, "secret": str, "integer": int, "number": float, "boolean": bool, "duration": Milliseconds, "size": Bytes,
    "usd": NanoUsd, "choice": str,
}  # fmt: skip
_KEY: Final = re.compile(r"[a-z][a-z0-9_]*")


def lower_sections(sources: Iterable[Source[SectionFile]], diagnostics: Diagnostics) -> tuple[Section, ...]:
    """Lower every section, in their order; a class name may be used once in all of gateway.yaml.

    A section may use the records of another one.
    """
    taken: dict[str, Span] = {}
    ordered = sorted(sources, key=lambda source: (source.spec.order, source.spec.section))
    records = {name: record for source in ordered for name, record in source.spec.records.items()}
    return tuple(_Lowerer(source, records, taken, diagnostics).section() for source in ordered)


class _Lowerer:
    def __init__(
        self,
        source: Source[SectionFile],
        records: Mapping[str, RecordSpec],
        taken: dict[str, Span],
        diagnostics: Diagnostics,
    ) -> None:
        self._source = source
        self._spec = source.spec
        self._records = records
        self._taken = taken
        self._diagnostics = diagnostics

    def section(self) -> Section:
        spec, node = self._spec, self._source.node
        if spec.section != self._source.stem:
            self._error("name-mismatch", ("section",), f"{self._source.path} describes the section {spec.section!r}")
        records = [self._record(name, record, ("records", name)) for name, record in spec.records.items()]
        item: Item = Plain(word="text")
        if spec.struct is not None:
            self._claim(spec.struct, locate(node, ("struct",)))
            own = self._record(spec.struct, RecordSpec(help=spec.help, settings=spec.settings), ())
            records.append(own)
            item = RecordItem(name=spec.struct, complete=_complete(spec.settings))
        elif spec.of is not None and spec.shape != "record":
            item = self._of_word(spec.of, SettingSpec(type="text", help=spec.help), ("of",))
        else:
            self._error("missing-field", (), "a section lacks `struct`", "name the class of the section")
        if spec.struct is not None and spec.of is not None:
            self._error("contradiction", ("of",), "a section has either `struct` or `of`", "remove one")
        return Section(
            key=spec.section, name=python_name(spec.section), help=spec.help, shape=spec.shape, names=spec.names, item=item,
            records=_in_order(records), example=spec.example, source=self._source.path, span=node.span,
        )  # fmt: skip

    def _record(self, name: str, spec: RecordSpec, path: tuple[str, ...]) -> SettingRecord:
        span = locate(self._source.node, path, key=True)
        if path:
            self._claim(name, span)
        settings = tuple(self._setting(key, item, (*path, "settings", key)) for key, item in spec.settings.items())
        seen: dict[str, Setting] = {}
        for setting in settings:
            earlier = seen.setdefault(setting.name, setting)
            if earlier is not setting:
                notes = [Note(earlier.span, "the other one")]
                message = f"{setting.key!r} and {earlier.key!r} become the same field {setting.name!r}"
                self._diagnostics.error("duplicate-name", setting.span, message, "rename one", notes)
        return SettingRecord(name=name, help=spec.help, settings=settings, span=span)

    def _claim(self, name: str, span: Span) -> None:
        if not is_class_name(name) or name == "GatewayConfig":
            hint = "begin with a capital, use letters and digits"
            self._diagnostics.error("bad-name", span, f"{name!r} cannot be the name of a class", hint)
        earlier = self._taken.setdefault(name, span)
        if earlier is not span:
            notes = [Note(earlier, "here")]
            self._diagnostics.error("duplicate-name", span, f"the class {name!r} exists already", "rename one", notes)

    # -- one setting

    def _setting(self, key: str, spec: SettingSpec, path: tuple[str, ...]) -> Setting:
        item = self._item(spec, path)
        leaves = list(_leaves(item))
        span = locate(self._source.node, path, key=True)
        if not _KEY.fullmatch(key):
            hint = "use lower-case letters, digits and `_`"
            self._diagnostics.error("bad-name", span, f"{key!r} cannot be the name of a setting", hint)
        self._check_keywords(spec, leaves, path)
        default, written = self._default(spec, item, path)
        suffix = SUFFIXES.get(leaves[0].word, "") if len(leaves) == 1 else ""
        name = python_name(key if not suffix or key.endswith(suffix) else f"{key}{suffix}")
        return Setting(
            key=key, name=name, item=item, required=spec.required, default=default, written=written, help=spec.help,
            secret=spec.secret or any(leaf.word == "secret" for leaf in leaves), reload=spec.reload, example=spec.example,
            span=span,
        )  # fmt: skip

    def _item(self, spec: SettingSpec, path: tuple[str, ...]) -> Item:
        if spec.type not in {"list", "map", "record"}:
            return self._plain(spec.type, spec, path)
        if spec.of is None or (spec.type == "record" and not isinstance(spec.of, str)):
            self._error("missing-field", path, f"a {spec.type} lacks `of`", "say what it holds: `of: text`")
            return Plain(word="text")
        words = (spec.of,) if isinstance(spec.of, str) else spec.of
        items = tuple(self._of_word(word, spec, (*path, "of")) for word in words)
        inner = items[0] if len(items) == 1 else AnyItem(items=items)
        if spec.type == "list":
            return ListItem(item=inner, min_items=spec.min_items, max_items=spec.max_items)
        if spec.type == "map":
            return MapItem(item=inner, names=spec.names)
        if not isinstance(inner, RecordItem):
            self._error("wrong-type", (*path, "of"), "a record's `of` is the name of a record")
        return inner

    def _of_word(self, word: str, spec: SettingSpec, path: tuple[str, ...]) -> Item:
        if word in _PLAIN:
            return self._plain(word, spec, path)
        record = self._records.get(word)
        if record is None:
            known = [*_PLAIN, *self._spec.records]
            near = closest(word, known)
            notes = (
                [Note(locate(self._source.node, ("records", near), key=True), "this record")]
                if near not in (None, *_PLAIN)
                else []
            )
            hint = f"did you mean {near!r}?" if near else f"known: {', '.join(known)}"
            self._error("unknown-name", path, f"no type word or record {word!r}", hint, notes)
            return Plain(word="text")
        return RecordItem(name=word, complete=_complete(record.settings))

    def _plain(self, word: str, spec: SettingSpec, path: tuple[str, ...]) -> Plain:
        if word == "choice" and not spec.choices:
            self._error("missing-field", path, "a choice lacks `choices`", "list the words")
        bounds: dict[str, int | float] = {}
        for name in ("minimum", "maximum") if word in _BOUNDED else ():
            node = _at(self._source.node, (*path, name))
            if node is not None:
                bound = decode(node, _TYPES[word], self._diagnostics, name)
                if bound is not None:
                    bounds[name] = bound
        if bounds.get("minimum", 0) > bounds.get("maximum", float("inf")):
            self._error("contradiction", (*path, "minimum"), "the minimum is more than the maximum")
        return Plain(
            word=cast("Literal['text']", word),  # one of _PLAIN
            choices=spec.choices if word == "choice" else (),
            minimum=bounds.get("minimum"),
            maximum=bounds.get("maximum"),
            pattern=self._pattern(spec.pattern, path) if word == "text" else None,
        )

    def _pattern(self, pattern: str | None, path: tuple[str, ...]) -> str | None:
        try:
            re.compile(pattern or "")
        except re.error as error:
            self._error("bad-pattern", (*path, "pattern"), f"no regular expression: {error}")
            return None
        return pattern

    def _check_keywords(self, spec: SettingSpec, leaves: list[Plain], path: tuple[str, ...]) -> None:
        words = {leaf.word for leaf in leaves}
        useful = {
            "of": spec.type in {"list", "map", "record"},
            "choices": "choice" in words,
            "minimum": bool(words & _BOUNDED),
            "maximum": bool(words & _BOUNDED),
            "pattern": "text" in words,
            "names": spec.type == "map",
            "min_items": spec.type == "list",
            "max_items": spec.type == "list",
        }
        for keyword, has_effect in useful.items():
            if not has_effect and _at(self._source.node, (*path, keyword)) is not None:
                message = f"{keyword} has no effect on a {spec.type}"
                span = locate(self._source.node, (*path, keyword), key=True)
                self._diagnostics.error("useless-keyword", span, message, "remove it")

    def _default(self, spec: SettingSpec, item: Item, path: tuple[str, ...]) -> tuple[Any, str | None]:
        node = _at(self._source.node, (*path, "default"))
        if node is None:
            return msgspec.UNSET, None
        if spec.required:
            self._error(
                "contradiction", (*path, "default"), "a required setting has a default", "remove one of the two"
            )
        if any(isinstance(part, RecordItem) for part in _parts(item)):
            if _is_empty(node) and not (isinstance(item, RecordItem) and not item.complete):
                return ([] if isinstance(item, ListItem) else {}), _written(node)
            self._error(
                "unsupported-schema", (*path, "default"), "the default of a record is empty", "write `{}` or `[]`"
            )
            return msgspec.UNSET, None
        value = decode(node, _python_type(item), self._diagnostics, "default")
        return (msgspec.UNSET, None) if value is None else (msgspec.to_builtins(value), _written(node))

    def _error(
        self, code: str, path: tuple[str, ...], message: str, hint: str | None = None, notes: Iterable[Note] = ()
    ) -> None:
        self._diagnostics.error(code, locate(self._source.node, path), message, hint, notes)


def _complete(settings: Mapping[str, SettingSpec]) -> bool:
    return not any(setting.required for setting in settings.values())


def _in_order(records: list[SettingRecord]) -> tuple[SettingRecord, ...]:
    """What is used before what uses it, else as written."""
    by_name = {record.name: record for record in records}
    done: dict[str, SettingRecord] = {}
    open_: set[str] = set()

    def visit(record: SettingRecord) -> None:
        if record.name in done or record.name in open_:
            return
        open_.add(record.name)
        for setting in record.settings:
            for part in _parts(setting.item):
                if isinstance(part, RecordItem) and part.name in by_name:
                    visit(by_name[part.name])
        done[record.name] = record

    for record in records:
        visit(record)
    return tuple(done.values())


def _parts(item: Item) -> Iterable[Item]:
    yield item
    if isinstance(item, ListItem | MapItem):
        yield from _parts(item.item)
    elif isinstance(item, AnyItem):
        for part in item.items:
            yield from _parts(part)


def _leaves(item: Item) -> Iterable[Plain]:
    return (part for part in _parts(item) if isinstance(part, Plain))


def _python_type(item: Item) -> Any:
    """The type the decoder reads a default as."""
    match item:
        case ListItem():
            return GenericAlias(tuple, (_python_type(item.item), ...))
        case MapItem():
            return GenericAlias(dict, (str, _python_type(item.item)))
        case AnyItem():
            return _python_type(item.items[0])
        case Plain(word="choice", choices=choices) if choices:
            return Literal[choices]
        case Plain():
            return _bounded(item)
        case _:
            return Any


def _bounded(plain: Plain) -> Any:
    type_ = _TYPES[plain.word]
    base, extra = (get_args(type_)[0], get_args(type_)[1].extra) if get_args(type_) else (type_, None)
    if plain.word in _BOUNDED:
        minimum = plain.minimum if plain.minimum is not None or extra is None else 0
        return Annotated[base, msgspec.Meta(ge=minimum, le=plain.maximum, extra=extra)]
    return Annotated[base, msgspec.Meta(pattern=plain.pattern)] if plain.pattern else base


def _at(node: Node, path: tuple[str, ...]) -> Node | None:
    found: Node | None = node
    for step in path:
        found = found.get(step) if isinstance(found, MappingNode) else None
    return found


def _is_empty(node: Node) -> bool:
    return (isinstance(node, MappingNode) and not node.entries) or (
        not isinstance(node, MappingNode | ScalarNode) and not node.items
    )


def _written(node: Node) -> str:
    """The value as an operator writes it, on one line."""
    if isinstance(node, ScalarNode):
        return node.raw
    if isinstance(node, MappingNode):
        return "{" + ", ".join(f"{entry.key}: {_written(entry.node)}" for entry in node.entries) + "}"
    return "[" + ", ".join(_written(item) for item in node.items) + "]"
