"""Quantities as people write them: `30s`, `32MiB`, `2.50`. Each becomes an integer of its smallest unit, exactly.

A quantity is marked on a Struct's field (`timeout_ms: Milliseconds`); the decoder reads it with `read`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Final

import msgspec
from msgspec import Meta

__all__ = ["NANO_USD", "Bytes", "Milliseconds", "NanoUsd", "Quantity", "QuantityError", "read", "written"]

NANO_USD: Final = 10**9
"""Nano-dollars in a dollar."""

Milliseconds = Annotated[int, Meta(ge=0, extra={"quantity": "duration"})]
"""Written as `250ms`, `30s`, `2m`, `1h30m`, `7d`."""

Bytes = Annotated[int, Meta(ge=0, extra={"quantity": "size"})]
"""Written as `512KiB`, `32MiB`, `10MB`, `2GiB`, `100B`."""

NanoUsd = Annotated[int, Meta(ge=0, extra={"quantity": "usd"})]
"""Written as a plain decimal number of dollars, `2.50`; at most nine decimal places."""


class Quantity(msgspec.Struct, frozen=True):
    """How one kind of quantity is written: ``example`` serves in hints."""

    noun: str
    example: str


QUANTITIES: Final[Mapping[str, Quantity]] = {
    "duration": Quantity("a duration", "30s"),
    "size": Quantity("a size", "32MiB"),
    "usd": Quantity("an amount in dollars", "2.50"),
}

_DURATION_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}
_SIZE_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30,
}  # fmt: skip
_DURATION = re.compile(r"(?:(?:[0-9]+(?:\.[0-9]+)?)(?:ms|s|m|h|d))+")
_DURATION_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d)")
_MAX_CHARS: Final = 40  # in which Fraction is exact and fast; the longest amount that means something has about 20
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([A-Za-z]+)")
_USD = re.compile(r"[0-9]+(\.[0-9]{1,9})?")


class QuantityError(ValueError):
    """The text is no such quantity; ``hint`` says how one is written."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


def read(kind: str, raw: str) -> int:
    """Read ``raw`` as a ``duration`` (milliseconds), ``size`` (bytes) or ``usd`` (nano-dollars). Raises QuantityError."""
    if len(raw) > _MAX_CHARS:
        raise QuantityError(f"{raw[:_MAX_CHARS]}… is too long to be {QUANTITIES[kind].noun}", "write fewer digits")
    return {"duration": _read_duration, "size": _read_size, "usd": _read_usd}[kind](raw)


def written(kind: str, number: float) -> str:
    """``number`` of the smallest unit as an operator writes it: 90000 ms is `90s`, 2500000000 nano-dollars `2.50`."""
    if kind == "usd":
        text = f"{Decimal(int(number)) / NANO_USD:f}"
        whole, _, fraction = text.partition(".")
        return f"{whole}.{fraction.rstrip('0').ljust(2, '0')}"
    units = {"duration": _DURATIONS, "size": _SIZES}.get(kind)
    if units is None:
        return str(number)
    factor, unit = next((pair for pair in units if number and number % pair[0] == 0), units[-1])
    return f"{int(number) // factor}{unit}"


_DURATIONS: Final = ((86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s"), (1, "ms"))
_SIZES: Final = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def _read_duration(raw: str) -> int:
    if raw == "0":
        return 0
    if not _DURATION.fullmatch(raw):
        if re.fullmatch(r"[0-9.]+", raw):
            raise QuantityError(f"{raw} has no unit", f"write {raw}s" + ("" if "." in raw else f" or {raw}ms"))
        raise QuantityError(f"{raw!r} is not a duration", "write it as 250ms, 30s, 2m, 1h30m or 7d")
    total = sum((Fraction(number) * _DURATION_MS[unit] for number, unit in _DURATION_PART.findall(raw)), Fraction(0))
    return _whole(total, raw, "a whole number of milliseconds")


def _read_size(raw: str) -> int:
    found = _SIZE.fullmatch(raw)
    if not found:
        if re.fullmatch(r"[0-9.]+", raw):
            raise QuantityError(f"{raw} has no unit", f"write {raw}B, {raw}KiB or {raw}MiB")
        raise QuantityError(f"{raw!r} is not a size", "write it as 512KiB, 32MiB or 2GiB")
    number, unit = found.groups()
    if unit not in _SIZE_BYTES:
        raise QuantityError(f"unknown unit {unit!r} in {raw!r}", f"use one of {', '.join(_SIZE_BYTES)}")
    return _whole(Fraction(number) * _SIZE_BYTES[unit], raw, "a whole number of bytes")


def _read_usd(raw: str) -> int:
    if re.fullmatch(r"[0-9]+\.[0-9]{10,}", raw):
        raise QuantityError(f"{raw} has more than nine decimal places", "round it: a nano-dollar is the least there is")
    if not _USD.fullmatch(raw):
        raise QuantityError(f"{raw!r} is not an amount in dollars", "write a plain decimal number such as 2.50")
    return _whole(Fraction(raw) * NANO_USD, raw, "a whole number of nano-dollars")


def _whole(value: Fraction, raw: str, what: str) -> int:
    if value.denominator != 1:
        raise QuantityError(f"{raw!r} is not {what}", f"round it to {what}")
    return value.numerator
