"""Every error the product raises, in one tree; each protocol renders it in its own shape.

GatewayError
├── ConfigError             start-up: a plan that cannot be served
├── RequestError            the client's fault
│   ├── InvalidRequest          400
│   ├── ContextTooLong          400
│   ├── ContentRefused          400
│   ├── AuthenticationFailed    401
│   ├── BillingRequired         402
│   ├── PermissionDenied        403
│   ├── NotFound                404
│   │   └── ModelNotFound
│   ├── MethodNotAllowed        405
│   ├── Conflict                409
│   ├── TooLarge                413
│   ├── UnsupportedMedia        415
│   └── RateLimited             429
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
├── ShuttingDown            503
└── InternalError           500

Messages say what was found, what was expected and what to do; never a secret, never a prompt, never an upstream's URL.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "AuthenticationFailed", "BillingRequired", "ClientClosed", "ConfigError", "Conflict", "ContentRefused",
    "ContextTooLong", "GatewayError", "InternalError", "InvalidRequest", "MethodNotAllowed", "ModelNotFound", "NotFound",
    "OutOfFiles", "PermissionDenied", "RateLimited", "RequestError", "RouteUnavailable", "ShuttingDown", "TooLarge", "UnsupportedMedia",
    "UpstreamAuthFailed", "UpstreamError", "UpstreamFailed", "UpstreamOverloaded", "UpstreamProtocolError",
    "UpstreamQuotaExceeded", "UpstreamTimeout", "UpstreamUnavailable",
]  # fmt: skip


class GatewayError(Exception):
    """The root. ``kind`` is the stable word that protocols' error tables, logs and metrics use.

    Attributes:
        message: one sentence for the client.
        param: the request field at fault as a path (`messages[2].role`), or None.
        retry_after_s: seconds after which another try makes sense, or None.
        code: the vendor's own error code when it gave one (`context_length_exceeded`), or None.
        upstream_status: the HTTP status the provider gave, or None when it gave none.
    """

    kind: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_s: float | None = None,
        code: str | None = None,
        upstream_status: int | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_s = retry_after_s
        self.code = code
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


class BillingRequired(RequestError):
    kind = "billing"
    http_status = 402


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


class RateLimited(RequestError):
    kind = "rate_limit"
    http_status = 429
    retryable = True


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


class ShuttingDown(GatewayError):
    kind = "unavailable"
    http_status = 503
    retryable = True


class InternalError(GatewayError):
    """A fault of ours. The message says nothing of its inside; the log does."""
