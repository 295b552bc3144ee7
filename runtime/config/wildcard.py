"""Names against lists of names and one-star patterns, as the keys of clients hold them."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.config.resolve import match

__all__ = ["allows"]


def allows(models: Sequence[str], name: str) -> bool:
    """Whether ``models`` allow ``name``: empty allows all; a `*` stands for any text, also for none."""
    return not models or any(entry == name or ("*" in entry and _fits(entry, name)) for entry in models)


def _fits(pattern: str, name: str) -> bool:
    return match(pattern, name) is not None or pattern.replace("*", "") == name
