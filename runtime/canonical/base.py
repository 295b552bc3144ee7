"""What all canonical values share: frozen, keyword-only, compared by content."""

from __future__ import annotations

import msgspec

__all__ = ["Extensions", "Value"]

Extensions = dict[str, msgspec.Raw]
"""What one protocol says and canonical has no word for: wire field name to its JSON as it came."""


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A value of the canonical model. Equal content is equal; it knows nothing of wires, providers or storage."""
