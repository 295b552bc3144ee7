"""The error for each limit of a call. Apart from `errors`, so that who has limits needs no HTTP client for it."""

from __future__ import annotations

from types import MappingProxyType

from runtime.errors import UpstreamTimeout

__all__ = ["TIMEOUTS", "timeout_error"]

TIMEOUTS = MappingProxyType({
    "connect": "no connection to the provider within the connect limit",
    "first_byte": "the provider did not begin to answer within the first-byte limit",
    "idle": "the provider fell silent in the middle of its answer",
    "total": "the provider's answer took longer than the total limit",
})  # fmt: skip


def timeout_error(limit: str) -> UpstreamTimeout:
    """The error for ``limit``, a key of TIMEOUTS."""
    error = UpstreamTimeout(TIMEOUTS[limit])
    error.limit = limit
    return error
