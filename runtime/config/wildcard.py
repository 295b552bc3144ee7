"""One-star patterns: names against lists of them, as the keys of clients hold them, and one against another."""

from __future__ import annotations

from collections.abc import Sequence

from runtime.config.resolve import match

__all__ = ["allows", "overlap"]


def allows(models: Sequence[str], name: str) -> bool:
    """Whether ``models`` allow ``name``: empty allows all; a `*` stands for any text, also for none."""
    return not models or any(entry == name or ("*" in entry and _fits(entry, name)) for entry in models)


def overlap(pattern: str, other: str) -> bool:
    """Whether some name fits both."""
    (head, _, tail), (other_head, _, other_tail) = pattern.partition("*"), other.partition("*")
    heads = head.startswith(other_head) or other_head.startswith(head)
    return heads and (tail.endswith(other_tail) or other_tail.endswith(tail))


def _fits(pattern: str, name: str) -> bool:
    return match(pattern, name) is not None or pattern.replace("*", "") == name
