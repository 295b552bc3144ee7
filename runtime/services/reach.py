"""How a configured connection is reached, and whether an address that somebody names may be."""

from __future__ import annotations

import asyncio
import socket
from urllib.parse import urlsplit

from runtime.config.effective import Effective
from runtime.management.node import refuse_private, refuse_standing
from runtime.network import read_address, standing_of
from runtime.routing.candidate import headers_of
from runtime.upstream.listing import LISTS, Server

__all__ = ["refuse_unreachable", "server_of"]


def server_of(found: Effective, connection: str) -> Server | None:
    """Whom to ask for the models of ``connection``; None where it cannot be called: its credential is absent, or it is off."""
    plan = found.artefact.plan
    known = plan.connections.get(connection)
    if known is None or connection not in found.secrets.connections:
        return None
    provider = plan.providers[known.provider]
    protocol = next((each for each in provider.surfaces if each in LISTS), next(iter(provider.surfaces), ""))
    headers = headers_of(provider, known, found.secrets.connections[connection])
    surface = provider.surfaces.get(protocol)
    if protocol == "anthropic_messages" and surface is not None and surface.version is not None:
        headers.setdefault("anthropic-version", surface.version)
    return Server(
        base_url=known.base_url,
        protocol=protocol,
        headers=headers,
        proxy=found.secrets.proxies.get(connection, ""),
    )


async def refuse_unreachable(url: str, *, local: bool, param: str = "baseUrl") -> None:
    """Raises InvalidRequest for an address that leads to a private network, unless it is said to be ``local``, or to no provider.

    Looks the name up; a name that is not known is for whoever calls it to find out. What a name leads to may be another
    address a moment later: whoever calls it asks again (`runtime.upstream.pool.Dialler`).
    """
    refuse_private(url, local=local, param=param)
    host = urlsplit(url).hostname or ""
    if read_address(host) is not None:
        return
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    for *_, address in found:
        leads = standing_of(str(address[0]))
        if leads is not None:
            refuse_standing(host, leads, local=local, param=param)
