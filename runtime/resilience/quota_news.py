"""What workers tell one another of declared limits, so that all of them together keep to one.

Four times a second, and only where something was used of a limit. What is under way between two workers in that time may go
beyond it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

import msgspec

from runtime.resilience.health import Health
from runtime.shared import SharedError
from runtime.shared.colleagues import Colleagues

__all__ = ["QUOTA", "tell_quotas", "told_quota"]

QUOTA: Final = "quota"
EVERY_S: Final = 0.25


class _Used(msgspec.Struct, frozen=True, array_like=True):
    """``amounts`` are requests and tokens by connection."""

    worker: str
    amounts: dict[str, tuple[int, int]]


def told_quota(health: Health, own_id: str) -> Callable[[bytes], None]:
    """Count what another worker used."""

    def told(body: bytes) -> None:
        try:
            used = msgspec.msgpack.decode(body, type=_Used)
        except msgspec.MsgspecError:  # from another release
            return
        if used.worker != own_id:
            health.used_elsewhere(used.amounts)

    return told


async def tell_quotas(
    health: Health, own_id: str, colleagues: Colleagues, sleep: Callable[[float], Awaitable[None]]
) -> None:
    """Until it is cancelled: tell the others what was used here. What cannot be told now is told later."""
    while True:
        await sleep(EVERY_S)
        amounts = health.take_used()
        if not amounts:
            continue
        try:
            await colleagues.tell(QUOTA, msgspec.msgpack.encode(_Used(own_id, amounts)))
        except SharedError:
            health.put_back(amounts)
