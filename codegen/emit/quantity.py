"""Quantities on pages: the smallest unit back to what an operator writes, and the patterns an editor checks."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from runtime.source import NANO_USD

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

_DURATIONS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_SIZES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def written(word: str, number: float) -> str:
    """``number`` of the smallest unit as an operator writes it: 90000 ms is `90s`, 2500000000 nano-dollars `2.50`."""
    if word == "usd":
        text = f"{Decimal(int(number)) / NANO_USD:f}"
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    units = {"duration": _DURATIONS, "size": _SIZES}.get(word)
    if units is None:
        return str(number)
    factor, unit = next((pair for pair in units if number and number % pair[0] == 0), units[-1])
    return f"{int(number) // factor}{unit}"
