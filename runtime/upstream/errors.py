"""What went wrong on the road to a provider, in the product's own errors. The one place that knows the client library's.

A message never holds an address, a header or a byte of what was received: they end in clients' hands and in logs.
Raise the result ``from None``, because the library's own exceptions print the URL.
"""

from __future__ import annotations

import errno
import os
import ssl

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorDNSError,
    ClientConnectorError,
    ClientConnectorSSLError,
    ClientPayloadError,
    ClientResponseError,
    InvalidURL,
    ServerDisconnectedError,
)
from aiohttp.http_exceptions import (
    ContentEncodingError,
    ContentLengthError,
    HttpProcessingError,
    LineTooLong,
    TransferEncodingError,
)

from runtime.errors import GatewayError, OutOfFiles, UpstreamError, UpstreamProtocolError, UpstreamUnavailable

__all__ = ["error_of", "failure_of_body"]

NO_FILES = (errno.EMFILE, errno.ENFILE)
RETRY_S = 1.0

CUT = (ContentLengthError, TransferEncodingError)
"""What the parser calls a body that ends too early, when it is told of the connection's end."""


def error_of(failure: BaseException) -> GatewayError:
    """What ``failure`` means when it came before the status line was complete."""
    cause = failure.__cause__
    match failure:
        case UpstreamError():
            return failure
        case OSError() if _out_of_files(failure):
            return OutOfFiles("the gateway has no free sockets at the moment", retry_after_s=RETRY_S)
        case ClientConnectorCertificateError() | ClientConnectorSSLError():
            return UpstreamUnavailable(f"the provider could not be reached: {_tls_reason(cause)}")
        case ClientConnectorDNSError():
            return UpstreamUnavailable("the provider could not be reached: its host name does not resolve")
        case ClientConnectorError():
            return UpstreamUnavailable(f"the provider could not be reached: {_os_reason(failure.errno)}")
        case InvalidURL():
            return UpstreamUnavailable("the provider could not be reached: its address is not a valid URL")
        case ClientResponseError():
            return UpstreamProtocolError(f"the provider answered with what is not HTTP{_detail(failure)}")
        case ServerDisconnectedError():
            return UpstreamUnavailable("the provider closed the connection before it answered")
        case OSError():
            return UpstreamUnavailable("the connection to the provider broke before it answered")
        case ValueError():
            return UpstreamUnavailable("the request cannot be sent: its address, method or a header is not valid HTTP")
        case _:
            return UpstreamUnavailable("the connection to the provider failed before it answered")


def failure_of_body(failure: BaseException) -> UpstreamError:
    """What ``failure`` means when it came while the body was read."""
    if isinstance(failure, UpstreamError):
        return failure
    if isinstance(failure, ClientPayloadError) and isinstance(failure.__cause__, CUT):
        return UpstreamUnavailable("the provider closed the connection in the middle of its answer")
    if isinstance(failure, ClientPayloadError | HttpProcessingError):
        return UpstreamProtocolError(f"the body of the provider's answer is broken{_detail(failure)}")
    return UpstreamUnavailable("the connection to the provider broke in the middle of its answer")


def _out_of_files(failure: OSError) -> bool:
    """Whether it was our own limit on open files. A resolver that meets it says no more than that it found no address."""
    if failure.errno in NO_FILES:
        return True
    if not isinstance(failure, ClientConnectorDNSError):
        return False
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in NO_FILES
    return False


def _tls_reason(cause: BaseException | None) -> str:
    if isinstance(cause, ssl.SSLCertVerificationError):
        return f"its TLS certificate was refused ({cause.verify_message.split(',')[0]})"
    return "the TLS handshake failed"


def _os_reason(number: int | None) -> str:
    """The system's word for ``number``. The exception's own text names the address."""
    return os.strerror(number).lower() if number else "no address of it accepts connections"


def _detail(failure: BaseException) -> str:
    """What is known more exactly. The library wraps its parser's errors, so the chain of causes is walked."""
    cause: BaseException | None = failure
    while cause is not None:
        if isinstance(cause, LineTooLong):
            return ": a line or header is too long"
        if isinstance(cause, ContentEncodingError):
            return ": it cannot be decompressed"
        cause = cause.__cause__
    return ""
