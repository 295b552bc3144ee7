"""Quantities on pages: the smallest unit back to what an operator writes, and the patterns an editor checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from runtime.source.unit import written

__all__ = ["SCHEMAS", "SECRET", "written"]

SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    "duration": {
        "type": ["string", "integer"],
        "pattern": "^(0|([0-9]+(\\.[0-9]+)?(ms|s|m|h|d))+)$",
        "minimum": 0,
        "maximum": 0,
        "examples": ["250ms", "30s", "2m", "1h30m"],
    },
    "size": {
        "type": "string",
        "pattern": "^[0-9]+(\\.[0-9]+)? ?(B|kB|KB|MB|GB|KiB|MiB|GiB)$",
        "examples": ["512KiB", "32MiB", "2GiB"],
    },
    "usd": {
        "type": ["number", "string"],
        "pattern": "^[0-9]+(\\.[0-9]{1,9})?$",
        "minimum": 0,
        "examples": [2.5],
    },
}
"""JSON Schemas of quantities as they stand in YAML."""

SECRET: Final[Mapping[str, Any]] = {
    "type": "string",
    "pattern": "^(\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}|file:\\S.*)$",
    "examples": ["${OPENAI_API_KEY}", "file:/run/secrets/openai"],
}
"""A reference to a secret, never the secret."""
