"""YAML text to nodes that know their place. One dialect: YAML 1.2's core schema, without its traps.

PyYAML composes (its C scanner keeps positions and is fast); types are resolved here, because PyYAML's own resolver
follows YAML 1.1, reads `no` as false and `12:30` as 750, and keeps the last of two equal keys without a word.
See YAML 1.2.2, section 10.3.2 for the core schema.
"""

from __future__ import annotations

import math
import re
from typing import TypeAlias

import msgspec
import yaml
from typing_extensions import override

from runtime.source.diagnostic import Diagnostics, Note
from runtime.source.span import Span

__all__ = ["Entry", "MappingNode", "Node", "ScalarNode", "ScalarValue", "SequenceNode", "parse"]

ScalarValue: TypeAlias = "str | int | float | bool | None"

MAX_VALUES = 1_000_000  # after aliases are expanded; a 3,000-line gateway.yaml has about 10,000
MAX_REPEATED = 100_000  # of them, those that aliases repeat: some hundred bytes can stand for any number
MAX_DEPTH = 100  # collections in collections; gateway.yaml has 9, an OpenAPI document 30. The C composer knows no limit
MAX_DIGITS = 40  # of a whole number; what is longer is larger than any setting, and Python reads no more than 4,300


class ScalarNode(msgspec.Struct, frozen=True):
    """A leaf. ``raw`` is what stands in the file; ``value`` what it means; ``plain`` whether it is unquoted."""

    value: ScalarValue
    raw: str
    plain: bool
    span: Span


class SequenceNode(msgspec.Struct, frozen=True):
    items: "tuple[Node, ...]"
    span: Span


class Entry(msgspec.Struct, frozen=True):
    """One key of a mapping with its value and the key's own position."""

    key: str
    span: Span
    node: "Node"


class MappingNode(msgspec.Struct, frozen=True):
    """Entries in the order of the file; keys are distinct."""

    entries: tuple[Entry, ...]
    span: Span

    def get(self, key: str) -> Node | None:
        return next((entry.node for entry in self.entries if entry.key == key), None)


Node: TypeAlias = "ScalarNode | SequenceNode | MappingNode"


def parse(text: str | bytes, file: str, diagnostics: Diagnostics) -> Node | None:
    """Read one YAML document. Returns None, with the reasons in ``diagnostics``, when nothing can be read.

    Faults that leave the rest readable (a duplicate key, an ambiguous scalar) are recorded and reading goes on, so
    that all of them are reported at once.
    """
    if isinstance(text, bytes):
        try:
            text = text.decode("utf-8")
        except UnicodeDecodeError as error:
            readable = error.object[: error.start].decode("utf-8")
            diagnostics.error("yaml-encoding", _end_of(readable, file), "not valid UTF-8", "save the file as UTF-8")
            return None
    try:
        loader = _Loader(text)
        try:
            root = loader.get_single_node()
        finally:
            loader.dispose()
    except _TooDeepError as error:
        _too_deep(Span(file, error.mark.line + 1, error.mark.column + 1), diagnostics)
        return None
    except yaml.MarkedYAMLError as error:
        _syntax_fault(error, text, file, diagnostics)
        return None
    except yaml.reader.ReaderError as error:
        span = _end_of(text[: error.position], file)
        diagnostics.error("yaml-encoding", span, f"character #x{error.character:04x} is not allowed")
        return None
    if root is None:
        diagnostics.error("yaml-empty", Span(file, 1, 1), "the file is empty")
        return None
    if (bomb := _expanding(root)) is not None:
        span = Span(file, bomb.start_mark.line + 1, bomb.start_mark.column + 1)
        message = f"aliases repeat more than {MAX_REPEATED:,} values up to here"
        diagnostics.error("yaml-too-large", span, message, "no configuration needs so many; write out what is meant")
        return None
    return _Reader(file, diagnostics).read(root)


