"""Paths of surfaces: what may stand in one, wherever it is written."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["path_complaint"]

_PATH: Final = re.compile(r"/[!-~]*")
_FILLED_IN: Final = frozenset({"{model}", "{action}"})


def path_complaint(path: str) -> tuple[str, str] | None:
    """What is wrong with ``path``, below a provider's base URL, and what to write; or None."""
    unknown = [word for word in re.findall(r"\{[^}]*\}?", path) if word not in _FILLED_IN]
    if unknown:
        return f"nothing is filled in for {unknown[0]!r}", "write `{model}` or `{action}`, or the path itself"
    if not _PATH.fullmatch(path) or "#" in path:
        return f"{path!r} is no path", "write it as it stands in an address, such as `/chat/completions`"
    return None
