"""Public names to candidates, for one plan and the secrets at hand. Built once per plan; looked up once per request."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Final

import msgspec

from runtime.catalog import Endpoint, Model
from runtime.config.plan import Plan, PlannedTarget, Route, SessionMode
from runtime.config.resolve import absent, find_model, meant, resolve
from runtime.errors import InvalidRequest, ModelNotFound, RouteUnavailable
from runtime.routing.candidate import Candidate
from runtime.routing.planting import Trees
from runtime.routing.prepared import Prepared
from runtime.routing.tree import rules_below
from runtime.source import closest

__all__ = ["RouteTable"]

MAX_NAME_BYTES: Final = 1000
"""Some providers take any name, and what is asked for is logged, counted and remembered."""

MAX_MADE_UP: Final = 1000
"""Of how many names that only a pattern leads to, and that are without end, the targets are kept."""

MAX_OFFERS: Final = 8
"""How many models an ambiguous name is said to stand for."""


class RouteTable:
    """Answers "where can this name go?".

    ``secrets`` maps the id of each usable connection to its credential, None where the provider wants none; a
    connection that is absent is dark, and so are the targets that have only such.
    """

    def __init__(self, plan: Plan, secrets: Mapping[str, str | None]) -> None:
        self._plan = plan
        self._secrets = secrets
        self._trees = Trees(plan, secrets)
        self._prepared: dict[tuple[str, str], Prepared] = {}
        self._made_up: set[tuple[str, str]] = set()
        self._full = set(plan.routes)
        self._absent = absent(plan, secrets)
        self._unlisted = frozenset(plan.unlisted)

    def candidates(self, name: str, protocol: str, endpoint: Endpoint) -> tuple[Candidate, ...]:
        """The targets of ``name`` that can be called, as they are written; at least one. Raises as `prepared` does."""
        return self.prepared(name, protocol, endpoint).candidates

    def prepared(self, name: str, protocol: str, endpoint: Endpoint) -> Prepared:
        """All targets of ``name`` that can be called, and their order.

        Raises ModelNotFound for an unknown name or one of another endpoint, RouteUnavailable when every target is dark.
        """
        known = self._prepared.get((name, protocol))
        if known is not None:
            return known
        route = resolve(self._plan, name)
        if route is None or route.endpoint is not endpoint:
            raise self.unknown(name, route)
        branch = self._trees.tree(route, protocol)
        if branch is None:
            raise RouteUnavailable(f"no target of {name!r} can be called: {self._why_dark(route)}")
        refusals = self._plan.combos[route.combo].refusals if route.combo is not None else "pass"
        found = Prepared.of(tuple(self._written(route, protocol)), branch, refusals)
        rules = rules_below(branch)
        sessions = self._sessions(route, relays="context-relay" in rules)
        found = msgspec.structs.replace(
            found,
            endpoint=endpoint.value,
            sessions=sessions,
            relays="context-relay" in rules,
            affine="prefix-affinity" in rules,
            conversational="prefix-affinity" in rules or sessions == "derived",
        )
        if route.combo is not None:
            combo = self._plan.combos[route.combo]
            found = msgspec.structs.replace(
                found,
                rescue=combo.rescue,
                buffer_limit_bytes=combo.buffer_limit_bytes,
                hedge=combo.hedge,
                combo=combo.name,
            )
        if name in self._plan.routes or len(self._made_up) < MAX_MADE_UP:
            self._prepared[name, protocol] = found
            if name not in self._plan.routes:
                self._made_up.add((name, protocol))
                self._full.add(name)
        return found

    def _sessions(self, route: Route, *, relays: bool) -> SessionMode:
        """What makes a session of requests for ``route``. A relay needs one of every conversation."""
        if route.combo is not None:
            said = self._plan.combos[route.combo].sessions
        else:
            said = self._plan.provider_sessions.get(route.targets[0].model.partition("/")[0])
        mode = said or self._plan.sessions.mode
        return "derived" if relays and mode == "named" else mode

    def listed(self) -> Iterator[Route]:
        """The public names that can be called now and that lists show, in the plan's order."""
        for route in self._plan.routes.values():
            if route.name not in self._unlisted and any(self._lit(target) for target in route.targets):
                yield route

    def find(self, name: str) -> Route | None:
        """The route of ``name`` if it can be called now, listed or not."""
        route = resolve(self._plan, name)
        return route if route is not None and any(self._lit(target) for target in route.targets) else None

    def knows(self, name: str) -> bool:
        """Whether ``name`` leads anywhere, whether that can be called now or not."""
        return resolve(self._plan, name) is not None

    def lists(self, name: str) -> bool:
        """Whether ``name`` is one of the plan's own, not one that a pattern makes up."""
        return name in self._plan.routes

    def public(self, name: str) -> str:
        """``name``, or the public id that it stands for as a bare name, which one provider only has."""
        ids = meant(self._plan, name, self._absent)
        return ids[0] if len(ids) == 1 else name

    def spelt(self, name: str, allowed: Callable[[str], bool]) -> str:
        """``name`` as `public` gives it.

        Raises InvalidRequest for one of several models that are ``allowed``, ModelNotFound for what is too long for a name, or
        has characters that nobody sees: providers that take any name would be asked, and no store need hold such a one.
        """
        if name in self._full:
            return name
        if not name.isprintable() or len(name.encode()) > MAX_NAME_BYTES:
            raise self.unknown(name)
        ids = meant(self._plan, name, self._absent)
        if len(ids) < 2 or not any(map(allowed, ids)):
            return ids[0] if len(ids) == 1 else name
        offers = [id_ for id_ in ids if allowed(id_)]
        more = f" and {len(offers) - MAX_OFFERS} more" if len(offers) > MAX_OFFERS else ""
        message = f"the model name {name!r} is ambiguous; write one of {', '.join(offers[:MAX_OFFERS])}{more}"
        raise InvalidRequest(message, param="model", code="ambiguous_model")

    def providers(self) -> Collection[str]:
        """The ids of the providers that names lead to."""
        return self._plan.providers.keys()

    def unknown(self, name: str, route: Route | None = None) -> ModelNotFound:
        """What to tell who asked for ``name``, which does not exist, or whose ``route`` serves another endpoint."""
        if route is not None:
            return ModelNotFound(f"the model {name!r} serves {route.endpoint.value}, not this endpoint", param="model")
        near = closest(name, (listed.name for listed in self.listed()))
        hint = f"; did you mean {near!r}?" if near else ""
        return ModelNotFound(f"the model {name!r} does not exist{hint}", param="model", code="model_not_found")

    def facts(self, route: Route) -> Model:
        """What is known of a route's first target that can be called."""
        target = next((target for target in route.targets if self._lit(target)), route.targets[0])
        return self._model(target)[1]

    def lit(self, connection: str) -> bool:
        """Whether the connection has its credential."""
        return connection in self._secrets

    def _lit(self, target: PlannedTarget) -> bool:
        return any(connection in self._secrets for connection in target.connections)

    def _written(self, route: Route, protocol: str) -> Iterator[Candidate]:
        for target in route.targets:
            for connection in target.connections:
                ready = self._trees.candidate(target.model, connection, protocol)
                if ready is not None:
                    yield ready

    def _why_dark(self, route: Route) -> str:
        named = dict.fromkeys(each for target in route.targets for each in target.connections)
        disabled = [each for each in named if not self._plan.connections[each].enabled]
        if not disabled:
            return "its providers have no credentials here"
        these = ", ".join(disabled[:MAX_OFFERS])
        told = f"{these} {'is' if len(disabled) == 1 else 'are'} disabled"
        return told if len(disabled) == len(named) else f"{told}, and the rest have no credentials here"

    def _model(self, target: PlannedTarget) -> tuple[str, Model]:
        planned = find_model(self._plan, target.model)
        assert planned is not None, "the compiler lets no target through whose model it does not find"
        return planned.provider, planned.facts
