"""Plan to trees: every combo and target with its candidates, for one client protocol at a time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from runtime.catalog import Model
from runtime.config.plan import Combo, Member, Plan, Route
from runtime.config.resolve import find_model
from runtime.routing.base import Choice, Strategy
from runtime.routing.candidate import Candidate, candidate
from runtime.routing.strategies import strategy
from runtime.routing.tree import Branch, Node

__all__ = ["Trees"]

MAX_UNLISTED: Final = 1000
"""How many models that only an open provider knows are told apart: clients choose their names."""


class Trees:
    """Makes trees and holds the strategies' memories. ``secrets`` is as for `RouteTable`."""

    def __init__(self, plan: Plan, secrets: Mapping[str, str | None]) -> None:
        self._plan = plan
        self._secrets = secrets
        self._strategies: dict[tuple[str, str], Strategy] = {}
        self._unlisted: set[str] = set()

    def tree(self, route: Route, protocol: str) -> Branch | None:
        """The tree of ``route``; None when it has no target that can be called."""
        made: dict[tuple[str, str | None], Branch | None] = {}
        if route.combo is not None:
            return self._combo(self._plan.combos[route.combo], None, protocol, made)
        nodes = [
            Node(Choice(key=index, name=target.model), branch=branch)
            for index, target in enumerate(route.targets)
            if (branch := self._target(target.model, target.connections, protocol)) is not None
        ]
        return self._branch(strategy("priority"), nodes, f"aliases.{route.name}", "priority")

    def _combo(
        self, combo: Combo, connection: str | None, protocol: str, made: dict[tuple[str, str | None], Branch | None]
    ) -> Branch | None:
        """``made`` keeps one branch per combo, however many ways lead to it. The compiler refuses circles."""
        key = (combo.name, connection)
        if key not in made:
            nodes = [
                node
                for index, member in enumerate(combo.members)
                if (node := self._member(index, member, connection, protocol, made)) is not None
            ]
            made[key] = self._branch(self._strategy("combo", combo.name), nodes, f"combos.{combo.name}", combo.strategy)
        return made[key]

    def _member(
        self,
        index: int,
        member: Member,
        connection: str | None,
        protocol: str,
        made: dict[tuple[str, str | None], Branch | None],
    ) -> Node | None:
        wanted = connection or member.connection
        if member.model is not None:
            branch, name = self._target(member.model, self._connections(member.model, wanted), protocol), member.model
        else:
            assert member.combo is not None, "a member is a model or a combo"
            branch, name = self._combo(self._plan.combos[member.combo], wanted, protocol, made), member.combo
        if branch is None:
            return None
        below = branch.choices
        choice = Choice(
            key=index,
            name=name,
            weight=1 if member.weight is None else member.weight,
            conditional=member.when is not None,
            price_nano_usd=min(
                (item.price_nano_usd for item in below if item.price_nano_usd is not None), default=None
            ),
            context_tokens=max(
                (item.context_tokens for item in below if item.context_tokens is not None), default=None
            ),
            lanes=tuple(dict.fromkeys(lane for item in below for lane in item.lanes)),
        )
        return Node(choice, branch=branch, when=member.when)

    def _target(self, model: str, connections: Iterable[str], protocol: str) -> Branch | None:
        planned = find_model(self._plan, model)
        assert planned is not None, "the compiler lets no target through whose model it does not find"
        nodes: list[Node] = []
        for index, id_ in enumerate(connections):
            ready = self.candidate(model, id_, protocol)
            if ready is not None:
                lanes = ((ready.lane, id_),)
                price, context = nominal_price(planned.facts), input_limit(planned.facts)
                choice = Choice(key=index, name=id_, price_nano_usd=price, context_tokens=context, lanes=lanes)
                nodes.append(Node(choice, candidate=ready))
        order, provider = self._strategy("provider", planned.provider), planned.provider
        return self._branch(order, nodes, f"providers.{provider}", self._connections_rule(provider))

    def candidate(self, model: str, connection: str, protocol: str) -> Candidate | None:
        """``model`` over ``connection``; None when that is dark, or shares no protocol with the client."""
        planned = find_model(self._plan, model)
        if planned is None or connection not in self._secrets:
            return None
        return candidate(
            model,
            self._plan.providers[planned.provider],
            planned.facts,
            self._plan.connections[connection],
            self._secrets[connection],
            protocol,
            self._plan.requests.default_max_tokens,
            lane=self._lane(model, planned.provider),
            label=model if model in self._plan.models else f"{planned.provider}/*",
            stream_usage=self._plan.requests.stream_usage,
        )

    def _lane(self, model: str, provider: str) -> str:
        """Its own for every model; names that nobody listed share one once there are too many of them."""
        if model in self._plan.models or model in self._unlisted:
            return model
        if len(self._unlisted) >= MAX_UNLISTED:
            return f"{provider}/*"
        self._unlisted.add(model)
        return model

    def _connections(self, model: str, wanted: str | None) -> list[str]:
        provider = model.partition("/")[0]
        connections = (id_ for id_, item in self._plan.connections.items() if item.provider == provider)
        return [id_ for id_ in connections if wanted is None or id_ == f"{provider}/{wanted}"]

    def _strategy(self, kind: str, name: str) -> Strategy:
        found = self._strategies.get((kind, name))
        if found is None:
            if kind == "combo":
                found = self._combo_strategy(self._plan.combos[name])
            else:
                found = strategy(self._connections_rule(name))
            self._strategies[kind, name] = found
        return found

    @staticmethod
    def _combo_strategy(combo: Combo) -> Strategy:
        return strategy(combo.strategy, combo.factors, combo.handoff_percent)

    def _connections_rule(self, provider: str) -> str:
        return self._plan.connection_strategies.get(provider, "fill-first")

    @staticmethod
    def _branch(order: Strategy, nodes: list[Node], entity: str, rule: str) -> Branch | None:
        if not nodes:
            return None
        by_key = {node.choice.key: node for node in nodes}
        choices = tuple(node.choice for node in nodes)
        conditional = any(node.when is not None for node in nodes)
        return Branch(order, by_key, choices, conditional=conditional, entity=entity, rule=rule)


def nominal_price(model: Model) -> int | None:
    """What as many tokens sent as answered cost; None when the prices are not known."""
    return None if model.prices is None else model.prices.input + model.prices.output


def input_limit(model: Model) -> int | None:
    """The input tokens a model takes, None when not known."""
    return model.limits.max_input or model.limits.context