def _expanding(root: yaml.Node) -> yaml.Node | None:
    """The first collection that grows too large when aliases are written out; found without writing them out."""
    written, closed, sizes = 1, list[yaml.Node](), dict[int, int]()
    waiting: list[tuple[yaml.Node, bool]] = [(root, False)]
    opened: set[int] = set()
    while waiting:
        node, is_read = waiting.pop()
        if is_read:
            closed.append(node)
        elif id(node) not in opened and not isinstance(node, yaml.ScalarNode):
            opened.add(id(node))
            inside = _inside(node)
            written += len(inside)
            waiting.append((node, True))
            waiting.extend((each, False) for each in reversed(inside))
    for node in closed:  # what stands in another closes before it; what does not is a cycle, which the reader tells of
        sizes[id(node)] = size = 1 + sum(sizes.get(id(each), 1) for each in _inside(node))
        if size > written + MAX_REPEATED:
            return node
    return None


def _inside(node: yaml.Node) -> list[yaml.Node]:
    return [value for _, value in node.value] if isinstance(node, yaml.MappingNode) else list(node.value)


_UNTAGGED = "?"


class _TooDeepError(Exception):
    """The collection at ``mark`` stands in too many others."""

    def __init__(self, mark: yaml.Mark) -> None:
        super().__init__()
        self.mark = mark


class _Loader(yaml.CBaseLoader):
    """PyYAML's C parser and composer without a resolver: a node has the tag ``?`` unless the file gives it one.

    The composer calls itself for each collection in another, and the process ends where its stack does.
    """

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0

    @override
    def resolve(self, kind: type[yaml.Node], value: str | None, implicit: object) -> str:
        return _UNTAGGED

    @override
    def descend_resolver(self, current_node: yaml.Node | None, current_index: object) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH + 1 and current_node is not None:
            raise _TooDeepError(current_node.start_mark)

    @override
    def ascend_resolver(self) -> None:
        self._depth -= 1


def _too_deep(span: Span, diagnostics: Diagnostics) -> None:
    message = f"more than {MAX_DEPTH} lists and mappings stand in one another"
    diagnostics.error("yaml-too-deep", span, message, "no setting is nested so deep; look for a bracket too many")


def _end_of(text: str, file: str) -> Span:
    return Span(file, text.count("\n") + 1, len(text) - text.rfind("\n"))


def _syntax_fault(error: yaml.MarkedYAMLError, text: str, file: str, diagnostics: Diagnostics) -> None:
    mark = error.problem_mark or error.context_mark
    span = Span(file, mark.line + 1, mark.column + 1) if mark else Span(file, 1, 1)
    lines = text.splitlines()
    if lines and span.line > len(
        lines
    ):  # what is missing at the end is missed behind the last line, which no editor has
        span = Span(file, len(lines), len(lines[-1]) + 1)
    problem = error.problem or "cannot be read"
    if "expected a single document" in (error.context or "") or "single document" in problem:
        diagnostics.error("yaml-many-documents", span, "a second document begins here", "keep one document in a file")
        return
    notes = []
    if error.context and error.context_mark:
        context = Span(file, error.context_mark.line + 1, error.context_mark.column + 1)
        notes = [Note(context, error.context)] if context.line <= max(len(lines), 1) else []
    hint = "indent with spaces" if "\\t" in problem or "tab" in problem else None
    diagnostics.error("yaml-syntax", span, problem, hint, notes)


_NULLS = frozenset({"", "~", "null", "Null", "NULL"})
_BOOLEANS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_SPECIAL_FLOAT = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_AMBIGUOUS = re.compile(
    r"""y|Y|yes|Yes|YES|n|N|no|No|NO|on|On|ON|off|Off|OFF   # booleans of YAML 1.1
      | [-+]?0[0-9_]+                                        # octal there, decimal here
      | [-+]?0b[01_]+                                        # binary there, text here
      | [-+]?[0-9]+_[0-9_]*(\.[0-9_]*)?                      # 1_000: a number there, text here
      | [-+]?[1-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?         # 12:30 is 750 there
      | [0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt\ \t].*)?          # a date there, text here
    """,
    re.VERBOSE,
)


