"""The targets of a name as a tree, made once, and the order in which one request tries them.

A combo is a branch whose nodes are its targets; a target is a branch, too, whose nodes are the connections of its
provider. Each branch has its strategy, and orders its own nodes only: a combo inside another one counts there as one
target. Branches of one name share their strategy's memory, whatever way a request came.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

import msgspec

from generated.config import TargetConditions
from runtime.routing.base import Choice, Strategy, heeds
from runtime.routing.candidate import Candidate
from runtime.routing.needs import Needs, meets

__all__ = ["Branch", "Node", "Order", "Place", "rules_below", "sole", "walk"]


class Node(msgspec.Struct, frozen=True):
    """What one choice stands for: a ``candidate``, or a ``branch`` with its own order."""

    choice: Choice
    candidate: Candidate | None = None
    branch: Branch | None = None
    when: TargetConditions | None = None


class Branch(msgspec.Struct, frozen=True):
    """``nodes`` by `Choice.key`, in the order written; ``choices`` are theirs. ``conditional``: some have conditions.

    ``entity`` is what it was made from (`combos.smart`, `providers.openai`), ``rule`` the name of its strategy.
    """

    strategy: Strategy
    nodes: dict[int, Node]
    choices: tuple[Choice, ...]
    conditional: bool
    entity: str = ""
    rule: str = "priority"


class Place(msgspec.Struct, frozen=True):
    """One candidate in its turn. ``chosen`` are the choices that led to it, for the strategies that want to know."""

    candidate: Candidate
    chosen: tuple[tuple[Strategy, Choice], ...] = ()

    def served(self) -> None:
        """It answered."""
        for strategy, choice in self.chosen:
            strategy.served(choice)


def sole(branch: Branch) -> Place | None:
    """The one place of a tree in which nothing is to be chosen; None in any other."""
    chosen: tuple[tuple[Strategy, Choice], ...] = ()
    inner: Branch | None = branch
    while inner is not None and len(inner.nodes) == 1 and not inner.conditional:
        (choice,) = inner.choices
        node = inner.nodes[choice.key]
        if heeds(inner.strategy):
            chosen = (*chosen, (inner.strategy, choice))
        if node.candidate is not None:
            return Place(node.candidate, chosen)
        inner = node.branch
    return None


def rules_below(branch: Branch) -> frozenset[str]:
    """The strategies that order something in ``branch``."""
    found: set[str] = set()
    seen: set[int] = set()
    left = [branch]
    while left:
        inner = left.pop()
        if id(inner) not in seen:
            seen.add(id(inner))
            found.add(inner.rule)
            left += (node.branch for node in inner.nodes.values() if node.branch is not None)
    return frozenset(found)


Order: TypeAlias = Callable[[Branch, Sequence[Choice]], Iterable[Choice]]
"""Puts in order those choices of a branch whose conditions hold."""


def walk(branch: Branch, needs: Callable[[], Needs], order: Order) -> Iterator[Place]:
    """The candidates below ``branch`` in order, each once. ``order`` is asked only as far as this is read."""
    return _walk(branch, needs, order, (), set(), set())


def _walk(
    branch: Branch,
    needs: Callable[[], Needs],
    order: Order,
    chosen: tuple[tuple[Strategy, Choice], ...],
    branches: set[int],
    seen: set[tuple[str, str]],
) -> Iterator[Place]:
    """``branches`` were walked to their end or are being walked: what they hold need not be looked at again."""
    branches.add(id(branch))
    choices = branch.choices
    if branch.conditional:
        choices = tuple(choice for choice in choices if _open(branch.nodes[choice.key], needs))
    ordered = order(branch, choices) if len(branch.choices) > 1 or branch.conditional else choices
    for choice in ordered:
        node = branch.nodes[choice.key]
        trail = (*chosen, (branch.strategy, choice)) if heeds(branch.strategy) else chosen
        if node.candidate is not None:
            key = (node.candidate.id, node.candidate.connection)
            if key not in seen:
                seen.add(key)
                yield Place(node.candidate, trail)
        elif node.branch is not None and id(node.branch) not in branches:
            yield from _walk(node.branch, needs, order, trail, branches, seen)


def _open(node: Node, needs: Callable[[], Needs]) -> bool:
    return node.when is None or meets(needs(), node.when)
