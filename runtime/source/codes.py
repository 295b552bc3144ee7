"""Every diagnostic code with the sentence that explains it; ``docs/reference/diagnostics.md`` is made from this table.

A code is stable: it keeps its meaning, and one that goes is never given another.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["CODES"]

CODES: Mapping[str, str] = MappingProxyType(
    {
        # reading YAML
        "yaml-syntax": "The file is not well-formed YAML.",
        "yaml-encoding": "The file is not valid UTF-8, or holds a character that YAML does not allow.",
        "yaml-tag": "Explicit tags such as `!!str` or `!env` are not read: a value's type comes from the schema.",
        "yaml-merge-key": "The merge key `<<` is not part of YAML 1.2. Write the keys out.",
        "yaml-alias-cycle": "An alias refers to the value that contains it.",
        "yaml-too-large": "After aliases are expanded the document has more values than any sound configuration.",
        "yaml-many-documents": "One file holds one document.",
        "yaml-empty": "The file holds no value.",
        "duplicate-key": "A mapping has the same key twice; readers would disagree on which one counts.",
        "key-not-text": "Keys are text. Quote a number or a date that is meant as a name.",
        "ambiguous-scalar": "YAML 1.1 and YAML 1.2 read this unquoted value differently (`no`, `0123`, `12:30`). Quote it.",
        # shape
        "missing-version": "The first key of every file is `version`.",
        "unsupported-version": "The file is written for another version of this compiler.",
        "unknown-field": "The schema has no such key here.",
        "missing-field": "A required key is absent.",
        "wrong-type": "The value has another type than the schema asks for.",
        "invalid-value": "The value has the right type and breaks a rule of the schema: a range, a pattern, a length.",
        "unknown-choice": "The value is not one of the allowed words.",
        "wrong-unit": "A duration, size or price is written without its unit, or with one that does not belong to it.",
        # schemas: names, references, the dialect
        "unknown-file": "A file below `schemas/` belongs to no kind of schema.",
        "unknown-name": "A reference names something that does not exist.",
        "duplicate-name": "Two things have the same name, or would become the same name in Python.",
        "bad-name": "The name cannot be written in Python, or is reserved there.",
        "name-mismatch": "A file is called otherwise than what it describes.",
        "useless-keyword": "A keyword of a schema has nothing to act on, so it would promise what nobody checks.",
        "unsupported-schema": "The schema is JSON Schema, but outside the subset that compiles to Python types.",
        "ambiguous-union": "The members of a `oneOf` cannot be told apart when JSON is read.",
        "alias-cycle": "A type that is no object contains itself.",
        "bad-pattern": "A pattern is not a regular expression, or cannot do what it is there for.",
        "contradiction": "Two statements of one file exclude each other.",
    }
)
