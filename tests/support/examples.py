"""How many examples a rule gets that is tried on many kinds of a thing, each in a test of its own."""

from __future__ import annotations

from hypothesis import settings

__all__ = ["few"]


def few() -> settings:
    """A third of what the profile says: all kinds together still get several times as many as a rule of one thing."""
    return settings(max_examples=settings().max_examples // 3)
