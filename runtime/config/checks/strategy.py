"""Strategies of combos: weights and factors that choose something, conditions that some request can meet."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from generated.config import ComboSettings, ComboTarget, TargetConditions
from runtime.catalog import Capability, Model
from runtime.config.draft import Draft
from runtime.config.lower.name import conditional
from runtime.config.scope import Scope
from runtime.source import closest

__all__ = ["check_strategies"]

_Path = tuple[str | int, ...]


def check_strategies(scope: Scope, draft: Draft) -> None:
    """Check every combo."""
    for name, combo in scope.config.combos.items():
        _check_weights(scope, name, combo)
        _check_factors(scope, name, combo)
        for index, target in enumerate(combo.targets):
            if isinstance(target, ComboTarget) and target.when is not None:
                path = ("combos", name, "targets", index, "when")
                _check_conditions(scope, draft, path, target.when)
                _check_facts(scope, draft, (name, index), path, target.when)
        conditions = [target for target in combo.targets if conditional(target)]
        if len(conditions) == len(combo.targets) and scope.sound("combos", name):
            message = f"every target of combo {name!r} has conditions: a request that meets none is refused"
            span = scope.at.value("combos", name, "targets", len(combo.targets) - 1)
            scope.diagnostics.warn("no-catch-all", span, message, "end with a target without `when`")
        if combo.strategy != "context-relay" and combo.handoff_percent != 100:
            message = f"the strategy {combo.strategy} hands nothing over"
            span = scope.at.key("combos", name, "handoff_percent")
            scope.diagnostics.warn("ignored-setting", span, message, "write `strategy: context-relay`, or remove it")
        if combo.strategy == "context-relay" and combo.sessions == "off":
            message = f"combo {name!r} keeps sessions on their targets, and has none"
            span = scope.at.value("combos", name, "sessions")
            scope.diagnostics.error("contradiction", span, message, "remove one of the two")
        if combo.strategy == "conditional" and not conditions:
            message = f"combo {name!r} is conditional, and no target has conditions"
            span = scope.at.value("combos", name, "strategy")
            scope.diagnostics.warn("ignored-setting", span, message, "write `when: …` in a target")


def _check_weights(scope: Scope, name: str, combo: ComboSettings) -> None:
    weights = [target.weight if isinstance(target, ComboTarget) else None for target in combo.targets]
    if combo.strategy in {"weighted", "prefix-affinity"}:
        if not any(1 if weight is None else weight for weight in weights):
            message = f"the weights of combo {name!r} sum to nothing, so no target is ever drawn"
            span = scope.at.value("combos", name, "targets", 0, "weight")
            scope.diagnostics.error("zero-weight", span, message, "give one target a weight above 0")
        return
    for index, weight in enumerate(weights):
        if weight is not None:
            message = f"the strategy {combo.strategy} knows no weights"
            span = scope.at.key("combos", name, "targets", index, "weight")
            hint = "write `strategy: weighted` or `prefix-affinity`, or remove it"
            scope.diagnostics.warn("ignored-setting", span, message, hint)


def _check_factors(scope: Scope, name: str, combo: ComboSettings) -> None:
    if combo.factors is None:
        return
    span = scope.at.key("combos", name, "factors")
    if combo.strategy != "auto":
        message = f"the strategy {combo.strategy} weighs no factors"
        scope.diagnostics.warn("ignored-setting", span, message, "write `strategy: auto`, or remove them")
    elif not any(msgspec.structs.astuple(combo.factors)) and scope.sound("combos", name):
        message = f"the factors of combo {name!r} sum to nothing, so they order nothing"
        scope.diagnostics.error("zero-weight", span, message, "give one factor a weight above 0")


def _check_conditions(scope: Scope, draft: Draft, path: _Path, when: TargetConditions) -> None:
    """What is wrong with conditions whoever they are for."""
    if when == TargetConditions():
        scope.diagnostics.warn("ignored-setting", scope.at.value(*path), "`when` holds no condition", "remove it")
    least, most = when.min_input_tokens, when.max_input_tokens
    if least is not None and most is not None and least > most:
        message = f"no request has at least {least} and at most {most} input tokens"
        span = scope.at.value(*path, "min_input_tokens")
        scope.diagnostics.error("impossible-condition", span, message, "exchange the two")
    known = [key.id for key in draft.keys]
    for index, key in enumerate(when.keys):
        if key not in known and scope.sound("keys", key) and key not in scope.config.keys:
            near = closest(key, known)
            hint = f"did you mean {near!r}?" if near else "keys are written under `keys`"
            message = f"no key {key!r}, so no request meets this condition"
            scope.diagnostics.error("impossible-condition", scope.at.value(*path, "keys", index), message, hint)


def _check_facts(scope: Scope, draft: Draft, place: tuple[str, int], path: _Path, when: TargetConditions) -> None:
    """What asks for requests that none of the models behind the target could answer."""
    name, position = place
    ends = [end for end in draft.reach.targets.get(name, ()) if end.uses[0].path[:4] == path[:4]]
    facts = [draft.models[end.model].facts for end in ends]
    if not facts:
        return
    who = ends[0].model if len(ends) == 1 else f"each model behind target {position + 1}"
    for index, need in enumerate(when.needs):
        if all(Capability(need) in fact.lacks for fact in facts):
            message = f"requests that need {need} are sent to {who}, which lacks it"
            span = scope.at.value(*path, "needs", index)
            scope.diagnostics.error("impossible-condition", span, message, "drop the need or the target")
    largest = _largest(facts)
    if when.min_input_tokens is not None and largest is not None and when.min_input_tokens > largest:
        message = f"requests of at least {when.min_input_tokens} tokens are sent to {who}, which takes {largest}"
        span = scope.at.value(*path, "min_input_tokens")
        scope.diagnostics.error("impossible-condition", span, message, "lower it, or name a model that takes more")


def _largest(facts: Sequence[Model]) -> int | None:
    """The most input that any of the models takes; None when that is not known of all."""
    sizes = [fact.limits.max_input or fact.limits.context for fact in facts]
    known = [size for size in sizes if size is not None]
    return max(known) if len(known) == len(sizes) else None
