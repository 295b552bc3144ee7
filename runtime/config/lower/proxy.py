"""Which proxy a connection's requests go through: its own, else its provider's, else everybody's."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from generated.config import ConnectionSettings, OwnProxy, ProviderSettings, ProxySettings
from runtime.catalog import Provider
from runtime.config.checks.server import is_loopback
from runtime.config.plan import Proxy
from runtime.config.scope import Scope
from runtime.config.secrets import read_reference

__all__ = ["DIRECT", "proxy_of"]

DIRECT: Final = "direct"


def proxy_of(
    scope: Scope, known: Provider, provider: ProviderSettings | None, connection: ConnectionSettings | None
) -> Proxy | None:
    """None where requests go straight to the provider, as those to one's own machines do unless their own setting says otherwise."""
    base_url = (connection.base_url if connection is not None else None) or known.base_url
    if not base_url.startswith(("http://", "https://")):
        return None
    own = (settings.proxy for settings in (connection, provider) if settings is not None)
    settings: OwnProxy | ProxySettings | None = next((each for each in own if each is not None), None)
    if settings is None:
        if known.local or is_loopback(urlsplit(base_url).hostname or ""):
            return None
        settings = scope.config.proxy
    if settings.url is None or settings.url == DIRECT:
        return None
    return Proxy(
        url=settings.url,
        username=settings.username,
        password=None if settings.password is None else read_reference(settings.password),
    )
