"""Processes that tests kill, and how to see that something has ended."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

SCRIPT = Path(__file__).with_name("starting.py")
ROOT = Path(__file__).parents[3]
DEADLINE_S = 20


class StartedElsewhere:
    """A server that another process has started (`starting.py`), and that process."""

    def __init__(self, kind: str, directory: Path) -> None:
        self._parent = subprocess.Popen(
            [sys.executable, str(SCRIPT), kind, str(directory)],
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
        )
        assert self._parent.stdout is not None
        self.pid, self.port = map(int, self._parent.stdout.readline().split())

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        """End the process that started the server, not the server."""
        self._parent.send_signal(how)
        self._parent.wait()
        assert self._parent.stdout is not None
        self._parent.stdout.close()


def gone(pid: int) -> bool:
    """Whether no such process runs (a zombie does not run)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True


def refuses(port: int) -> bool:
    """Whether nobody listens on the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def wait_for(condition: Callable[[], bool], what: str) -> None:
    """Return once it holds; fail after a deadline."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain until {what}"
        time.sleep(0.01)
