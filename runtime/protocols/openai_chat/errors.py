"""Failures on Chat's wire, both ways: the vendor's envelope to our errors, and ours to the vendor's envelope."""

from __future__ import annotations

from typing import Final

from generated.protocols.openai_chat import FACTS
from runtime.protocols.openai_error import OpenAIErrors

__all__ = ["error_json", "error_within", "read_error", "write_error"]

_ERRORS: Final = OpenAIErrors.of(FACTS, "choices")

error_json = _ERRORS.envelope
error_within = _ERRORS.within
read_error = _ERRORS.read
write_error = _ERRORS.write
