"""Asking a running gateway over its management API, with errors that say what to do."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from runtime.cli.terminal import FAULT, Stop

__all__ = ["KEY_VARIABLE", "address", "ask", "client_key"]

KEY_VARIABLE: Final = "GATEWRIGHT_KEY"
LIMIT_S: Final = 10.0


def address(root: Path, given: str | None) -> str:
    """Where the gateway listens: as ``given``, else as its configuration says."""
    if given is not None:
        return given.rstrip("/")
    from runtime.cli.project import server_settings

    server = server_settings(root)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(server.host, server.host)  # noqa: S104 — compared, not listened on
    if server.port == 0:
        raise Stop(FAULT, "the configuration lets the system choose the port; give the address with --url")
    return f"http://{host}:{server.port}"


def client_key(root: Path, given: str | None) -> str | None:
    """The key that was ``given``, else the one that a gateway without configured keys made for itself."""
    if given:
        return given
    from runtime.cli.project import data_dir

    own = data_dir(root) / "dev-key"
    try:
        return own.read_text("ascii").strip() if own.is_file() else None
    except UnicodeDecodeError:
        raise Stop(FAULT, f"{own} holds no key; delete it, and the next start makes a new one") from None


def ask(url: str, path: tuple[str, ...], key: str | None) -> bytes:
    """The answer to a GET below ``url``. Raises Stop."""
    target = "/".join([url, *(quote(step, safe="") for step in path)])
    request = _request(url, target, {"authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request, timeout=LIMIT_S) as response:  # noqa: S310 — the scheme was looked at
            return bytes(response.read())
    except urllib.error.HTTPError as error:
        raise Stop(FAULT, f"{url} answered {error.code}: {_detail(error.read(), error.code)}") from None
    except http.client.HTTPException as error:
        raise Stop(FAULT, f"what answers at {url} does not speak HTTP ({type(error).__name__})") from None
    except ValueError:
        raise Stop(
            FAULT, f"the key cannot be sent: it holds what no header can carry; look at {KEY_VARIABLE}"
        ) from None
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise Stop(FAULT, f"no gateway answers at {url} ({reason}); is `gatewright serve` running there?") from None


def _request(url: str, target: str, headers: dict[str, str]) -> urllib.request.Request:
    try:
        request = urllib.request.Request(target, headers=headers)  # noqa: S310 — the scheme is looked at
        if request.type in {"http", "https"} and request.host and urlsplit(target).port != 0:
            return request
    except ValueError:  # no scheme, a port that is none, half an IPv6 address
        pass
    raise Stop(FAULT, f"{url} is no address of a gateway; write it as http://host:port")


def _detail(body: bytes, status: int) -> str:
    try:
        detail = str(json.loads(body)["detail"])
    except (ValueError, KeyError, TypeError):
        detail = "this is no gateway of ours, or an older one"
    hint = f"; set {KEY_VARIABLE} to a key with the scope `view`" if status in {401, 403} else ""
    return detail + hint
