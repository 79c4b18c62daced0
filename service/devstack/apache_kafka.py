"""One real Apache Kafka node (KRaft) for the tests and the benchmark. Needs Java and, the first time, Maven.

Its jars are named by `apache_kafka.pom.xml`, resolved once by Maven, and kept in the user's cache folder under the
pom's hash.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

from service.devstack import directories, kafka_probe
from service.devstack.children import LOOPBACK, Child, free_ports, on_port
from service.errors import DependencyAway

POM = Path(__file__).with_name("apache_kafka.pom.xml")
CLUSTER_ID = base64.urlsafe_b64encode(b"upheld-one-node!").decode().rstrip("=")  # Kafka wants 16 bytes
RESOLVE_S = 300.0
FORMAT_S = 60.0
START_S = 90.0
STOP_S = 20.0

JAVA_OPTIONS = ("-Xms256m", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
"""
SETTINGS = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
    "offsets.topic.replication.factor": "1",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "8388608",  # the usual 128 MB do not fit into this heap
    "log.retention.check.interval.ms": "1000",
    "auto.create.topics.enable": "false",
}


class ApacheKafkaUnavailable(DependencyAway):
    """There is no Java, no Maven, or Maven cannot fetch the jars."""


class ApacheKafka:
    """A running node. Started from the main thread; `stop` ends it, and so does the end of this process."""

    def __init__(self, child: Child, port: int, scratch: Path | None) -> None:
        self._child = child
        self._scratch = scratch
        self.port = port

    @classmethod
    def start(cls, port: int = 0, *, directory: Path | None = None) -> ApacheKafka:
        """Start and wait until it answers. Data in `directory` is kept, else it goes to a temporary folder.

        Raises `ApacheKafkaUnavailable` without Java or jars, `ServerDidNotStart` otherwise.
        """
        java = _program("java", "a Java runtime, 11 or newer")
        classpath = f"{jars()}{os.sep}*"
        scratch = None if directory else Path(tempfile.mkdtemp(prefix="upheld-kafka-"))
        place = directories.private(directory) if directory else scratch
        assert place is not None
        try:
            child, chosen = on_port(port, functools.partial(_serve, place, java, classpath))
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
        """End the node. Harmless when it has been stopped."""
        self._child.stop(signal.SIGTERM, within_s=STOP_S)
        _remove(self._scratch)


def jars() -> Path:
    """The folder with the jars; fetched if this pom's are not there yet. Raises `ApacheKafkaUnavailable`."""
    wanted = hashlib.sha256(POM.read_bytes()).hexdigest()[:16]
    cache = directories.private(directories.user_cache())
    folder = cache / f"apache-kafka-{wanted}"
    if folder.exists():
        return folder
    maven = _program("mvn", "Maven, to fetch the jars")
    with tempfile.TemporaryDirectory(prefix="apache-kafka.", dir=cache) as fresh:
        _fetch(maven, Path(fresh) / "jars")
        try:
            (Path(fresh) / "jars").rename(folder)
        except OSError:  # somebody else was faster
            if not folder.exists():
                raise
    return folder


def _fetch(maven: str, folder: Path) -> None:
    command = [maven, "--batch-mode", "--quiet", "--strict-checksums", "--file", str(POM)]
    goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            [*command, *goal], capture_output=True, text=True, timeout=RESOLVE_S, check=False, stdin=subprocess.DEVNULL
        )
    except subprocess.TimeoutExpired:
        raise ApacheKafkaUnavailable(f"Maven could not fetch Apache Kafka within {RESOLVE_S:g} s") from None
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()[:2000]
        raise ApacheKafkaUnavailable(f"Maven could not fetch Apache Kafka:\n{said}")


def _serve(directory: Path, java: str, classpath: str, port: int) -> Child:
    (controller,) = free_ports(1)
    properties, logging = directory / "one.properties", directory / "log4j.properties"
    properties.write_text(_properties(_settings(directory, port, controller)))
    logging.write_text(LOGGING)
    command = [java, *JAVA_OPTIONS, f"-Dlog4j.configuration=file:{logging}", "-cp", classpath]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}
    Child.start(
        "Apache Kafka's format tool",
        [
            *command,
            "kafka.tools.StorageTool",
            "format",
            f"--cluster-id={CLUSTER_ID}",
            f"--config={properties}",
            "--ignore-formatted",
        ],
        log=directory / "format.log",
        directory=directory,
        environment=environment,
    ).finish(within_s=FORMAT_S)
    child = Child.start(
        "Apache Kafka",
        [*command, "kafka.Kafka", properties],
        log=directory / "server.log",
        directory=directory,
        environment=environment,
    )
    child.wait_until(lambda: kafka_probe.answers(port), within_s=START_S)
    return child


def _settings(directory: Path, port: int, controller: int) -> Mapping[str, str]:
    return SETTINGS | {
        "listeners": f"PLAINTEXT://{LOOPBACK}:{port},CONTROLLER://{LOOPBACK}:{controller}",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port}",
        "controller.quorum.voters": f"1@{LOOPBACK}:{controller}",
        "log.dirs": str(directory / "data"),
    }


def _properties(settings: Mapping[str, str]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _program(name: str, what: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ApacheKafkaUnavailable(f"Apache Kafka needs `{name}` on the PATH: {what}")
    return found


def _remove(scratch: Path | None) -> None:
    if scratch is not None:
        shutil.rmtree(scratch, ignore_errors=True)
