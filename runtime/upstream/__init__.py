"""The outbound side: whoever answers for a provider, over HTTP or in this process.

Re-exports the contract and the table only. The HTTP client is imported from `runtime.upstream.client` by whoever needs
it, so that a gateway that serves the simulated provider alone does not pay for its import.
"""

from __future__ import annotations

from runtime.upstream.table import UpstreamTable
from runtime.upstream.types import Destination, Limits, Upstream, UpstreamRequest, UpstreamResponse

__all__ = ["Destination", "Limits", "Upstream", "UpstreamRequest", "UpstreamResponse", "UpstreamTable"]
