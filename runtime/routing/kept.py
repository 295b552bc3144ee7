"""An order that begins with where a session is, and is otherwise the strategies'."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from runtime.routing.base import Choice
from runtime.routing.steering import Steering
from runtime.routing.tree import Branch, Node, Order

__all__ = ["kept_first"]


def kept_first(order: Order, steering: Steering) -> Order:
    """``order`` for a request with ``steering``. A strategy is not asked unless what is kept first was not enough."""
    if not steering.connections and not steering.keeps_target:
        return order

    def kept(branch: Branch, choices: Sequence[Choice]) -> Iterable[Choice]:
        first = next((each for each in choices if _is_kept(branch, branch.nodes[each.key], steering)), None)
        if first is None:
            yield from order(branch, choices)
            return
        yield first
        rest = tuple(each for each in choices if each is not first)
        if rest:
            yield from order(branch, rest)

    return kept


def _is_kept(branch: Branch, node: Node, steering: Steering) -> bool:
    candidate = node.candidate
    if candidate is not None:
        return steering.connections.get(candidate.target.provider.id) == candidate.connection
    relays = branch.rule == "context-relay"  # keeps by itself, as long as there is quota
    return steering.keeps_target and not relays and any(model == steering.target for model, _ in node.choice.lanes)
