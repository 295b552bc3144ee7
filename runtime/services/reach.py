"""How a configured connection is reached, and whether an address that somebody names may be."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from urllib.parse import urlsplit

from runtime.config.effective import Effective
from runtime.errors import InvalidRequest
from runtime.management.node import is_private, refuse_private
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


async def refuse_unreachable(url: str, *, local: bool) -> None:
    """Raises InvalidRequest for an address that leads to a private network, unless it is said to be ``local``.

    Looks the name up; a name that is not known is for whoever calls it to find out.
    """
    refuse_private(url, local=local)
    if local:
        return
    host = urlsplit(url).hostname or ""
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return
    if any(is_private(ipaddress.ip_address(str(address[0]).partition("%")[0])) for *_, address in found):
        message = f"baseUrl: {host} leads to a machine or network of your own; say `local: true` if it is meant"
        raise InvalidRequest(message, param="baseUrl")
