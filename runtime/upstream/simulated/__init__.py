"""A provider inside the process, for when there is no key for a real one: deterministic, strict, and honest about it.

It speaks OpenAI's Chat Completions at `sim://local`. Every answer says that no model was asked.
"""

from __future__ import annotations

from runtime.upstream.simulated.provider import SimulatedUpstream

__all__ = ["SimulatedUpstream"]
