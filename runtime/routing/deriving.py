"""The orders of a request made anew from what they depended on: by the same strategies, from the same configuration.

Pure: it needs no running gateway and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from generated.types.explain import DecisionInputs, OrderingInputs
from runtime.catalog import Endpoint
from runtime.config.plan import Plan
from runtime.errors import GatewayError
from runtime.routing.ordering import order_again
from runtime.routing.table import RouteTable
from runtime.routing.tree import Branch

__all__ = ["Derived", "derive"]


class Derived(msgspec.Struct, frozen=True, kw_only=True):
    """One order: as it was ``noted`` and as it comes ``now``, None where it cannot be made, of which ``problem`` says why."""

    entity: str
    strategy: str
    noted: tuple[str, ...]
    now: tuple[str, ...] | None
    problem: str | None = None

    @property
    def same(self) -> bool:
        return self.noted == self.now


def derive(plan: Plan, inputs: DecisionInputs) -> tuple[Derived, ...]:
    """Every order of ``inputs``. Each strategy is new and remembers only what was noted."""
    return tuple(_derived(plan, inputs, each) for each in inputs.orderings)


def _derived(plan: Plan, inputs: DecisionInputs, ordering: OrderingInputs) -> Derived:
    names = {each.key: each.name for each in ordering.choices}
    noted = tuple(names[key] for key in ordering.order)

    def told(now: tuple[str, ...] | None, problem: str | None = None) -> Derived:
        return Derived(entity=ordering.entity, strategy=ordering.strategy, noted=noted, now=now, problem=problem)

    routes = RouteTable(plan, dict.fromkeys(inputs.connections))
    try:
        root = routes.prepared(inputs.name, inputs.protocol, Endpoint(inputs.endpoint)).branch
    except GatewayError as error:
        return told(None, error.message)
    except ValueError:
        return told(None, f"this release knows no kind of call {inputs.endpoint!r}")
    branch = next((each for each in _branches(root) if _holds(each, ordering, names)), None)
    if branch is None:
        return told(None, "the configuration does not have these choices")
    choices = [branch.nodes[each.key].choice for each in ordering.choices]
    seen = [(each.what, each.key, each.value) for each in ordering.seen]
    try:
        now = order_again(branch.strategy, choices, ordering.seed, tuple(ordering.memory), seen)
    except KeyError:
        return told(None, f"the strategy is {branch.rule} now, and looks at other figures")
    return told(tuple(choice.name for choice in now))


def _holds(branch: Branch, ordering: OrderingInputs, names: dict[int, str]) -> bool:
    nodes = branch.nodes
    return branch.entity == ordering.entity and all(
        key in nodes and nodes[key].choice.name == name for key, name in names.items()
    )


def _branches(branch: Branch) -> Iterator[Branch]:
    yield branch
    for node in branch.nodes.values():
        if node.branch is not None:
            yield from _branches(node.branch)
