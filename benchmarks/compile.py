"""How long `gatewright check` and `build` take on a 3,000-line gateway.yaml, and how much memory they hold.

Repeat with: python -m benchmarks.compile [--rounds 7] [--write]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from benchmarks.measure import Run, environment, publish, run, table

__all__ = ["main", "project"]

LINES = 3_000
TARGETS = {"check": "< 1 s, < 150 MB", "build": "< 3 s"}


def project(root: Path, lines: int = LINES) -> int:
    """Write a gateway.yaml of about ``lines`` lines: providers, models, aliases, combos and keys. Returns its lines."""
    text = ["version: 1", "discovery: {providers: none}", "providers:"]
    providers = lines // 30
    for index in range(providers):
        text += [
            f"  house-{index}:",
            f"    base_url: https://house-{index}.example/v1",
            "    surfaces: {openai_chat: {}}",
            "    connections:",
            f'      - {{id: a, key: "${{HOUSE_{index}_A}}"}}',
            f'      - {{id: b, key: "${{HOUSE_{index}_B}}"}}',
            "    models:",
        ]
        for size in ("small", "large", "vast"):
            text += [f"      {size}:", "        has: [streaming, tools]", "        context: 128000"]
    text.append("aliases:")
    text += [f"  quick-{index}: house-{index}/small" for index in range(providers)]
    text.append("combos:")
    for index in range(providers):
        text += [
            f"  safe-{index}:",
            "    promises: [streaming, tools]",
            "    targets:",
            f"      - house-{index}/large",
            f"      - house-{(index + 1) % providers}/large",
        ]
    text.append("keys:")
    while len(text) + 4 <= lines:
        index = len(text)
        text += [f"  team-{index}:", f"    key: ${{TEAM_{index}}}", "    scopes: [chat]", "    models: [safe-1]"]
    root.joinpath("gateway.yaml").write_text("\n".join(text) + "\n", encoding="utf-8")
    return len(text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    gatewright = str(Path(sys.executable).with_name("gatewright"))
    runs: dict[str, list[Run]] = {"check": [], "build": []}
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        lines = project(root)
        for _ in range(options.rounds):
            for name, each in runs.items():
                each.append(run([gatewright, name, "--root", folder], root))
    page = f"# Compiling a gateway.yaml of {lines:,} lines\n\n{environment()}; {options.rounds} interleaved rounds; "
    page += f"`python -m benchmarks.compile --rounds {options.rounds}`\n\n" + table("Compile", runs, TARGETS)
    publish(page, "compile", write=options.write)


if __name__ == "__main__":
    main()
