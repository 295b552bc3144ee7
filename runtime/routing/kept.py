"""An order that begins with where a session is, and is otherwise the strategies'."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from runtime.routing.base import Choice
from runtime.routing.steering import Steering
from runtime.routing.tree import Branch, Node, Order

__all__ = ["BY_SESSION", "kept_choice", "kept_first"]

BY_SESSION: Final = "session"
"""Stands for the strategy where the session says who comes first."""


def kept_first(order: Order, steering: Steering, note: Callable[[Branch, Sequence[Choice], Choice], None]) -> Order:
    """``order`` for a request with ``steering``. A strategy is not asked unless what is kept first was not enough.

    ``note`` is told of whom the session put first, among whom.
    """
    if not steering.connections and not steering.keeps_target:
        return order

    def kept(branch: Branch, choices: Sequence[Choice]) -> Iterable[Choice]:
        first = kept_choice(branch, choices, steering)
        if first is None:
            yield from order(branch, choices)
            return
        note(branch, choices, first)
        yield first
        rest = tuple(each for each in choices if each is not first)
        if rest:
            yield from order(branch, rest)

    return kept


def kept_choice(branch: Branch, choices: Sequence[Choice], steering: Steering) -> Choice | None:
    """Which of ``choices`` the session puts first; None for none."""
    return next((each for each in choices if _is_kept(branch, branch.nodes[each.key], steering)), None)


def _is_kept(branch: Branch, node: Node, steering: Steering) -> bool:
    candidate = node.candidate
    if candidate is not None:
        return steering.connections.get(candidate.target.provider.id) == candidate.connection
    relays = branch.rule == "context-relay"  # keeps by itself, as long as there is quota
    return steering.keeps_target and not relays and any(model == steering.target for model, _ in node.choice.lanes)
