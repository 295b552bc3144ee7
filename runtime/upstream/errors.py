"""Why a provider could not be reached, in the product's own errors: what the system, TLS and name resolution say.

A message never holds an address, a header or a byte of what was received: they end in clients' hands and in logs.
Raise the result ``from None``, because the system's own exceptions print the address.
"""

from __future__ import annotations

import errno
import os
import socket
import ssl

from runtime.errors import GatewayError, OutOfFiles, UpstreamUnavailable

__all__ = ["error_of"]

NO_FILES = (errno.EMFILE, errno.ENFILE)
RETRY_S = 1.0


def error_of(failure: OSError | ValueError) -> GatewayError:
    """What ``failure`` means when it came before a connection was there."""
    match failure:
        case OSError() if _out_of_files(failure):
            return OutOfFiles("the gateway has no free sockets at the moment", retry_after_s=RETRY_S)
        case ssl.SSLCertVerificationError():
            reason = failure.verify_message.split(",")[0]
            return _unreachable(f"its TLS certificate was refused ({reason})")
        case ssl.SSLError():
            return _unreachable("the TLS handshake failed")
        case socket.gaierror() | UnicodeError():
            return _unreachable("its host name does not resolve")
        case OSError():
            return _unreachable(_os_reason(failure.errno))
        case _:
            return UpstreamUnavailable("the request cannot be sent: its address, method or a header is not valid HTTP")


def _unreachable(why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"the provider could not be reached: {why}")


def _out_of_files(failure: OSError) -> bool:
    """Whether it was our own limit on open files. A resolver that meets it says no more than that it found no address."""
    if failure.errno in NO_FILES:
        return True
    if not isinstance(failure, socket.gaierror):
        return False
    try:
        os.close(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return error.errno in NO_FILES
    return False


def _os_reason(number: int | None) -> str:
    """The system's word for ``number``. The exception's own text names the address."""
    return os.strerror(number).lower() if number else "no address of it accepts connections"
