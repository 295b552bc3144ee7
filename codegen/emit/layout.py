"""Python expressions laid out the way the formatter leaves them, so that generating needs no formatter.

An expression is a small tree; it stands on one line where it fits in `WIDTH`, else its outermost bracket opens and each
item gets a line and a trailing comma. The tests hold the result against the real formatter.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, TypeAlias
from unicodedata import combining, east_asian_width

import msgspec

__all__ = [
    "INDENT", "WIDTH", "Atom", "Call", "Expression", "Lambda", "Mapping", "Sequence_", "Subscript", "Union", "assignment", "class_header",
    "flat", "from_import", "quoted", "string",
]  # fmt: skip

WIDTH: Final = 120
INDENT: Final = "    "

_EMPTY: Final = frozenset({"()", "[]", "{}"})
"""Values that nothing is gained by breaking."""


class Atom(msgspec.Struct, frozen=True):
    """A name or a literal that cannot be broken."""

    text: str


class Call(msgspec.Struct, frozen=True):
    """A call; an argument without a name is positional."""

    callee: str
    arguments: tuple[tuple[str, Expression], ...]


class Sequence_(msgspec.Struct, frozen=True):  # noqa: N801 — `Sequence` is taken
    """A tuple or a list."""

    items: tuple[Expression, ...]
    brackets: str = "()"


class Mapping(msgspec.Struct, frozen=True):
    items: tuple[tuple[str, Expression], ...]


class Subscript(msgspec.Struct, frozen=True):
    """`base[arguments]`, as in `list[int]`."""

    base: str
    arguments: tuple[Expression, ...]


class Union(msgspec.Struct, frozen=True):
    members: tuple[Expression, ...]


class Lambda(msgspec.Struct, frozen=True):
    """A function without parameters, as default factories are."""

    body: Expression


Expression: TypeAlias = Atom | Call | Sequence_ | Mapping | Subscript | Union | Lambda


def quoted(text: str) -> str:
    """A string literal: double quotes unless single ones need fewer escapes. Never ends early, whatever ``text`` holds."""
    quote = "'" if text.count('"') > text.count("'") else '"'
    escapes = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", quote: f"\\{quote}"}
    return quote + "".join(escapes.get(char) or _printable(char) for char in text) + quote


def _printable(char: str) -> str:
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _width(text: str) -> int:
    """Columns, as the formatter counts them: wide characters take two, combining ones none."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1 for char in text)


def _keyword(name: str) -> str:
    return f"{name}=" if name else ""


def string(text: str) -> Atom:
    return Atom(quoted(text))


def flat(expression: Expression) -> str:
    """The expression on one line."""
    match expression:
        case Atom(text):
            return text
        case Call(callee, arguments):
            return f"{callee}({', '.join(_keyword(name) + flat(value) for name, value in arguments)})"
        case Sequence_(items, brackets):
            comma = "," if len(items) == 1 and brackets == "()" else ""
            return f"{brackets[0]}{', '.join(flat(item) for item in items)}{comma}{brackets[1]}"
        case Mapping(items):
            return "{" + ", ".join(f"{quoted(key)}: {flat(value)}" for key, value in items) + "}"
        case Subscript(base, arguments):
            return f"{base}[{', '.join(flat(argument) for argument in arguments)}]"
        case Union(members):
            return " | ".join(flat(member) for member in members)
        case Lambda(body):
            return f"lambda: {flat(body)}"


def assignment(name: str, annotation: Expression | None, value: Expression | None, *, depth: int = 0) -> str:
    """`name: annotation = value` at ``depth`` levels of indentation, broken where the formatter would break it."""
    pad = INDENT * depth
    typed = "" if annotation is None else f": {flat(annotation)}"
    header = f"{pad}{name}{typed}"
    line = header if value is None else f"{header} = {flat(value)}"
    if _width(line) <= WIDTH:
        return line
    if annotation is not None and _width(header) + (0 if value is None else len(" = (")) > WIDTH:
        broken = _broken_annotation(f"{pad}{name}: ", annotation, depth)
        return broken if value is None else f"{broken} = {_laid(value, depth, 4 * depth + 4, 0)}"
    assert value is not None
    if annotation is not None and not isinstance(annotation, Atom) and flat(value) in _EMPTY:
        return f"{_broken_annotation(f'{pad}{name}: ', annotation, depth)} = {flat(value)}"
    if isinstance(value, Atom) and not isinstance(annotation, Atom | None):
        return f"{header} = (\n{pad}{INDENT}{value.text}\n{pad})"  # even if it is too wide for that, too
    return _broken_value(f"{header} = ", value, depth)


