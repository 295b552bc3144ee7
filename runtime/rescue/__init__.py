"""Streamed answers that break off and are gone on with by somebody else. Knows canonical events, neither HTTP nor routes."""

from runtime.rescue.prefill import extended, prefill_of
from runtime.rescue.retelling import DivergedError, Retelling
from runtime.rescue.telling import Telling
from runtime.rescue.told import Told

__all__ = ["DivergedError", "Retelling", "Telling", "Told", "extended", "prefill_of"]
