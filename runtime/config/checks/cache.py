"""Caches: each is for names that exist, and vectors come from a model that makes them, or from this process."""

from __future__ import annotations

from runtime.catalog import Endpoint
from runtime.config.checks.reference import matches_any
from runtime.config.checks.unknown import why_unknown
from runtime.config.draft import Draft
from runtime.config.plan import LOCAL_EMBEDDING
from runtime.config.protocol import protocols_for
from runtime.config.scope import Scope

__all__ = ["check_caches"]


def check_caches(scope: Scope, draft: Draft) -> None:
    """Check the section `cache`."""
    settings = scope.config.cache
    for name, each in (("exact", settings.exact), ("semantic", settings.semantic)):
        for index, model in enumerate(each.models if each is not None else ()):
            _check_name(scope, draft, model, ("cache", name, "models", index))
    if settings.semantic is not None:
        _check_embedding(scope, draft, settings.semantic.embedding)
        if scope.at.node("cache", "semantic", "threshold") is not None and settings.semantic.threshold < 0.9:
            span = scope.at.value("cache", "semantic", "threshold")
            message = f"questions as near as {settings.semantic.threshold:g} often ask for different answers"
            scope.diagnostics.warn("unsafe-threshold", span, message, "0.95 or more is safer; the default is 0.97")


def _check_name(scope: Scope, draft: Draft, model: str, path: tuple[str | int, ...]) -> None:
    if "*" in model:
        known = (*draft.names.models, *draft.names.uses, *(f"{id_}/" for id_ in draft.names.open_providers))
        if not matches_any(model, known) and model.partition("/")[0] not in draft.names.open_providers:
            message = f"{model!r} matches no model, alias or combo"
            scope.diagnostics.error("unknown-model", scope.at.value(*path), message, "nothing would be cached")
        return
    if draft.names.lead(model) is None:
        reason = why_unknown(scope, draft, model)
        if reason is not None:
            scope.diagnostics.error(reason.code, scope.at.value(*path), reason.message, reason.hint)


def _check_embedding(scope: Scope, draft: Draft, model: str) -> None:
    span = scope.at.value("cache", "semantic", "embedding")
    if model == LOCAL_EMBEDDING:
        if model in draft.names.models or model in draft.names.uses:
            message = f"{model!r} is the model in the gateway's own process here, and a public name, too"
            scope.diagnostics.error("contradiction", span, message, "give the alias or combo another name")
        return
    if draft.names.lead(model) is None:
        reason = why_unknown(scope, draft, model)
        if reason is not None:
            scope.diagnostics.error(reason.code, span, reason.message, reason.hint)
        return
    route, end = draft.routes.get(draft.names.public(model)), draft.names.settle(model)
    provider = draft.providers.get(end.name.partition("/")[0]) if end is not None and end.model else None
    if route is not None and route.endpoint is not Endpoint.EMBEDDINGS:
        message = f"{model} answers {route.endpoint.value}, not embeddings"
    elif provider is not None and not protocols_for(Endpoint.EMBEDDINGS, provider.surfaces):
        message = f"{provider.id} is spoken to in no protocol for embeddings"
    else:
        return
    scope.diagnostics.error("no-embedding-model", span, message, "name a model that makes vectors")
