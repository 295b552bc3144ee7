"""Coding CLIs as their users run them, but alone: a home of their own, no telemetry, no updates, no network but the gateway."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from tests.clients.table import node

__all__ = ["CLIS", "Cli", "run"]

INSTALLED = Path(__file__).parent / "cli" / "node_modules" / ".bin"
LIMIT_S = 120.0
FILE = "made-by-the-tool.txt"
PROMPT = "Make the file, then tell me the capital of France."


class Cli(NamedTuple):
    """A CLI: what it calls its tool for commands and how it words one, and how it is told where the gateway is.

    ``prepare`` writes its settings below a home and gives its environment; ``command`` what to run. ``model`` is the name it
    asks for, given the provider and the transcript.
    """

    binary: str
    tool: str
    arguments: Callable[[str], dict[str, Any]]
    prepare: Callable[[Path, str, str], dict[str, str]]
    command: Callable[[str, Path], list[str]]
    answer: Callable[[str], str]
    model: str = "scripted"


def run(cli: Cli, url: str, key: str, model: str, home: Path, project: Path) -> subprocess.CompletedProcess[str]:
    """``cli`` once, without a terminal, in ``project``."""
    kept = {name: os.environ[name] for name in ("LANG", "TMPDIR", "SSL_CERT_FILE") if name in os.environ}
    env = {
        **kept,
        "HOME": str(home),
        "PATH": f"{node().parent}:/usr/local/bin:/usr/bin:/bin",
        "NO_COLOR": "1",
        "CI": "1",
    }
    return subprocess.run(
        [str(INSTALLED / cli.binary), *cli.command(model, project)],
        cwd=project,
        env=env | cli.prepare(home, url, key),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )


# -- Claude Code


def _claude_settings(home: Path, url: str, key: str) -> dict[str, str]:
    return {
        "ANTHROPIC_BASE_URL": url,
        "ANTHROPIC_AUTH_TOKEN": key,
        "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
        "DISABLE_TELEMETRY": "1",
        "DISABLE_AUTOUPDATER": "1",
        "DISABLE_ERROR_REPORTING": "1",
    }


def _claude(model: str, project: Path) -> list[str]:
    return ["-p", PROMPT, "--model", model, "--output-format", "json", "--allowedTools", "Bash,Write,Read"]


def _claude_answer(output: str) -> str:
    return str(json.loads(output)["result"])


# -- Codex


def _codex_settings(home: Path, url: str, key: str) -> dict[str, str]:
    folder = home / ".codex"
    folder.mkdir()
    (folder / "config.toml").write_text(
        'model_provider = "gatewright"\ncheck_for_update_on_startup = false\n'
        "[analytics]\nenabled = false\n[feedback]\nenabled = false\n"
        f'[model_providers.gatewright]\nname = "gatewright"\nbase_url = "{url}/v1"\nenv_key = "GATEWRIGHT_KEY"\n'
        'wire_api = "responses"\n'
    )
    return {"CODEX_HOME": str(folder), "GATEWRIGHT_KEY": key}


def _codex(model: str, project: Path) -> list[str]:
    unasked = "--dangerously-bypass-approvals-and-sandbox"
    return ["exec", "--skip-git-repo-check", unasked, "--json", "-m", model, "-C", str(project), PROMPT]


def _codex_answer(output: str) -> str:
    events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
    items = [event["item"] for event in events if event["type"] == "item.completed"]
    return "".join(item["text"] for item in items if item["type"] == "agent_message")


# -- Gemini CLI


def _gemini_settings(home: Path, url: str, key: str) -> dict[str, str]:
    folder = home / ".gemini"
    folder.mkdir()
    settings = {
        "telemetry": {"enabled": False},
        "privacy": {"usageStatisticsEnabled": False},
        "general": {"enableAutoUpdate": False, "maxAttempts": 2},
        "security": {"auth": {"selectedType": "gemini-api-key"}},
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return {"GOOGLE_GEMINI_BASE_URL": url, "GEMINI_API_KEY": key}


def _gemini(model: str, project: Path) -> list[str]:
    return ["-p", PROMPT, "-m", model, "--yolo", "--skip-trust", "-o", "json"]


def _gemini_answer(output: str) -> str:
    return str(json.loads(output[output.index("{") :])["response"])


CLIS: Mapping[str, Cli] = {
    "claude-code": Cli(
        "claude",
        "Bash",
        lambda command: {"command": command, "description": "Make the file"},
        _claude_settings,
        _claude,
        _claude_answer,
    ),
    "codex": Cli("codex", "exec_command", lambda command: {"cmd": command}, _codex_settings, _codex, _codex_answer),
    "gemini-cli": Cli(
        "gemini",
        "run_shell_command",
        lambda command: {"command": command, "description": "Make the file"},
        _gemini_settings,
        _gemini,
        _gemini_answer,
    ),
}
