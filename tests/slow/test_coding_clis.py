"""Coding CLIs on a scripted model of every protocol: the model asks for a command, the CLI runs it and reports, the model ends.

Nothing here leaves the machine: the CLIs know one address, the gateway's, and the model is a transcript.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.session import Stage, stage
from tests.clients.table import UPSTREAMS
from tests.slow.coding_cli import CLIS, INSTALLED, run
from tests.slow.scripted import write_transcripts

FILE = "made-by-the-tool.txt"
LOG = Path(__file__).parent / "cli" / "install.log"
COMMAND = f"printf 'proof 🌍' > {FILE} && cat {FILE}"


@pytest.fixture(scope="module")
def on_stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with stage(tmp_path_factory.mktemp("clis")) as running:
        yield running


@pytest.mark.parametrize("upstream", UPSTREAMS)
@pytest.mark.parametrize("name", CLIS)
def test_a_tool_session(on_stage: Stage, tmp_path: Path, name: str, upstream: str) -> None:
    """The tool ran, its result reached the vendor in the second request, and the CLI shows the last word."""
    cli = CLIS[name]
    if not (INSTALLED / cli.binary).exists():
        pytest.skip(
            f"{cli.binary} is not installed; npm said: {LOG.read_text() if LOG.exists() else 'nothing, it never ran'}"
        )
    vendor = on_stage.vendors[upstream]
    vendor.clear()
    for folder in ("transcripts", "home", "project"):
        (tmp_path / folder).mkdir()
    vendor.transcripts = tmp_path / "transcripts"
    write_transcripts(vendor.transcripts, upstream, cli.model, cli.tool, cli.arguments(COMMAND))
    prefix = "gemini-3-" if upstream == "gemini" else ""

    ended = run(
        cli,
        on_stage.gateway.url,
        on_stage.gateway.key,
        f"{upstream}/{prefix}{cli.model}",
        tmp_path / "home",
        tmp_path / "project",
    )

    told = f"{ended.stdout[-3000:]}\n{ended.stderr[-3000:]}"
    assert ended.returncode == 0, told
    assert [] == vendor.complaints
    assert (tmp_path / "project" / FILE).read_text(encoding="utf-8") == "proof 🌍", told
    assert cli.answer(ended.stdout) == "Paris is the capital of France.", told
    first, *_, second = vendor.requests
    assert "proof 🌍" not in json.dumps(first.body, ensure_ascii=False).replace(COMMAND, "")
    assert "proof 🌍" in json.dumps(second.body, ensure_ascii=False).replace(COMMAND, "")
