"""nginx that passes on to the provider, without and with TLS: where it is, how it is set up, how it is started."""

from __future__ import annotations

import shutil
from pathlib import Path

__all__ = ["command", "config", "program"]


def program() -> str | None:
    """None where there is none."""
    return shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")


def command(program: str, folder: Path, config: str) -> list[str]:
    """One process in the foreground, set up by ``config``, which is kept in ``folder`` with all else that it writes."""
    path = folder / "nginx.conf"
    path.write_text(config, encoding="utf-8")
    return [program, "-c", str(path), "-e", str(folder / "error.log")]


def config(folder: Path, listen: str, provider: int, *, before: str = "", within: str = "") -> str:
    """``listen``: address and port, and `ssl` where wanted; ``provider``: its port; ``before`` the server, ``within`` its location."""
    return f"""\
daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log crit; worker_rlimit_nofile 65536;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; client_max_body_size 64m; client_body_buffer_size 2m;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u;
  scgi_temp_path {folder}/s; tcp_nodelay on;
  upstream provider {{ server 127.0.0.1:{provider}; keepalive 2048; keepalive_requests 100000000; }}
  {before}
  server {{
    listen {listen} backlog=4096;
    location / {{
      {within}
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 300s;
    }}
  }}
}}
"""
