"""One gateway before five strict vendors, and the clients' scripts run against it, each once, in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from tests.clients.cells import EXPECTED, SCRIPT_LIMIT_S
from tests.clients.table import Script, commands
from tests.support.gateway import Running, gateway
from tests.support.vendor import KEY, Vendor, vendor

__all__ = ["Outcome", "Stage", "run_scripts", "stage"]

ROOT = Path(__file__).parents[2]
AT_ONCE = 2
SPLIT = 7
"""Bytes per write of a stream: no event arrives whole."""

PROVIDER = """\
  {id}:
    base_url: {url}{version}
    surfaces: {{{id}: {{}}}}
    auth: {auth}
    open_models: true
    models: {{fault-429: {{}}, gemini-3-fault-429: {{}}}}
    connections: [{{id: main, key: "${{VENDOR_KEY}}"}}]
"""
AUTH = {
    "anthropic_messages": '{header: x-api-key, prefix: ""}',
    "gemini": '{header: x-goog-api-key, prefix: ""}',
}
HEAD = """\
version: 1
discovery: {providers: none}
timeouts: {idle: 30s, first_byte: 30s, first_byte_unstreamed: 30s, first_token: 30s}
retries: {per_target: 0, max_retry_after: 0s}
cooldowns: {max: 1ms}
breakers: {mode: ignore}
providers:
"""


MARK = re.compile(r"\[[a-z-]+>[a-z_]+>[a-z0-9-]+\]")
"""What `cells.Cell` ends a question with."""


class Outcome(NamedTuple):
    """What became of a cell: `ok`, `impossible` or `failed`, and why."""

    word: str
    detail: str


class Stage(NamedTuple):
    gateway: Running
    vendors: Mapping[str, Vendor]

    def sent(self) -> Mapping[str, list[str]]:
        """The bodies that reached any vendor so far, by the mark of the cell they were sent for."""
        found: dict[str, list[str]] = {}
        for fake in self.vendors.values():
            for seen in fake.requests:
                body = seen.raw.decode().replace("\\u003e", ">")
                for mark in set(MARK.findall(body)):
                    found.setdefault(mark, []).append(body)
        return found


def config(vendors: Mapping[str, Vendor]) -> str:
    """A gateway.yaml with one provider per vendor, named as its protocol."""
    rows = [
        PROVIDER.format(
            id=protocol,
            url=fake.url,
            version="/v1" if protocol.startswith("openai") else "",
            auth=AUTH.get(protocol, '{header: authorization, prefix: "Bearer "}'),
        )
        for protocol, fake in vendors.items()
    ]
    return HEAD + "".join(rows)


@contextlib.contextmanager
def stage(root: Path) -> Iterator[Stage]:
    """Vendors and gateway, running."""
    with contextlib.ExitStack() as stack:
        vendors = {protocol: stack.enter_context(vendor(protocol)) for protocol in EXPECTED["upstreams"]}
        for fake in vendors.values():
            fake.split = SPLIT
        running = stack.enter_context(gateway(root, config(vendors), {"VENDOR_KEY": KEY}))
        yield Stage(running, vendors)


def run_scripts(on: Stage, *wanted: str) -> dict[tuple[str, str, str], Outcome]:
    """What every script printed, by client, upstream and feature. One that dies leaves its cells out, and says why."""
    cells: dict[tuple[str, str, str], Outcome] = {}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for scripts, lines, errors in pool.map(lambda each: _run(each[0], each[1], on), commands(*wanted)):
            for line in lines:
                cell = json.loads(line)
                cells[cell["client"], cell["upstream"], cell["feature"]] = Outcome(cell["outcome"], cell["detail"])
            for script in scripts:
                for client in script.clients:
                    cells.setdefault((client, "", ""), Outcome("failed", errors))
    return cells


def _run(scripts: tuple[Script, ...], command: list[str], on: Stage) -> tuple[tuple[Script, ...], list[str], str]:
    limit_s = SCRIPT_LIMIT_S * (len(scripts) + 1)
    env = {"GATEWAY_URL": on.gateway.url, "GATEWAY_KEY": on.gateway.key, "PYTHONWARNINGS": "ignore"}
    try:
        ended = subprocess.run(
            command,
            cwd=ROOT,
            env=_quiet() | env,
            capture_output=True,
            text=True,
            timeout=limit_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        output = late.stdout.decode() if isinstance(late.stdout, bytes) else late.stdout or ""
        return scripts, _lines(output), f"{command} took more than {limit_s} s"
    return scripts, _lines(ended.stdout), f"{command} ended with {ended.returncode}: {ended.stderr[-3000:]}"


def _lines(output: str) -> list[str]:
    return [line for line in output.splitlines() if line.startswith('{"client"')]


def _quiet() -> dict[str, str]:
    """The machine's environment without proxies, credentials and settings that SDKs read."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.upper().endswith(("_PROXY", "_API_KEY", "_TOKEN", "_BASE_URL"))
        and not name.startswith(("OPENAI_", "ANTHROPIC_", "GOOGLE_", "GEMINI_", "OLLAMA_", "LANGCHAIN_", "LANGSMITH_"))
    } | {"OPENAI_AGENTS_DISABLE_TRACING": "1", "LANGSMITH_TRACING": "false"}


if __name__ == "__main__":  # while writing an adapter: `python -m tests.clients.session 'anthropic>'`
    import tempfile

    with stage(Path(tempfile.mkdtemp())) as running:
        for cell, outcome in sorted(run_scripts(running, *sys.argv[1:]).items()):
            if cell[1] and outcome.word != "ok":
                print(*cell, *outcome)
        for fake in running.vendors.values():
            for text in sorted(set(fake.complaints)):
                print(fake.protocol, "refused:", text)
