"""The same one for conversations that begin alike."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from random import Random
from typing import Final

from typing_extensions import override

from runtime.routing.base import Choice, Strategy, View

__all__ = ["PrefixAffinity"]

_WHOLE: Final = 1 << 64


class PrefixAffinity(Strategy):
    """Each choice draws a lot of its own from the number that stands for the conversation; the best lot is first.

    The lots of the others do not change when one comes or goes, so that only its own share of the conversations moves
    (rendezvous hashing). Of two choices that can be asked, one of twice the weight has twice as many. ``rng`` must give the
    same number for the same conversation; nothing is remembered.
    """

    @override
    def order(self, choices: Sequence[Choice], view: View, rng: Random) -> Iterable[Choice]:
        conversation = rng.getrandbits(64).to_bytes(8, "big")
        return sorted(choices, key=lambda choice: -_lot(conversation, choice))


def _lot(conversation: bytes, choice: Choice) -> float:
    """Larger is better."""
    if not choice.weight:
        return -math.inf
    drawn = int.from_bytes(blake2b(choice.name.encode(), digest_size=8, key=conversation).digest(), "big")
    return choice.weight / -math.log((drawn + 0.5) / _WHOLE)
