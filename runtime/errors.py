"""Every error the product raises, in one tree; each protocol renders it in its own shape.

GatewayError
├── ConfigError             start-up: a plan that cannot be served
├── RequestError            the client's fault
│   ├── InvalidRequest          400
│   ├── ContextTooLong          400
│   ├── ContentRefused          400
│   ├── AuthenticationFailed    401
│   ├── PermissionDenied        403
│   ├── NotFound                404
│   │   └── ModelNotFound
│   ├── MethodNotAllowed        405
│   ├── Conflict                409
│   ├── TooLarge                413
│   ├── UnsupportedMedia        415
│   ├── Refused                 422  a change of the configuration that does not compile
│   └── RateLimited             429
│       └── LimitExceeded           a limit of the client's own
│           └── BudgetExceeded
├── UpstreamError           the provider's fault, or the road's to it
│   ├── UpstreamAuthFailed      502  our credential was refused
│   ├── UpstreamQuotaExceeded   429
│   ├── UpstreamTimeout         504
│   ├── UpstreamUnavailable     503  not reached, or it said 5xx
│   ├── UpstreamOverloaded      503  it said that it is overloaded
│   ├── UpstreamFailed          500  it said 500
│   └── UpstreamProtocolError   502  it answered what its protocol does not allow
├── RouteUnavailable        503  no target of the model can be called now
├── OutOfFiles              503  the process may open no more sockets
├── LedgerUnavailable       503  what the call would use cannot be noted
├── KeysUnavailable         503  whether a key is good cannot be told now
├── ShuttingDown            503
└── InternalError           500

Messages say what was found, what was expected and what to do; never a secret, never a prompt, never an upstream's URL.
Of what a client said they repeat a beginning: every message passes through `brief_message`, whoever wrote it.
"""

from __future__ import annotations

import re
from typing import ClassVar, Final, NamedTuple

__all__ = [
    "AuthenticationFailed", "BudgetExceeded", "ClientClosed", "ConfigError", "Conflict", "ContentRefused",
    "ContextTooLong", "Fault", "GatewayError", "InternalError", "InvalidRequest", "KeysUnavailable", "LedgerUnavailable", "LimitExceeded", "MethodNotAllowed", "ModelNotFound", "NotFound",
    "OutOfFiles", "PermissionDenied", "RateLimited", "Refused", "RequestError", "RouteUnavailable", "ShuttingDown", "TooLarge", "UnsupportedMedia",
    "UpstreamAuthFailed", "UpstreamError", "UpstreamFailed", "UpstreamOverloaded", "UpstreamProtocolError",
    "UpstreamQuotaExceeded", "UpstreamTimeout", "UpstreamUnavailable",
    "brief", "brief_message", "failed_inside",
]  # fmt: skip

MAX_QUOTED_CHARS: Final = 200
MAX_MESSAGE_CHARS: Final = 2000
SHORT_CHARS: Final = 500
"""Messages up to this length are left as they are."""

_QUOTED: Final = re.compile(
    "|".join(rf"(?<!\w){mark}[^{mark}]{{{MAX_QUOTED_CHARS + 1},}}{mark}(?!\w)" for mark in "'\"`"), re.DOTALL
)


def brief(text: str) -> str:
    """``text`` if it is short, else how it begins."""
    return text if len(text) <= MAX_QUOTED_CHARS else f"{text[: MAX_QUOTED_CHARS - 1]}…"


def brief_message(message: str) -> str:
    """``message`` with the beginnings of what it quotes, and without its middle where it is too long nevertheless."""
    if len(message) <= SHORT_CHARS:
        return message
    message = _QUOTED.sub(lambda found: f"{found[0][0]}{brief(found[0][1:-1])}{found[0][-1]}", message)
    if len(message) <= MAX_MESSAGE_CHARS:
        return message
    end = MAX_MESSAGE_CHARS // 4
    return f"{message[: MAX_MESSAGE_CHARS - end - 1]}…{message[-end:]}"


class GatewayError(Exception):
    """The root. ``kind`` is the stable word that protocols' error tables, logs and metrics use.

    Attributes:
        message: one sentence for the client.
        param: the request field at fault as a path (`messages[2].role`), or None.
        retry_after_s: seconds after which another try makes sense, or None.
        code: the vendor's own error code when it gave one (`context_length_exceeded`), or None.
        upstream_status: the HTTP status the provider gave, or None when it gave none.
        told_by: the words of the provider's message, in lower case, that it was known by; empty where something better told.
    """

    kind: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    param: str | None = None
    retry_after_s: float | None = None
    code: str | None = None
    upstream_status: int | None = None
    told_by: str = ""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
        upstream_status: int | None = None,
    ) -> None:
        self.message = message if len(message) <= SHORT_CHARS else brief_message(message)
        self.args = (self.message,)
        if param is not None:
            self.param = brief(param)
        if retry_after_s is not None:
            self.retry_after_s = retry_after_s
        if code is not None:
            self.code = code
        if upstream_status is not None:
            self.upstream_status = upstream_status