class _Reader:
    """Turns PyYAML's nodes into ours, resolving scalars, refusing what two readers could understand differently."""

    def __init__(self, file: str, diagnostics: Diagnostics) -> None:
        self._file = file
        self._diagnostics = diagnostics
        self._open: set[int] = set()
        self._values = 0
        self._deep = False

    def read(self, node: yaml.Node) -> Node | None:
        span = self._span(node)
        self._values += 1
        if self._values > MAX_VALUES:
            if self._values == MAX_VALUES + 1:
                self._diagnostics.error("yaml-too-large", span, f"more than {MAX_VALUES:,} values")
            return None
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, span)
        if id(node) in self._open:
            self._diagnostics.error("yaml-alias-cycle", span, "an alias refers to the value it stands in")
            return None
        if len(self._open) == MAX_DEPTH:
            if not self._deep:
                self._deep = True
                _too_deep(span, self._diagnostics)
            return None
        self._open.add(id(node))
        try:
            return self._collection(node, span)
        finally:
            self._open.discard(id(node))

    def _collection(self, node: yaml.Node, span: Span) -> Node | None:
        if node.tag != _UNTAGGED:
            self._diagnostics.error("yaml-tag", span, f"explicit tag {node.tag!r}", "remove the tag")
            return None
        if isinstance(node, yaml.SequenceNode):
            items = (self.read(item) for item in node.value)
            return SequenceNode(tuple(item for item in items if item is not None), span)
        assert isinstance(node, yaml.MappingNode)
        return self._mapping(node, span)

    def _mapping(self, node: yaml.MappingNode, span: Span) -> MappingNode:
        entries: dict[str, Entry] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key is None:
                continue
            key_span = self._span(key_node)
            if key in entries:
                note = Note(entries[key].span, "first written here")
                self._diagnostics.error(
                    "duplicate-key", key_span, f"the key {key!r} stands here twice", "keep one", [note]
                )
                continue
            value = self.read(value_node)
            if value is not None:
                entries[key] = Entry(key, key_span, value)
        return MappingNode(tuple(entries.values()), span)

    def _key(self, node: yaml.Node) -> str | None:
        span = self._span(node)
        if not isinstance(node, yaml.ScalarNode):
            self._diagnostics.error("key-not-text", span, "a key must be text")
            return None
        plain = not node.style
        if plain and node.value == "<<":
            self._diagnostics.error("yaml-merge-key", span, "the merge key `<<` is not read", "write the keys out")
            return None
        if plain and _AMBIGUOUS.fullmatch(node.value):
            self._diagnostics.error(
                "ambiguous-scalar",
                span,
                f"the key {node.value} is read differently by different YAML readers",
                f'write "{node.value}"',
            )
        elif plain and not isinstance(_resolve(node.value), str):
            self._diagnostics.error(
                "key-not-text", span, f"the key {node.value or '(empty)'} is not text", f'write "{node.value}"'
            )
        return str(node.value)

    def _scalar(self, node: yaml.ScalarNode, span: Span) -> ScalarNode | None:
        if node.tag != _UNTAGGED:
            self._diagnostics.error("yaml-tag", span, f"explicit tag {node.tag!r}", "remove the tag")
            return None
        if node.style:
            return ScalarNode(node.value, node.value, plain=False, span=span)
        if _AMBIGUOUS.fullmatch(node.value):
            self._diagnostics.error(
                "ambiguous-scalar",
                span,
                f"{node.value} is read differently by different YAML readers",
                f'write "{node.value}" for text, or {_plainer(node.value)}',
            )
            return ScalarNode(node.value, node.value, plain=True, span=span)
        return ScalarNode(_resolve(node.value), node.value, plain=True, span=span)

    def _span(self, node: yaml.Node) -> Span:
        return Span(self._file, node.start_mark.line + 1, node.start_mark.column + 1)


def _resolve(raw: str) -> ScalarValue:
    if raw in _NULLS:
        return None
    if raw in _BOOLEANS:
        return _BOOLEANS[raw]
    if _INTEGER.fullmatch(raw):
        return int(raw, 0) if len(raw) <= MAX_DIGITS else math.inf
    if _FLOAT.fullmatch(raw) or _SPECIAL_FLOAT.fullmatch(raw):
        return float(
            raw.replace(".inf", "inf")
            .replace(".Inf", "inf")
            .replace(".INF", "inf")
            .replace(".nan", "nan")
            .replace(".NaN", "nan")
            .replace(".NAN", "nan")
        )
    return raw


def _plainer(raw: str) -> str:
    if raw.lower() in {"y", "yes", "on"}:
        return "true"
    if raw.lower() in {"n", "no", "off"}:
        return "false"
    return "the plain decimal number"
