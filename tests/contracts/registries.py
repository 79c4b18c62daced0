"""A small schema registry over HTTP, in a thread of its own: schemas by id, and versions of subjects."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote


@dataclass
class SmallRegistry:
    """What it holds, how it behaves, and what it was asked. `path` is where its API begins."""

    url: str = ""
    path: str = ""
    ids: dict[int, dict[str, Any]] = field(default_factory=dict)
    versions: dict[tuple[str, int], dict[str, Any]] = field(default_factory=dict)
    login: tuple[str, str] | None = None
    answer: tuple[int, bytes] | None = None
    """What it answers to everything, once it is set."""
    wait_s: float = 0.0
    asked: list[str] = field(default_factory=list)
    agents: set[str] = field(default_factory=set)

    def add(self, number: int, schema: Any, **more: Any) -> None:
        self.ids[number] = {"schema": json.dumps(schema), **more}

    def answered(self, path: str, authorization: str | None) -> tuple[int, bytes]:
        self.asked.append(path)
        time.sleep(self.wait_s)
        if self.answer is not None:
            return self.answer
        if self.login is not None and authorization != _basic(*self.login):
            return _error(401, 40101)
        parts = path.removeprefix(self.path).strip("/").split("/")
        if parts[:2] == ["schemas", "ids"]:
            found = self.ids.get(int(parts[2]))
            return _error(404, 40403) if found is None else (200, json.dumps(found).encode())
        if parts[0] == "subjects" and parts[2] == "versions":
            found = self.versions.get((unquote(parts[1]), int(parts[3])))
            return _error(404, 40401) if found is None else (200, json.dumps(found).encode())
        return _error(404, 404)


def _basic(username: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{username}:{password}'.encode()).decode()}"


def _error(status: int, code: int) -> tuple[int, bytes]:
    return status, json.dumps({"error_code": code, "message": "said in words"}).encode()


@contextmanager
def small_registry(path: str = "", certificate: ssl.SSLContext | None = None) -> Iterator[SmallRegistry]:
    """It answers until the end of the block; by TLS where there is a certificate."""
    registry = SmallRegistry(path=path)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            registry.agents.add(self.headers["user-agent"])
            status, body = registry.answered(self.path, self.headers["authorization"])
            self.send_response(status)
            self.send_header("content-type", "application/vnd.schemaregistry.v1+json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # nobody waits for it any more
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        server.socket = certificate.wrap_socket(server.socket, server_side=True)
    scheme = "http" if certificate is None else "https"
    registry.url = f"{scheme}://127.0.0.1:{server.server_port}{path}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield registry
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
