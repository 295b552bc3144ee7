"""Settings that another one leaves without effect, or that nothing here looks at yet."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.source.unit import written

__all__ = ["check_idle"]

CALLED: Final = ("chat", "embeddings")
_ADAPTIVE: Final = ("effort", "base_tokens", "complexity_multiplier")
_BY_MODE: Final[Mapping[str, str]] = MappingProxyType({"tokens": "custom", **dict.fromkeys(_ADAPTIVE, "adaptive")})


def check_idle(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check what is said of thinking, of answers that are cached, of addresses that may call, and of models."""
    _check_thinking(scope)
    for name, cache in (("exact", scope.config.cache.exact), ("semantic", scope.config.cache.semantic)):
        if cache is not None and cache.max_answer_bytes > cache.max_bytes:
            message = f"max_answer: no answer is longer than all that is kept ({written('size', cache.max_bytes)})"
            path = next(
                (each for each in ("max_answer", "max_bytes") if _written(scope, "cache", name, each)), "models"
            )
            span = scope.at.value("cache", name, path)
            scope.diagnostics.warn("limit-never-reached", span, message, "raise `max_bytes`, or lower it")
    _check_ip_filter(scope)
    for provider, settings in scope.config.providers.items():
        for model in settings.models:
            _check_model(scope, ("providers", provider, "models", model))


def _check_model(scope: Scope, path: tuple[str, ...]) -> None:
    """What the catalogue knows of a model need not be called here; what somebody writes is meant to be."""
    settings = scope.config.providers[path[1]].models[path[-1]]
    if _written(scope, *path, "endpoint") and settings.endpoint not in CALLED:
        message = f"nothing here calls a model for {settings.endpoint!r}"
        hint = "models can be called for chat and embeddings; remove this one"
        scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "endpoint"), message, hint)
    if _written(scope, *path, "prices", "image"):
        message = "images are not counted in what models answer, so that this price adds nothing to any call"
        hint = "remove it; tokens of images cost as `output` says"
        scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "prices", "image"), message, hint)


def _check_ip_filter(scope: Scope) -> None:
    settings, path = scope.config.server.ip_filter, ("server", "ip_filter")
    if settings is None:
        return
    lists = [name for name in ("allow", "deny", "bans") if getattr(settings, name)]
    if lists and not _written(scope, *path, "enabled"):
        message = f"the filter is not in force, so that `{lists[0]}` is not looked at"
        scope.diagnostics.warn("ignored-setting", scope.at.key(*path), message, "write `enabled: true`, or `false`")
    for mode, other in (("allow", "deny"), ("deny", "allow")):
        if settings.mode == mode and other in lists:
            message = f"the mode {mode!r} does not look at `{other}`"
            scope.diagnostics.warn(
                "ignored-setting", scope.at.key(*path, other), message, "write `mode: both`, or remove it"
            )


def _check_thinking(scope: Scope) -> None:
    thinking = scope.config.requests.thinking_budget
    path = ("requests", "thinking_budget")
    for name, mode in _BY_MODE.items():
        if thinking is not None and thinking.mode != mode and _written(scope, *path, name):
            message = f"the mode {thinking.mode!r} does not look at `{name}`"
            scope.diagnostics.warn(
                "ignored-setting", scope.at.key(*path, name), message, f"write `mode: {mode}`, or remove it"
            )
    if thinking is not None and thinking.base_tokens is not None and _written(scope, *path, "effort"):
        message = "`base_tokens` stands in the place of `effort`"
        scope.diagnostics.warn("ignored-setting", scope.at.key(*path, "effort"), message, "remove one of the two")


def _written(scope: Scope, *path: str) -> bool:
    return scope.at.node(*path) is not None
