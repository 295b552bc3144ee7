"""A `gateway.yaml` of any length, sound by construction: own providers with models, aliases, nested combos, keys."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["large_gateway"]


def large_gateway(lines: int) -> str:
    """At least ``lines`` lines that compile without a complaint, against any catalogue."""
    blocks: list[str] = []
    count = 0
    while sum(block.count("\n") for block in blocks) < lines:
        blocks = [*_sections(count := count + 10)]
    return "".join(blocks)


def _sections(count: int) -> Iterator[str]:
    yield "version: 1\n\nproviders:\n"
    for number in range(count):
        yield from _provider(number)
    yield "\naliases:\n"
    for number in range(count):
        yield f"  small-{number}: host-{number}/small\n  best-{number}: smart-{number}\n"
        yield f'  "host-{number}-*": "host-{number}/*"\n'
    yield "\ncombos:\n"
    for number in range(count):
        yield f"  smart-{number}:  # tried in order\n    targets:\n"
        yield f"      - {{model: host-{number}/large, connection: spare}}\n"
        yield f"      - host-{number}/large\n      - small-{number}\n"
        if number % 10:
            yield f"      - smart-{number - 1}\n"
        yield "    promises: [streaming, tools]\n    context: 32000\n"
    yield "\nkeys:\n"
    for number in range(count):
        yield f'  team-{number}:\n    key: ${{TEAM_{number}_KEY}}\n    models: [best-{number}, "host-{number}/*"]\n'


def _provider(number: int) -> Iterator[str]:
    yield f"  host-{number}:\n    base_url: https://host-{number}.example.com/v1\n    surfaces: {{openai_chat: {{}}}}\n"
    yield "    connections:\n"
    for name in ("main", "spare"):
        yield f"      - id: {name}\n        key: ${{HOST_{number}_{name.upper()}}}\n"
    yield "    models:\n"
    for name in ("small", "large"):
        yield f"      {name}:\n        has: [streaming, tools]\n        context: 128000\n"
        yield "        prices: {input: 0.25, output: 1.50}\n"
