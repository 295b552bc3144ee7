"""The protocol's own request headers: its version and its betas, each once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from generated.protocols.anthropic_messages import FACTS
from runtime.protocols.base import Target

__all__ = ["NO_SAMPLING_SINCE", "request_headers", "takes_sampling"]

NO_SAMPLING_SINCE: Final = "2026-10-21"
"""From this version on, temperature, top_p and top_k are refused. Versions are dates, and so they are ordered."""

_OWNED: Final = frozenset({"anthropic-version", "anthropic-beta"})
_JSON: Final = ("content-type", "application/json")


def request_headers(target: Target, client: Mapping[str, str], *, pinned: bool) -> tuple[tuple[str, str], ...]:
    """The headers of a request.

    ``pinned``: the request is ours, so its version is the one we write for. Else it is the client's own, version and all.
    The client's betas go along in both cases: fields that it sent may need them.
    """
    version = target.surface.version or FACTS.version
    if _OWNED.isdisjoint(map(str.lower, client)):
        return (_JSON, ("anthropic-version", version))
    own = [(name.lower(), value) for name, value in client.items() if name.lower() in _OWNED]
    if not pinned:
        version = dict(own).get("anthropic-version") or version
    headers = (_JSON, ("anthropic-version", version))
    lines = [value for name, value in own if name == "anthropic-beta"]
    betas = _betas(lines) if lines else []
    return (*headers, ("anthropic-beta", ",".join(betas))) if betas else headers


def takes_sampling(target: Target) -> bool:
    return _pinned(target) < NO_SAMPLING_SINCE


def _pinned(target: Target) -> str:
    return target.surface.version or FACTS.version


def _betas(lines: list[str]) -> list[str]:
    """All betas the client named, in its order, each once, however it spelt or repeated the header."""
    words = [word.strip() for line in lines for word in line.split(",")]
    return list({word.lower(): word for word in words if word}.values())
