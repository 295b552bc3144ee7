"""The providers a configuration can use: those of the catalogue, overridden setting by setting, and the operator's own.

Gives every provider that is configured or could light up; whether it has a connection is found out afterwards.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from generated.config import ProviderSettings, SurfaceSettings
from runtime.catalog import Provider, Surface
from runtime.config.lower.given import given, overridden
from runtime.config.lower.model import lower_facts
from runtime.config.lower.parameter import lower_parameters
from runtime.config.protocol import USUAL
from runtime.config.scope import Scope
from runtime.source import closest

__all__ = ["lower_providers"]

_ID: Final = re.compile(r"[a-z0-9][a-z0-9._-]*")


def lower_providers(scope: Scope) -> dict[str, Provider]:
    """Providers by id, in the order of their ids."""
    discovered = {id_ for id_ in scope.catalog.ids if scope.discovers(id_)}
    providers: dict[str, Provider] = {}
    for id_ in sorted(discovered | set(scope.config.providers)):
        settings = scope.config.providers.get(id_)
        known = scope.catalog.get(id_)
        provider = known if settings is None else _configured(scope, id_, known, settings)
        if provider is not None:
            providers[id_] = provider
    return providers


def _configured(scope: Scope, id_: str, known: Provider | None, settings: ProviderSettings) -> Provider | None:
    if known is None:
        if not _own_is_complete(scope, id_, settings):
            return None
        known = Provider(id=id_, name=id_, base_url="", surfaces={}, assume=())
    changes = {
        name: value
        for name, value in given(settings).items()
        if name in {"name", "base_url", "local", "open_models", "assume"}
    }
    if settings.surfaces:
        changes["surfaces"] = {
            protocol: _surface(protocol, surface, known.surfaces) for protocol, surface in settings.surfaces.items()
        }
    return msgspec.structs.replace(
        known,
        **changes,
        auth=overridden(known.auth, settings.auth),
        quirks=overridden(known.quirks, settings.quirks),
        headers={**known.headers, **settings.headers},
        parameters=lower_parameters(settings.parameters, known.parameters),
        models=lower_facts(scope, id_, known, settings),
    )


def _own_is_complete(scope: Scope, id_: str, settings: ProviderSettings) -> bool:
    """An own provider needs an address and a protocol; without both it is more likely a slip of the pen."""
    span = scope.at.key("providers", id_)
    lacks = [name for name, value in (("base_url", settings.base_url), ("surfaces", settings.surfaces)) if not value]
    if not _ID.fullmatch(id_):
        hint = "use lower-case letters, digits, `.`, `_` and `-`"
        scope.diagnostics.error("invalid-name", span, f"{id_!r} is no name for a provider", hint)
        return False
    if not lacks:
        return True
    if not scope.sound("providers", id_):
        return False
    near = closest(id_, scope.catalog.ids)
    own = f"one of your own needs {' and '.join(f'`{name}`' for name in lacks)}"
    hint = f"did you mean {near!r}? {own}" if near else own
    scope.diagnostics.error("unknown-provider", span, f"the catalogue has no provider {id_!r}", hint)
    return False


def _surface(protocol: str, settings: SurfaceSettings, known: dict[str, Surface]) -> Surface:
    usual = known.get(protocol) or USUAL.get(protocol) or Surface(path="/")
    if settings.path is not None and settings.count_tokens is None and settings.path != usual.path:
        # A server with a path of its own need not have the usual neighbour.
        usual = msgspec.structs.replace(usual, count_tokens=None)
    surface = overridden(usual, msgspec.structs.replace(settings, parameters=None))
    return msgspec.structs.replace(surface, parameters=lower_parameters(settings.parameters, usual.parameters))
