"""Upheld as a stranger meets it: the real command in processes of its own, a real database, a real broker.

A `World` is one installation: its database, its topic, its settings. Tests start and kill parts, send records, and
read the API.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import httpx

T = TypeVar("T")

UPHELD = Path(sys.executable).with_name("upheld")
START_S = 60.0
COMMAND_S = 90.0


def free_port() -> int:
    """A port that nobody listens on, and that no process is given which takes any."""
    while True:
        port = secrets.randbelow(10_000) + 20_000
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def outside() -> dict[str, str]:
    """The environment of a command. No coverage is measured there: it would take twice its time, to start above all."""
    ours = ("UPHELD_", "COVERAGE_PROCESS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


async def eventually(look: Callable[[], Awaitable[T | None]], within_s: float, what: str) -> T:
    """The first value that is not None (or False) that `look` gives; fails loudly after the deadline."""
    deadline = time.monotonic() + within_s
    while True:
        seen = await look()
        if seen is not None and seen is not False:
            return seen
        if time.monotonic() > deadline:
            message = f"not within {within_s} s: {what}"
            raise AssertionError(message)
        await asyncio.sleep(0.05)


@dataclass
class World:
    """One installation."""

    database_url: str
    kafka: str
    topic: str
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)
    unset: set[str] = field(default_factory=set)
    port: int = field(default_factory=free_port)
    _processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def environment(self) -> dict[str, str]:
        ours = {
            **outside(),
            "UPHELD_DATABASE_URL": self.database_url,
            "UPHELD_KAFKA_BOOTSTRAP_SERVERS": self.kafka,
            "UPHELD_TOPICS": self.topic,
            "UPHELD_PORT": str(self.port),
            "UPHELD_METRICS_PORT": "0",
            "UPHELD_LOG_FORMAT": "json",
            "UPHELD_CONFIG": str(self.folder / "absent.yaml"),
            "PYTHONUNBUFFERED": "1",
            **self.settings,
        }
        return {name: value for name, value in ours.items() if name not in self.unset}

    async def command(self, *arguments: str, stdin: bytes = b"", expect: int = 0) -> str:
        """Runs `upheld ...` to its end and gives standard output; another exit code than expected fails."""
        process = await asyncio.create_subprocess_exec(
            UPHELD,
            *arguments,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment,
            cwd=self.folder,
        )
        async with asyncio.timeout(COMMAND_S):
            out, err = await process.communicate(stdin)
        assert process.returncode == expect, f"upheld {arguments[0]}: {process.returncode}\n{err.decode()[-3000:]}"
        return out.decode() + (err.decode() if expect else "")

    async def apply(self, documents: str, since: str | None = None) -> None:
        """Migrates and applies documents."""
        file = self.folder / "documents.yaml"
        file.write_text(documents)
        await self.command("migrate")
        await self.command("apply", str(file), *(["--from", since] if since else []))

    async def emit(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Sends events through the command."""
        lines = "\n".join(json.dumps(event) for event in events)
        await self.command("emit", stdin=lines.encode())

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Starts a part; its log goes to a file in the folder."""
        log = (self.folder / f"{arguments[0]}-{len(self._processes)}.log").open("wb")
        with log:
            process = subprocess.Popen(
                [UPHELD, *arguments], env=self.environment, cwd=self.folder, stdout=log, stderr=log
            )
        self._processes.append(process)
        return process

    async def ready(self) -> None:
        """Waits until the API says that it is ready."""

        async def look() -> bool | None:
            for process in self._processes:
                assert process.poll() is None or process.returncode == -signal.SIGKILL
            with contextlib.suppress(httpx.HTTPError):
                async with httpx.AsyncClient() as client:
                    return (await client.get(f"http://127.0.0.1:{self.port}/readyz")).status_code == 200
            return None

        await eventually(look, START_S, "ready")

    async def get(self, path: str) -> Any:
        """A JSON answer of the API."""
        async with httpx.AsyncClient(timeout=10) as client:
            answer = await client.get(f"http://127.0.0.1:{self.port}/api/v1{path}")
            answer.raise_for_status()
            return answer.json()

    async def history(self, path: str) -> list[Any]:
        """Points of a history; none before the first evaluation."""
        try:
            return list((await self.get(path))["items"])
        except httpx.HTTPStatusError as error:
            if error.response.status_code != httpx.codes.NOT_FOUND:
                raise
            return []

    async def item(self, agreement: str, objective: str) -> Any | None:
        """The item of an ungrouped objective, or None while there is none."""
        with contextlib.suppress(httpx.HTTPError):
            items = (await self.get(f"/objectives/{agreement}/{objective}"))["items"]
            return items[0] if items else None
        return None

    async def total(self, agreement: str, objective: str, at_least: int, within_s: float = 60.0) -> Any:
        """The item once its experienced total has reached a number."""

        async def look() -> Any | None:
            item = await self.item(agreement, objective)
            return item if item and item["experienced"]["total"] >= at_least else None

        return await eventually(look, within_s, f"a total of {at_least}")

    def stop(self) -> None:
        """Ends whatever still runs, as a supervisor would, and prints the ends of the logs: shown where a test failed."""
        for process in self._processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for process in self._processes:
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        for path in sorted(self.folder.glob("*.log")):
            print(f"--- {path.name}\n{path.read_text(errors='replace')[-2500:]}")
