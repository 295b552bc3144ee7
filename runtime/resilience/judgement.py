"""What an error of an attempt means: for the request, which may go on elsewhere, and for the one who was asked."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final, Literal

import msgspec

from runtime.errors import (
    Conflict,
    ContentRefused,
    ContextTooLong,
    GatewayError,
    LimitExceeded,
    NotFound,
    RateLimited,
    RequestError,
    UpstreamAuthFailed,
    UpstreamError,
    UpstreamProtocolError,
    UpstreamQuotaExceeded,
    UpstreamTimeout,
)

__all__ = ["Judgement", "Step", "judge"]


class Step(Enum):
    """How a request goes on.

    STOP: the client is told. AGAIN: the same target may be asked again. LATER: another one at once, the same one only
    after a wait. ELSEWHERE: another connection or target. BEYOND: another target, or the same one at another address.
    LARGER: a target with a larger context. REFUSED: the client is told, unless the combo says otherwise.
    """

    STOP = auto()
    AGAIN = auto()
    LATER = auto()
    ELSEWHERE = auto()
    BEYOND = auto()
    LARGER = auto()
    REFUSED = auto()


class Judgement(msgspec.Struct, frozen=True):
    """How to go on, and what to remember.

    ``healthy``: whether the provider did its part, None when the error says nothing about that. ``rests`` names the
    cooldown that begins, ``whole`` whether it holds for all models of the connection.
    """

    step: Step
    healthy: bool | None
    rests: Literal["rate_limit", "quota", "credential"] | None = None
    whole: bool = False


_RULES: Final[tuple[tuple[type[GatewayError], Judgement], ...]] = (
    (ContentRefused, Judgement(Step.REFUSED, True)),
    (ContextTooLong, Judgement(Step.LARGER, True)),
    (LimitExceeded, Judgement(Step.STOP, None)),
    (RateLimited, Judgement(Step.LATER, None, "rate_limit")),
    (NotFound, Judgement(Step.ELSEWHERE, True)),
    (Conflict, Judgement(Step.AGAIN, True)),
    (RequestError, Judgement(Step.STOP, True)),
    (UpstreamQuotaExceeded, Judgement(Step.ELSEWHERE, None, "quota", whole=True)),
    (UpstreamAuthFailed, Judgement(Step.ELSEWHERE, None, "credential", whole=True)),
    (UpstreamError, Judgement(Step.AGAIN, False)),
)
_FORBIDDEN: Final = Judgement(Step.ELSEWHERE, None, "credential")
_ODD: Final = Judgement(Step.ELSEWHERE, None)
_SILENT: Final = Judgement(Step.BEYOND, False)
_OURS: Final = Judgement(Step.STOP, None)


def judge(error: GatewayError) -> Judgement:
    """The meaning of ``error``, raised by an attempt before its first byte was handed out."""
    if isinstance(error, UpstreamTimeout) and error.upstream_status is None:
        return _SILENT
    if isinstance(error, UpstreamAuthFailed) and error.upstream_status == 403:
        return _FORBIDDEN  # a permission is for a model, and says nothing about the others
    if isinstance(error, UpstreamProtocolError) and error.upstream_status is not None and error.upstream_status < 500:
        return _ODD  # a redirect, a wrong method: it would say the same again
    return next((judgement for kind, judgement in _RULES if isinstance(error, kind)), _OURS)
