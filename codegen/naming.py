"""Names in schemas to names in Python: what is legal, what is reserved, what collides.

`PythonName` and `ClassName` are types of their own so that a wire name cannot reach a page where an identifier belongs.
"""

from __future__ import annotations

import keyword
import re
from typing import NewType

__all__ = ["RESERVED_CLASSES", "ClassName", "PythonName", "class_name", "is_class_name", "module_name", "python_name"]

PythonName = NewType("PythonName", str)
"""A legal identifier for a field, variable or module."""

ClassName = NewType("ClassName", str)
"""A legal identifier for a class or type alias."""

RESERVED_CLASSES = frozenset({
    "Annotated", "Any", "Bytes", "Final", "Literal", "Mapping", "Milliseconds", "NanoUsd", "None", "True", "False",
    "Setting", "TypeAlias",
})  # fmt: skip
"""Names that generated pages import or define for themselves."""

_RESERVED_FIELDS = frozenset({"bool", "dict", "float", "int", "list", "msgspec", "str", "tuple"})
_CLASS = re.compile(r"[A-Z][A-Za-z0-9]*")
_WORD_BREAK = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|[^A-Za-z0-9]+")


def python_name(wire: str) -> PythonName:
    """The identifier for a wire name: case kept, other characters become `_`.

    A number in front gets an `n`, a keyword or the name of a type a `_` behind it.
    """
    name = re.sub(r"[^A-Za-z0-9_]", "_", wire).lstrip("_") or "field"
    if name[0].isdigit():
        name = f"n{name}"
    if keyword.iskeyword(name) or name in _RESERVED_FIELDS:
        name = f"{name}_"
    return PythonName(name)


def module_name(identifier: str) -> PythonName:
    """The module for an id such as `fireworks-ai` or `01ai`: lower case, keywords escaped."""
    return python_name(identifier.lower())


def class_name(*words: str) -> ClassName:
    """One class name out of several words of any spelling: `ChatRequest`, `stop_reason` to `ChatRequestStopReason`."""
    parts = [part for word in words for part in _WORD_BREAK.split(word) if part]
    name = "".join(part[0].upper() + part[1:] for part in parts)
    return ClassName(name if name[:1].isalpha() else f"T{name}")


def is_class_name(name: str) -> bool:
    """Whether a type may be called so in a schema."""
    return bool(_CLASS.fullmatch(name)) and name not in RESERVED_CLASSES
