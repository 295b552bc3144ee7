"""Cases of the plan compiler: `gateway.yaml`, a ruler, and what must come of it. `python -m tests.config.golden` rewrites.

Above the ruler stands gateway.yaml; `==== gateway.d/x.yaml` begins a further file, `==== overrides/combos/x` an override
(without a line below: one that takes the entry away), `# set: A, B` in the first line says which variables are set, and then absent ones are reported, too. Below stand the diagnostics exactly as they are printed,
or, where there are none, a summary of the plan.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from generated.config import GatewayConfig
from runtime.config.compile import Compiled, compile_plan
from runtime.config.files import MAIN, Source
from runtime.config.order import explain_order, order_lines
from runtime.config.override import Override
from runtime.config.plan import Plan
from runtime.config.secrets import check_secrets, environment
from runtime.source import Diagnostic
from tests.config.catalog import CATALOG

__all__ = ["CASES", "Case", "outcome", "read_case", "rewrite"]

CASES = Path(__file__).parent / "cases"
RULER = "==== expected\n"
FILE = "==== "
OVERRIDES = "overrides/"


class Case(msgspec.Struct, frozen=True):
    sources: tuple[Source, ...]
    overrides: tuple[Override, ...]
    variables: tuple[str, ...] | None
    expected: str


def read_case(path: Path) -> Case:
    text, _, expected = path.read_text("utf-8").partition(RULER)
    pieces: list[tuple[str, list[str]]] = [(MAIN, [])] if not text.startswith(FILE) else []
    for line in text.splitlines(keepends=True):
        if line.startswith(FILE):
            pieces.append((line.removeprefix(FILE).strip(), []))
        else:
            pieces[-1][1].append(line)
    files = [(name, "".join(lines)) for name, lines in pieces]
    sources = tuple(Source(name, body.encode()) for name, body in files if not name.startswith(OVERRIDES))
    overrides = tuple(_override(name, body) for name, body in files if name.startswith(OVERRIDES))
    first = text.partition("\n")[0]
    variables = tuple(first.removeprefix("# set:").replace(",", " ").split()) if first.startswith("# set:") else None
    return Case(sources, overrides, variables, expected)


def _override(path: str, body: str) -> Override:
    _, section, name = path.split("/", 2)
    return Override(section, name, body or None)


def outcome(case: Case) -> str:
    compiled = compile_plan(case.sources, CATALOG, case.overrides)
    lines = [str(item) for item in _diagnostics(compiled, case)]
    if compiled.plan is not None:
        lines += summary(compiled.plan)
    return "".join(f"{line}\n" for line in lines)


def _diagnostics(compiled: Compiled, case: Case) -> Iterator[Diagnostic]:
    yield from compiled.diagnostics
    if compiled.artefact is not None and case.variables is not None:
        look_up = environment(CASES, dict.fromkeys(case.variables, "a-secret"))
        yield from check_secrets(compiled.artefact.plan, compiled.artefact.origins, look_up)


def summary(plan: Plan) -> Iterator[str]:
    """What the case's own lines led to: not the models and connections that the catalogue brings to every plan."""
    defaults = GatewayConfig(version=1)
    for section in (
        "server",
        "requests",
        "timeouts",
        "logging",
        "retries",
        "cooldowns",
        "breakers",
        "sessions",
        "limits",
    ):
        yield from _differences(section, getattr(plan, section), getattr(defaults, section))
    for id_, connection in plan.connections.items():
        if not connection.discovered:
            headers = f" with {', '.join(connection.headers)}" if connection.headers else ""
            yield f"connection {id_}: {connection.base_url} by {connection.secret or 'no secret'}{headers}"
            if connection.proxy is not None:
                proxy = connection.proxy
                yield f"  through {proxy.url} as {proxy.username} by {proxy.password or 'no secret'}"
            if not connection.enabled:
                yield "  not used"
            for limit in connection.limits:
                yield f"  at most {limit.requests} requests, {limit.tokens} tokens in {limit.per_ms} ms"
    for name, route in plan.routes.items():
        if route.kind != "model" or route.targets[0].connections[0].partition("/")[2] not in DISCOVERED:
            yield f"{route.kind} {name}: {route.endpoint.value}, {_promises(route.promises)}, context {route.context}"
            yield from (f"  {' → '.join(target.path)} over {', '.join(target.connections)}" for target in route.targets)
            if route.kind == "combo" and route.combo is not None:
                yield from order_lines(explain_order(plan, {}, route.combo))
    yield from (f"unlisted {name}" for name in plan.unlisted)
    yield from (f"sessions of {provider}: {mode}" for provider, mode in plan.provider_sessions.items())
    yield from (f"pattern {pattern.pattern} → {pattern.target}" for pattern in plan.patterns)
    for key in plan.keys:
        secret = key.secret or f"{str(key.hash)[:6]}…"
        yield f"key {key.id}: {secret}, {' '.join(key.scopes)}, {' '.join(key.models) or 'all models'}"
        if key.tenant != "default":
            yield f"  of {key.tenant}, {plan.tenants[key.tenant].name}"
        if key.pins:
            yield f"  may demand {' '.join(key.pins)}"
        yield from (f"  at most {limit.words}" for limit in key.limits)
    for what, named in (("tenant", plan.tenants), ("combo", plan.combos)):
        for name, item in named.items():
            yield from (f"{what} {name}: at most {limit.words}" for limit in item.limits)
    for name, policy in plan.policies.items():
        who = [" ".join(fits) or "all" for fits in (policy.keys, policy.tenants, policy.models)]
        yield f"policy {name}: keys {who[0]}, tenants {who[1]}, models {who[2]}, counted by {policy.count}"
        yield from (f"  at most {limit.words}" for limit in policy.limits)
        yield from (f"  only {model}" for model in policy.allowed_models)
    for id_, timeouts in plan.provider_timeouts.items():
        yield from _differences(f"providers.{id_}.timeouts", timeouts, plan.timeouts)
    yield f"{len(plan.routes)} names, egress {' '.join(plan.egress) or 'nowhere'}"


def _differences(name: str, settings: msgspec.Struct, default: msgspec.Struct) -> Iterator[str]:
    for field in settings.__struct_fields__:
        if getattr(settings, field) != getattr(default, field):
            yield f"{name}.{field} = {getattr(settings, field)!r}"


DISCOVERED = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "DEEPSEEK_API_KEY", "MISTRAL_API_KEY")


def _promises(promises: tuple[str, ...]) -> str:
    return "+".join(promises) or "no promise"


def rewrite() -> list[str]:
    """Write what comes of every case below its ruler; the names of those that changed."""
    changed: list[str] = []
    for path in sorted(CASES.rglob("*.case")):
        case = read_case(path)
        found = outcome(case)
        if found != case.expected:
            text = path.read_text("utf-8").partition(RULER)[0]
            path.write_text(text + RULER + found, "utf-8")
            changed.append(path.name)
    return changed


if __name__ == "__main__":
    sys.stdout.writelines(f"{name}\n" for name in rewrite())
