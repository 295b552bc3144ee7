"""Who answers for a URL's scheme. Nothing is imported for one that no connection has and nobody tries."""

from __future__ import annotations

import asyncio
import time

from runtime.upstream.table import UpstreamTable

__all__ = ["learn_scheme"]


def learn_scheme(table: UpstreamTable, scheme: str) -> None:
    """Somebody in ``table`` answers for ``scheme`` from now on, if it is one of ours."""
    if scheme in table.schemes:
        return
    if scheme == "sim":
        from runtime.upstream.simulated import SimulatedUpstream

        table.add("sim", SimulatedUpstream(now=time.time, sleep=asyncio.sleep))
    elif scheme in {"http", "https"}:
        from runtime.upstream.client import HttpUpstream

        http = HttpUpstream()
        table.add("http", http)
        table.add("https", http)
