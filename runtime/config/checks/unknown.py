"""Why a name leads nowhere, and what was probably meant. Says nothing of names whose own entry was already reported."""

from __future__ import annotations

import msgspec

from runtime.catalog import Provider
from runtime.config.draft import Draft
from runtime.config.lower.model import speakable
from runtime.config.protocol import USUAL
from runtime.config.scope import Scope
from runtime.source import closest

__all__ = ["Reason", "why_unknown"]


class Reason(msgspec.Struct, frozen=True):
    code: str
    message: str
    hint: str


def why_unknown(scope: Scope, draft: Draft, name: str) -> Reason | None:
    """The reason why ``name`` leads nowhere; None when that follows from a fault that is reported elsewhere."""
    if any((section, name) in scope.broken for section in ("aliases", "combos")) or name in draft.names.uses:
        return None
    provider_id, slash, model = name.partition("/")
    if not slash:
        return _plain(scope, draft, name)
    if ("providers", provider_id) in scope.broken:
        return None
    provider = draft.providers.get(provider_id) or scope.catalog.get(provider_id)
    if provider is None:
        return _no_provider(scope, draft, provider_id, name)
    listed = {item.id: item for item in provider.models}
    if model not in listed and not provider.open_models:
        near = closest(model, listed)
        hint = (
            f"did you mean '{provider_id}/{near}'?" if near else f"describe it under `providers: {{{provider_id}: …}}`"
        )
        return Reason("unknown-model", f"{provider_id} has no model {model!r}", hint)
    speaks = speakable(provider, listed[model]) if model in listed else bool(USUAL.keys() & provider.surfaces.keys())
    if not speaks:
        hint = f"this release speaks {', '.join(USUAL)}"
        return Reason("unspoken-protocol", f"{name} is offered in a protocol that this release does not speak", hint)
    return _unconnected(scope, provider, name)


def _unconnected(scope: Scope, provider: Provider, name: str) -> Reason:
    connection = f"`providers: {{{provider.id}: …}}` with a connection"
    if provider.variables:
        hint = f"write {connection} that fills in {', '.join(provider.variables)}"
    elif provider.auth.scheme != "key":
        hint = f"write `providers: {{{provider.id}: {{}}}}`"
    elif provider.id in scope.config.discovery.exclude:
        hint = f"write {connection}, or take it out of `discovery: {{exclude: …}}`"
    else:
        hint = f"write {connection}, or `discovery: {{providers: environment}}`"
    return Reason("no-connection", f"{name} cannot be reached: {provider.id} has no connection", hint)


def _no_provider(scope: Scope, draft: Draft, provider: str, name: str) -> Reason | None:
    if provider in scope.config.providers:
        return None  # an own provider that was reported as incomplete
    near = closest(provider, {*draft.providers, *scope.catalog.ids})
    meant = f"{near}/{name.partition('/')[2]}" if near else closest(name, (*draft.names.uses, *draft.names.models))
    hint = f"did you mean {meant!r}?" if meant else "write it as `provider/model`, or as an alias or combo"
    return Reason("unknown-model", f"no provider {provider!r} for the model {name!r}", hint)


def _plain(scope: Scope, draft: Draft, name: str) -> Reason:
    message = f"no model, alias or combo {name!r}"
    offers = sorted(id_ for id_ in draft.names.models if id_.partition("/")[2] == name)
    if offers:
        return Reason("unknown-model", message, f"did you mean {offers[0]!r}?")
    declared = {*scope.config.aliases, *scope.config.combos}
    near = closest(name, declared)
    if near is None:
        bare = closest(name, {id_.partition("/")[2] for id_ in draft.names.models})
        near = min((id_ for id_ in draft.names.models if id_.partition("/")[2] == bare), default=None)
    hint = f"did you mean {near!r}?" if near else "write it as `provider/model`, or as an alias or combo"
    return Reason("unknown-model", message, hint)
