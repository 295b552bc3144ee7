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
    if len(offers := draft.names.meant(name)) > 1:
        message = (
            f"the name {name!r} is ambiguous: {', '.join(offers[:5])}{' and more' if len(offers) > 5 else ''} have it"
        )
        return Reason("ambiguous-name", message, f"write `{offers[0]}`, or make it an alias of one of them")
    provider_id, slash, model = name.partition("/")
    if ("providers", provider_id) in scope.broken or _of_broken(scope, name):
        return None
    if not slash:
        return _plain(scope, draft, name)
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
    return _unconnected(scope, draft, provider, name)


def _of_broken(scope: Scope, name: str) -> bool:
    """Whether a provider whose entry was reported says of itself that it has a model ``name``."""
    providers = (id_ for section, id_ in scope.broken if section == "providers")
    return any(scope.at.node("providers", id_, "models", name) is not None for id_ in providers)


def _unconnected(scope: Scope, draft: Draft, provider: Provider, name: str) -> Reason:
    connection = f"`providers: {{{provider.id}: …}}` with a connection"
    if provider.variables:
        hint = f"write {connection} that fills in {', '.join(provider.variables)}"
    elif provider.auth.scheme != "key":
        hint = f"write `providers: {{{provider.id}: {{}}}}`"
    elif provider.id in scope.config.discovery.exclude:
        hint = f"write {connection}, or take it out of `discovery: {{exclude: …}}`"
    else:
        hint = f"write {connection}, or `discovery: {{providers: environment}}`"
    if offer := next((id_ for id_ in sorted(draft.names.models) if id_.partition("/")[2] == name), None):
        hint += f"; or name {offer!r}"
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
    declared = {*scope.config.aliases, *scope.config.combos}
    near = closest(name, declared)
    if near is None:
        bare = closest(name, draft.names.bare)
        near = draft.names.bare[bare][0] if bare is not None else None
    hint = f"did you mean {near!r}?" if near else "write it as `provider/model`, or as an alias or combo"
    return Reason("unknown-model", message, hint)
