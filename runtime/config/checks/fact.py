"""Facts and rules the operator wrote about models and providers that contradict themselves or cannot be carried out."""

from __future__ import annotations

import re

import msgspec

from generated.config import ModelSettings, ParameterSettings
from runtime.config.draft import Draft
from runtime.config.scope import Scope
from runtime.errors import brief

__all__ = ["check_facts"]


def check_facts(scope: Scope, draft: Draft) -> None:  # noqa: ARG001 — every check has this shape
    """Check capabilities, parameter rules, reasoning budgets and the pattern of tool call ids."""
    for id_, provider in scope.config.providers.items():
        path = ("providers", id_)
        if provider.parameters is not None:
            _check_parameters(scope, (*path, "parameters"), provider.parameters)
        for protocol, surface in provider.surfaces.items():
            if surface.parameters is not None:
                _check_parameters(scope, (*path, "surfaces", protocol, "parameters"), surface.parameters)
        if provider.quirks is not None and provider.quirks.tool_call_id is not None:
            _check_pattern(scope, (*path, "quirks", "tool_call_id"), provider.quirks.tool_call_id)
        for name, model in provider.models.items():
            _check_model(scope, (*path, "models", name), model)


def _check_model(scope: Scope, path: tuple[str, ...], model: ModelSettings) -> None:
    for index, capability in enumerate(model.lacks):
        if capability in model.has:
            message = f"{path[-1]} has and lacks {capability}"
            scope.diagnostics.error("contradiction", scope.at.value(*path, "lacks", index), message, "remove one")
    if model.parameters is not None:
        _check_parameters(scope, (*path, "parameters"), model.parameters)
    if model.reasoning is None:
        return
    least, most = model.reasoning.min_budget, model.reasoning.max_budget
    if least is not None and most is not None and most < least:
        message = f"max_budget {most} is less than min_budget {least}"
        span = scope.at.value(*path, "reasoning", "max_budget")
        scope.diagnostics.error("contradiction", span, message, "exchange the two")


def _check_parameters(scope: Scope, path: tuple[str, ...], rules: ParameterSettings) -> None:
    for name, range_ in rules.range.items():
        if range_.min is not None and range_.max is not None and range_.min > range_.max:
            message = f"the range of {name} ends before it begins"
            scope.diagnostics.error("contradiction", scope.at.value(*path, "range", name), message, "exchange the two")
    for name, text in rules.add.items():
        try:
            msgspec.json.decode(text.encode())
        except (msgspec.DecodeError, RecursionError):
            hint = f"""write it as JSON text, such as '"{brief(text)}"' for a text"""
            span = scope.at.value(*path, "add", name)
            scope.diagnostics.error("invalid-value", span, f"add: the value of {name} is not JSON", hint)


def _check_pattern(scope: Scope, path: tuple[str, ...], pattern: str) -> None:
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        message = f"tool_call_id: no regular expression ({error})"
        scope.diagnostics.error("invalid-value", scope.at.value(*path), message, "write one such as [a-zA-Z0-9]{9}")
