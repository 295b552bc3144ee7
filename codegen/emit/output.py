"""One generated file, before it is one."""

from __future__ import annotations

import msgspec

__all__ = ["Output"]


class Output(msgspec.Struct, frozen=True, kw_only=True):
    """``sources`` are the schema files, or folders ending in `/`, it is made from; empty if it depends on none of them.

    A fault in a source withholds the output.
    """

    path: str
    text: str
    sources: tuple[str, ...]
