"""Servers as child processes that never outlive the process that started them."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from service.errors import DependencyAway

T = TypeVar("T")

TETHER = Path(__file__).with_name("tether.py")
LOOPBACK = "127.0.0.1"
READY_POLL_S = 0.01
PORT_TRIES = 5
PORT_IN_USE = re.compile("address (already )?in use", re.IGNORECASE)  # as PostgreSQL, tansu and Kafka say it
LOG_TAIL = 2000  # characters of a server's log that its error message carries


@dataclass(frozen=True, slots=True)
class Account:
    """Whom a server runs as."""

    uid: int
    gid: int


class ServerDidNotStart(DependencyAway):
    """A server of the devstack ended, or did not answer, before it was ready."""


class Child:
    """A running server. Not for several threads."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], log: Path) -> None:
        self._name = name
        self._process = process
        self._log = log

    @classmethod
    def start(
        cls,
        name: str,
        program: Sequence[str | Path],
        *,
        log: Path,
        directory: Path,
        dies_by: signal.Signals = signal.SIGKILL,
        account: Account | None = None,
        environment: Mapping[str, str] | None = None,
        keep: Sequence[int] = (),
        watch: bool = sys.platform != "linux",
    ) -> Child:
        """Start `program` in `directory`, with its output in `log`, tied to this process by `dies_by`.

        Call it from the main thread: Linux ends the program when the starting thread ends. `keep` are open files that
        the program inherits. It leads a session of its own, so that Ctrl-C on the terminal leaves it to whoever
        started it. `watch` chooses the way of systems that are not Linux.
        """
        if threading.current_thread() is not threading.main_thread():
            msg = f"{name} must be started from the main thread: it would end when this thread does"
            raise RuntimeError(msg)
        orders = {
            "parent": os.getpid(),
            "signal": int(dies_by),
            "uid": account.uid if account else None,
            "gid": account.gid if account else None,
            "watch": watch,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(TETHER), json.dumps(orders), *map(str, program)],
                stdin=subprocess.PIPE if watch else subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=directory,
                env=dict(environment or {}),
                pass_fds=tuple(keep),
                start_new_session=True,
            )
        return cls(name, process, log)

    @property
    def pid(self) -> int:
        return self._process.pid

    def running(self) -> bool:
        return self._process.poll() is None

    def wait_until(self, ready: Callable[[], bool], *, within_s: float) -> None:
        """Return once `ready()`; otherwise stop the server and raise `ServerDidNotStart` with the end of its log."""
        for _ in range(int(within_s / READY_POLL_S)):
            if ready():
                return
            if not self.running():
                break
            time.sleep(READY_POLL_S)
        what = f"did not answer within {within_s:g} s" if self.running() else f"ended with {self._process.returncode}"
        self.stop(signal.SIGKILL, within_s=1)
        raise ServerDidNotStart(f"{self._name} {what}:\n{self.log_tail()}")

    def finish(self, *, within_s: float) -> None:
        """Wait for a program that ends by itself; raise `ServerDidNotStart` if it fails or does not end in time."""
        try:
            code = self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.stop(signal.SIGKILL, within_s=1)
            raise ServerDidNotStart(f"{self._name} did not end within {within_s:g} s:\n{self.log_tail()}") from None
        self._close()
        if code != 0:
            raise ServerDidNotStart(f"{self._name} ended with {code}:\n{self.log_tail()}")

    def stop(self, how: signal.Signals = signal.SIGTERM, *, within_s: float = 10) -> None:
        """End the server by `how`, and by force once `within_s` have passed. Harmless when it has ended."""
        if self.running():
            self._process.send_signal(how)
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._close()

    def log_tail(self) -> str:
        """The end of what the server wrote."""
        try:
            return self._log.read_text(errors="replace")[-LOG_TAIL:].strip()
        except OSError:
            return "(no log)"

    def _close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


def on_port(wanted: int, start: Callable[[int], T]) -> tuple[T, int]:
    """Start a server on the wanted port of the loopback address, or on a free one if it is 0.

    Somebody else may take a free port between the look and the start: then another is tried. A wanted port that is
    taken is refused before the start, so that a stranger's server there is not mistaken for ours.
    """
    for remaining in reversed(range(PORT_TRIES)):
        port = free_ports(1)[0] if wanted == 0 else _unused(wanted)
        try:
            return start(port), port
        except ServerDidNotStart as error:
            if wanted or not remaining or not PORT_IN_USE.search(str(error)):
                raise
    raise AssertionError("the last try returns or raises")


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback address that nobody listens on right now."""
    with contextlib.ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((LOOPBACK, 0))
        return [int(probe.getsockname()[1]) for probe in probes]


def _unused(port: int) -> int:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: old connections do not count
        try:
            probe.bind((LOOPBACK, port))
        except OSError as error:
            raise ServerDidNotStart(f"port {port} cannot be used: {error.strerror}") from error
    return port
