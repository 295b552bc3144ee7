"""Where nobody is asked for a key: what keeps the pages of other sites out that a browser on the same machine has open.

A browser calls this machine because any page tells it to, and the page need not see the answer to do harm. It says whose
page it was. Where a site's name was bent to this machine's address, the page passes for one of the gateway's own, but that
name is the host that is called. Programs say neither, and are let in.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from runtime.errors import PermissionDenied
from runtime.web.address import is_loopback
from runtime.web.visit import foreign, host_of, origin_host

__all__ = ["demand_no_other_page"]

CONTAINED: Final = frozenset({"host.docker.internal", "host.containers.internal"})
"""What containers call the machine they run on; no site has such a name, as `internal` is nobody's (ICANN, 2024)."""


def demand_no_other_page(headers: Mapping[str, str], origins: Collection[str]) -> None:
    """``origins`` are those of other pages that may call; `*`: of all. Raises PermissionDenied."""
    if "*" in origins:
        return
    by_hand = headers.get("sec-fetch-site") == "none"  # by the address bar or a bookmark: no page made it
    if not by_hand and foreign(headers, unsaid=False) and headers.get("origin") not in origins:
        raise PermissionDenied(
            "no key is asked for here, so calls are not taken from pages of other sites; name those that may in "
            "`server.cors_origins`",
            code="cross_origin",
        )
    if not _own_name(headers, origins):
        raise PermissionDenied(
            "no key is asked for here, so the host that is called has to be a name of this machine, such as localhost, "
            "or that of one of `server.cors_origins`",
            code="cross_origin",
        )


def _own_name(headers: Mapping[str, str], origins: Collection[str]) -> bool:
    """Whether the host that is called can be nobody else's; no browser leaves it out."""
    if not headers.get("host"):
        return True
    host = host_of(headers).removesuffix(".")
    if host == "localhost" or host.endswith(".localhost") or host in CONTAINED or is_loopback(host):
        return True
    return any(host == origin_host(origin) for origin in origins)
