"""A plan as bytes, and the id of those bytes.

The same plan gives the same bytes on every machine: keys are sorted, except where their order is part of the meaning (the
protocols of a provider, preferred first); no floats but those the plan holds, no time, no path, no locale.
"""

from __future__ import annotations

import hashlib
from typing import Final, cast

import orjson

from runtime.config.data import plan_data
from runtime.config.plain import plain
from runtime.config.plan import Artefact, Plan

__all__ = ["COMPILER", "build_id", "canonical", "digest", "render_artefact"]

COMPILER: Final = "0.1.0"
"""The version of the compiler that made a plan: a server refuses a plan of another one."""

_ORDERED: Final = frozenset({"surfaces", "connections"})


def canonical(value: object) -> bytes:
    """``value``, a Struct or plain data, as canonical JSON."""
    return orjson.dumps(_sorted(plain(value)))


def build_id(plan: Plan) -> str:
    """The first 16 hex digits of the SHA-256 of the canonical plan."""
    return hashlib.sha256(orjson.dumps(_sorted(plan_data(plan)))).hexdigest()[:16]


def digest(data: bytes) -> str:
    """``data``'s SHA-256 as it stands in the lock."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def render_artefact(artefact: Artefact) -> bytes:
    """``plan.json``: canonical, and indented so that a difference can be read."""
    data = {name: getattr(artefact, name) for name in artefact.__struct_fields__} | {"plan": plan_data(artefact.plan)}
    return orjson.dumps(_sorted(data), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _sorted(value: object, *, ordered: bool = False) -> object:
    if isinstance(value, dict):
        mapping = cast("dict[str, object]", value)
        items = mapping.items() if ordered else sorted(mapping.items())
        return {key: _sorted(item, ordered=key in _ORDERED) for key, item in items}
    if isinstance(value, list | tuple):
        return [_sorted(item) for item in cast("list[object]", value)]
    return value