def _broken_annotation(start: str, annotation: Expression, depth: int) -> str:
    if not isinstance(annotation, Union):
        return start + _broken(annotation, depth)
    pad = INDENT * (depth + 1)
    if len(pad) + _width(flat(annotation)) <= WIDTH:
        return f"{start}(\n{pad}{flat(annotation)}\n{INDENT * depth})"
    return f"{start}(\n{pad}{_broken(annotation, depth + 1)}\n{INDENT * depth})"


def _broken_value(start: str, value: Expression, depth: int) -> str:
    inner = INDENT * (depth + 1)
    if isinstance(value, Atom):
        fits = len(inner) + _width(value.text) <= WIDTH
        return f"{start}(\n{inner}{value.text}\n{INDENT * depth})" if fits else start + value.text
    if isinstance(value, Union):
        return _broken_annotation(start, value, depth)
    opened = _broken(value, depth)
    if _width(start) + _width(opened.partition("\n")[0]) <= WIDTH:
        return start + opened
    return f"{start}(\n{inner}{_laid(value, depth + 1, len(inner), 0)}\n{INDENT * depth})"


def _laid(expression: Expression, depth: int, column: int, tail: int) -> str:
    """On one line if it fits between ``column`` and the margin with ``tail`` more characters, else broken."""
    text = flat(expression)
    return text if column + _width(text) + tail <= WIDTH else _broken(expression, depth, tail)


def _broken(expression: Expression, depth: int, tail: int = 0) -> str:
    """``tail`` is how many characters follow on the last line."""
    match expression:
        case Atom(text):
            return text
        case Call(callee, arguments):
            return _bracketed(f"{callee}(", [(_keyword(name), value) for name, value in arguments], ")", depth)
        case Sequence_(items, brackets):
            return _bracketed(brackets[0], [("", item) for item in items], brackets[1], depth)
        case Mapping(items):
            return _bracketed("{", [(f"{quoted(key)}: ", value) for key, value in items], "}", depth)
        case Subscript(base, arguments):
            return _bracketed(f"{base}[", [("", item) for item in arguments], "]", depth, comma=len(arguments) > 1)
        case Union(members):
            pad = INDENT * depth
            last = len(members) - 1
            lines = [_laid(member, depth, len(pad) + 2, tail if at == last else 0) for at, member in enumerate(members)]
            return f"\n{pad}| ".join(lines)
        case Lambda(body):
            return f"lambda: {_broken(body, depth)}"


def _bracketed(
    opening: str, items: Sequence[tuple[str, Expression]], closing: str, depth: int, *, comma: bool = True
) -> str:
    if not items:
        return opening + closing
    pad = INDENT * (depth + 1)
    end = "," if comma else ""
    lines = [
        f"{pad}{start}{_laid(value, depth + 1, len(pad) + _width(start), len(end))}{end}\n" for start, value in items
    ]
    return f"{opening}\n{''.join(lines)}{INDENT * depth}{closing}"


def class_header(name: str, base: str, arguments: Sequence[tuple[str, Expression]]) -> str:
    """`class Name(base, key=value):`."""
    parts = [base, *(f"{key}={flat(value)}" for key, value in arguments)]
    line = f"class {name}({', '.join(parts)}):"
    if _width(line) <= WIDTH:
        return line
    return f"class {name}(\n" + "".join(f"{INDENT}{part},\n" for part in parts) + "):"


def from_import(module: str, names: Sequence[str]) -> str:
    """`from module import names`, in the order that import sorters keep: constants, classes, the rest."""
    ordered = sorted(names, key=_place)
    line = f"from {module} import {', '.join(ordered)}"
    if _width(line) <= WIDTH:
        return line
    return f"from {module} import (\n" + "".join(f"{INDENT}{name},\n" for name in ordered) + ")"


def _place(name: str) -> tuple[bool, bool, list[tuple[int, str]], str]:
    """Where ``name`` stands among imported ones: by kind, then whatever its case, and numbers by their size."""
    parts = [(int(part), "") if part.isdigit() else (-1, part.lower()) for part in re.split(r"(\d+)", name)]
    return not (name.isupper() and len(name) > 1), not name[:1].isupper(), parts, name
