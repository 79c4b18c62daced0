"""A process that starts a server of the devstack, says where, and waits to be killed. Run as a script.

`python starting.py postgres|broker|kafka|watched DIRECTORY` prints one line: the server's pid and port.
"""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from service.devstack.apache_kafka import ApacheKafka
from service.devstack.broker import EmbeddedBroker
from service.devstack.children import Child
from service.devstack.postgres import EmbeddedPostgres

SLEEPER = "import os, time; print(os.getpid(), 0, flush=True); time.sleep(600)"


def main(kind: str, directory: Path) -> None:
    if kind == "watched":
        child = Child.start(
            "sleeper", [sys.executable, "-c", SLEEPER], log=directory / "log", directory=directory, watch=True
        )
        child.wait_until(lambda: child.log_tail() != "", within_s=20)
        print(child.log_tail(), flush=True)
    else:
        server = {
            "postgres": lambda: EmbeddedPostgres.start(directory, durable=False),
            "broker": lambda: EmbeddedBroker.start(directory=directory),
            "kafka": lambda: ApacheKafka.start(directory=directory),
        }[kind]()
        print(server.pid, server.port, flush=True)
    signal.pause()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
