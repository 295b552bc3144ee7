"""One place a request can go, with all that is known before the request comes: address, credential, protocol."""

from __future__ import annotations

from typing import Literal

import msgspec

from runtime.catalog import Model, Provider
from runtime.config.plan import Connection
from runtime.config.protocol import protocols_for
from runtime.protocols.base import Target

__all__ = ["Candidate", "candidate", "headers_of", "spoken"]


class Candidate(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """A target over one connection, spoken to in one protocol; made once for a plan, and looked things up by.

    ``id`` is the model's public id, ``lane`` the name under which its health is kept, and
    ``label`` the one it has in metrics, which clients cannot make up. ``base_url`` has no trailing slash. ``headers`` hold the credential: never logged.
    ``counted`` is ``target`` as it is for a call that a limit of tokens or dollars holds for.
    """

    id: str
    protocol: str
    target: Target
    counted: Target
    connection: str
    base_url: str
    headers: tuple[tuple[str, str], ...]
    lane: str = ""
    label: str = ""


def spoken(provider: Provider, model: Model, wanted: str) -> str | None:
    """The protocol to speak: the client's own where the provider has it, so that nothing is translated; else its first.

    Of several it is one in which models of this endpoint are called.

    None for a model that is pinned to a protocol its provider does not speak (the compiler refuses such a plan).
    """
    if model.protocol is not None:
        return model.protocol if model.protocol in provider.surfaces else None
    offered = protocols_for(model.endpoint, provider.surfaces)
    return wanted if wanted in offered else next(iter(offered), None)


def headers_of(provider: Provider, connection: Connection, secret: str | None) -> dict[str, str]:
    """What every request over ``connection`` carries, the credential included; names are lower-case."""
    headers = {name.lower(): value for name, value in (provider.headers | connection.headers).items()}
    if secret is not None and provider.auth.scheme != "none":
        headers[provider.auth.header.lower()] = provider.auth.prefix + secret
    return headers


def candidate(
    id_: str,
    provider: Provider,
    model: Model,
    connection: Connection,
    secret: str | None,
    wanted: str,
    default_max_output: int,
    lane: str = "",
    label: str = "",
    stream_usage: Literal["as_asked", "limited", "always"] = "as_asked",
) -> Candidate | None:
    """Prepare ``model`` over ``connection`` for a client that speaks ``wanted``; None when they share no protocol."""
    protocol = spoken(provider, model, wanted)
    if protocol is None:
        return None
    headers = headers_of(provider, connection, secret)
    target = Target(provider, model, provider.surfaces[protocol], default_max_output, stream_usage == "always")
    return Candidate(
        id=id_,
        protocol=protocol,
        target=target,
        counted=msgspec.structs.replace(target, asks_usage=True) if stream_usage == "limited" else target,
        connection=connection.id,
        base_url=connection.base_url.rstrip("/"),
        headers=tuple(headers.items()),
        lane=lane or id_,
        label=label or id_,
    )