class ConfigError(GatewayError):
    """The plan or its surroundings do not allow a start. Raised before the port opens."""

    kind = "config"


class ClientClosed(Exception):
    """The client went away; nobody is left to answer."""


class RequestError(GatewayError):
    kind = "invalid_request"
    http_status = 400


class InvalidRequest(RequestError): ...


class ContextTooLong(RequestError):
    kind = "context_length"


class ContentRefused(RequestError):
    kind = "content_policy"


class AuthenticationFailed(RequestError):
    kind = "authentication"
    http_status = 401


class PermissionDenied(RequestError):
    kind = "permission"
    http_status = 403


class NotFound(RequestError):
    kind = "not_found"
    http_status = 404


class ModelNotFound(NotFound):
    kind = "model_not_found"


class MethodNotAllowed(RequestError):
    kind = "method_not_allowed"
    http_status = 405


class Conflict(RequestError):
    kind = "conflict"
    http_status = 409


class TooLarge(RequestError):
    kind = "too_large"
    http_status = 413


class UnsupportedMedia(RequestError):
    kind = "unsupported_media"
    http_status = 415


class Fault(NamedTuple):
    """A diagnostic as clients are told it. ``path`` leads into what they sent (`combos.smart.targets[1]`), where it is about that."""

    severity: str
    code: str
    message: str
    position: str
    path: str | None
    hint: str | None


class Refused(RequestError):
    """``faults`` are all that is to be said, errors and doubts; the message is the first error's."""

    http_status = 422

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        first = next((fault for fault in faults if fault.severity == "error"), None)
        where = first.path or first.position if first is not None else ""
        super().__init__(
            f"{where}: {first.message}" if first is not None else "refused", param=first.path if first else None
        )
        self.faults = faults


class RateLimited(RequestError):
    kind = "rate_limit"
    http_status = 429
    retryable = True


class LimitExceeded(RateLimited):
    """A limit of the client's own, whoever was to be asked: nobody else is, and nothing is held against a provider."""


class BudgetExceeded(LimitExceeded):
    """The money that the client may spend is spent; another try helps when its window begins anew."""

    kind = "budget"
    retryable = False


class UpstreamError(GatewayError):
    kind = "upstream"
    http_status = 502
    retryable = True


class UpstreamAuthFailed(UpstreamError):
    kind = "upstream_auth"
    retryable = False


class UpstreamQuotaExceeded(UpstreamError):
    kind = "upstream_quota"
    http_status = 429
    retryable = False


class UpstreamTimeout(UpstreamError):
    """``limit`` names the wait that ran out: `connect`, `first_byte`, `idle` or `total`; None when no one said."""

    kind = "timeout"
    http_status = 504
    limit: str | None = None


class UpstreamUnavailable(UpstreamError):
    kind = "unavailable"
    http_status = 503


class UpstreamOverloaded(UpstreamError):
    kind = "overloaded"
    http_status = 503


class UpstreamFailed(UpstreamError):
    kind = "server_error"
    http_status = 500


class UpstreamProtocolError(UpstreamError):
    kind = "upstream_protocol"


class RouteUnavailable(GatewayError):
    kind = "unavailable"
    http_status = 503
    retryable = True


class OutOfFiles(GatewayError):
    """Our own lack, which says nothing about the provider that was to be asked."""

    kind = "unavailable"
    http_status = 503
    retryable = True


class LedgerUnavailable(GatewayError):
    """Our own lack, too: what the call would use could not be noted, so nothing was sent."""

    kind = "unavailable"
    http_status = 503
    retryable = True


class KeysUnavailable(GatewayError):
    """Our own lack: a key that is not known here may be good, and where keys are kept cannot be asked."""

    kind = "unavailable"
    http_status = 503
    retryable = True


class ShuttingDown(GatewayError):
    kind = "unavailable"
    http_status = 503
    retryable = True


class InternalError(GatewayError):
    """A fault of ours. The message says nothing of its inside; the log does."""


def failed_inside() -> InternalError:
    """What clients are told of a fault of ours, whatever it is."""
    return InternalError("the gateway failed; the fault is in its log under this request's id")
