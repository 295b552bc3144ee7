"""What clients may report of what they used elsewhere, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.config.scope import Scope

__all__ = ["CUSTOMARY", "lower_meters"]

CUSTOMARY: Final[Mapping[str, int]] = MappingProxyType({"voice_call": 1_000_000, "whisper": 100_000})
"""Those that there are, unless the operator says otherwise: nano-USD a second."""


def lower_meters(scope: Scope) -> dict[str, int]:
    """Nano-USD a second, by the meter's name."""
    written = {name: settings.per_second_nano_usd for name, settings in scope.config.meters.items()}
    return dict(sorted({**CUSTOMARY, **written}.items()))
