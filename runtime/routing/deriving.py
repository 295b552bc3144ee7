"""The orders of a request made anew from what they depended on: by the same strategies, from the same configuration.

Pure: it needs no running gateway and sends nothing.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from msgspec import UNSET

from generated.types.explain import DecisionInputs, OrderingInputs
from runtime.catalog import Endpoint
from runtime.config.plan import Plan
from runtime.errors import GatewayError
from runtime.routing.kept import BY_SESSION, kept_choice
from runtime.routing.ordering import order_again
from runtime.routing.steering import UNSTEERED, Steering
from runtime.routing.table import RouteTable
from runtime.routing.tree import Branch

__all__ = ["Derived", "NoDecisionError", "derive"]


class NoDecisionError(Exception):
    """What is given holds what no decision can hold; its text says where, and what."""


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
    """Every order of ``inputs``. Each strategy is new and remembers only what was noted. Raises NoDecisionError."""
    for index, each in enumerate(inputs.orderings):
        _demand_sound(f"inputs.orderings[{index}]", each)
    return tuple(_derived(plan, inputs, index) for index in range(len(inputs.orderings)))


def _demand_sound(at: str, ordering: OrderingInputs) -> None:
    keys = [each.key for each in ordering.choices]
    if len(set(keys)) < len(keys):
        raise NoDecisionError(f"{at}.choices: two of them have one key")
    for index, key in enumerate(ordering.order):
        if key not in keys:
            raise NoDecisionError(f"{at}.order[{index}]: none of the choices has the key {key}")
        if key in ordering.order[:index]:
            raise NoDecisionError(f"{at}.order[{index}]: the key {key} stands there twice")


def _derived(plan: Plan, inputs: DecisionInputs, index: int) -> Derived:
    ordering = inputs.orderings[index]
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
    if ordering.strategy == BY_SESSION:
        first = kept_choice(branch, choices, _steering(inputs))
        return told(() if first is None else (first.name,))
    seen = [(each.what, each.key, each.value) for each in ordering.seen]
    try:
        now = order_again(branch.strategy, choices, ordering.seed, tuple(ordering.memory), seen)
    except KeyError:
        return told(None, f"the strategy is {branch.rule} now, and looks at other figures")
    except (IndexError, TypeError, ValueError) as error:
        at = f"inputs.orderings[{index}].memory"
        raise NoDecisionError(f"{at}: {ordering.strategy} cannot have remembered {ordering.memory}") from error
    return told(tuple(choice.name for choice in now))


def _steering(inputs: DecisionInputs) -> Steering:
    """Of the session as it was."""
    session = inputs.session
    if session is UNSET:
        return UNSTEERED
    return Steering(
        connections={each.partition("/")[0]: each for each in session.connections},
        target=None if session.target is UNSET else session.target,
        keeps_target=session.keeps_target,
    )


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
