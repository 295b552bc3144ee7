"""A provider for tests that manage one: lists its models and answers chats to who has its credential, in a thread."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

__all__ = ["Provider", "provider"]


class Provider:
    """``seen`` are the requests: method, path, headers with lower-case names, and the body."""

    def __init__(self, secret: str) -> None:
        self.secret = secret
        self.seen: list[tuple[str, str, dict[str, str], Any]] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"


@contextmanager
def provider(secret: str) -> Iterator[Provider]:
    """Serve until the block ends."""
    made = Provider(secret)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 — as it is called
            return

        def do_GET(self) -> None:
            self._serve(lambda _: {"object": "list", "data": [{"id": "one"}, {"id": "two"}]})

        def do_POST(self) -> None:
            self._serve(_completion)

        def _serve(self, answer: Any) -> None:
            raw = self.rfile.read(int(self.headers.get("content-length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            body = json.loads(raw) if raw else None
            made.seen.append((self.command, self.path, headers, body))
            good = f"Bearer {made.secret}" == headers.get("authorization") or made.secret == headers.get("x-api-key")
            status, said = (200, answer(body)) if good else (401, {"error": {"message": "no such key"}})
            data = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _completion(body: Any) -> dict[str, Any]:
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": body["model"],
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "ok"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6},
    }
