"""Real Apache Kafka (KRaft) for the tests and the benchmarks: one node or several. Needs Java and, the first time, Maven.

Its jars are named by `apache_kafka.pom.xml`, resolved once by Maven, and kept in the user's cache folder under the
pom's hash.
"""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from service.devstack import directories, kafka_probe
from service.devstack.children import LOOPBACK, Child, free_ports, on_port
from service.errors import DependencyAway

POM = Path(__file__).with_name("apache_kafka.pom.xml")
CLUSTER_ID = base64.urlsafe_b64encode(b"upheld-one-node!").decode().rstrip("=")  # Kafka wants 16 bytes
RESOLVE_S = 300.0
TOOL_S = 60.0
START_S = 90.0
STOP_S = 20.0

JAVA_OPTIONS = ("-Xms256m", "-Xmx400m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Djava.awt.headless=true")
LOGGING = """\
log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %c: %m%n
"""
SCRAM = ("SCRAM-SHA-256", "SCRAM-SHA-512")
SETTINGS = {
    "process.roles": "broker,controller",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "offsets.topic.num.partitions": "3",
    "transaction.state.log.num.partitions": "3",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "log.cleaner.dedupe.buffer.size": "8388608",  # the usual 128 MB do not fit into this heap
    "log.retention.check.interval.ms": "1000",
    "auto.create.topics.enable": "false",
}
ALONE = {
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
}
REPLICATED = {
    "offsets.topic.replication.factor": "3",
    "transaction.state.log.replication.factor": "3",
    "transaction.state.log.min.isr": "2",
    "default.replication.factor": "3",
    "min.insync.replicas": "2",
    "broker.session.timeout.ms": "3000",  # a node that is killed or frozen loses its leaderships within this
    "broker.heartbeat.interval.ms": "500",
    "replica.lag.time.max.ms": "5000",
    "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector",
}


class ApacheKafkaUnavailable(DependencyAway):
    """There is no Java, no Maven, or Maven cannot fetch the jars."""


@dataclass(frozen=True, slots=True)
class Listener:
    """A further way into a node. `advertised` is the port that clients are sent on to: a proxy's, or None for its own."""

    name: str
    port: int
    protocol: str = "PLAINTEXT"
    advertised: int | None = None


@dataclass(slots=True)
class Node:
    """One node: what it is told, and its process while it runs. Keeps its ports and its data from start to start."""

    directory: Path
    port: int
    number: int = 1
    controllers: Mapping[int, int] = field(default_factory=lambda: {1: free_ports(1)[0]})
    """Each node's controller port, its own among them."""
    listeners: Sequence[Listener] = ()
    settings: Mapping[str, str] = field(default_factory=dict[str, str])
    users: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    """Passwords of those who log in by SCRAM."""
    _child: Child | None = None

    @property
    def pid(self) -> int:
        assert self._child is not None, "not running"
        return self._child.pid

    def start(self) -> None:
        """Start without waiting. Raises `ApacheKafkaUnavailable` without Java or jars, `ServerDidNotStart`."""
        properties = self.directory / "node.properties"
        properties.write_text(_properties(self._settings()))
        (self.directory / "log4j.properties").write_text(LOGGING)
        if not (self.directory / "data" / "meta.properties").exists():
            told = ["format", f"--cluster-id={CLUSTER_ID}", f"--config={properties}", "--ignore-formatted"]
            for mechanism in SCRAM if self.users else ():
                for name, password in self.users.items():
                    told += ["--add-scram", f"{mechanism}=[name={name},password={password}]"]
            self.run("kafka.tools.StorageTool", *told)
        self._child = self._java("Apache Kafka", "kafka.Kafka", str(properties), log="server.log")

    def run(self, program: str, *arguments: str) -> None:
        """Run one of Kafka's own tools, by its class, to its end. Raises as `start`, and `ServerDidNotStart`."""
        name = program.rpartition(".")[2]
        self._java(f"Apache Kafka's {name}", program, *arguments, log=f"{name}.log").finish(within_s=TOOL_S)

    def _java(self, name: str, program: str, *arguments: str, log: str) -> Child:
        java = _program("java", "a Java runtime, 11 or newer")
        logging = f"-Dlog4j.configuration=file:{self.directory / 'log4j.properties'}"
        return Child.start(
            name,
            [java, *JAVA_OPTIONS, logging, "-cp", f"{jars()}{os.sep}*", program, *arguments],
            log=self.directory / log,
            directory=self.directory,
            environment={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"},
        )

    def wait(self, brokers: int = 1) -> None:
        """Return once it answers and names so many brokers. Raises `ServerDidNotStart`."""
        assert self._child is not None, "not running"
        self._child.wait_until(lambda: kafka_probe.brokers(self.port) >= brokers, within_s=START_S)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> None:
        """End it. Harmless when it has been stopped."""
        child, self._child = self._child, None
        if child is not None:
            child.stop(how, within_s=STOP_S)

    def _settings(self) -> Mapping[str, str]:
        here = (Listener("PLAINTEXT", self.port), *self.listeners)
        binds = [f"{each.name}://{LOOPBACK}:{each.port}" for each in here]
        ways = [f"{each.name}://{LOOPBACK}:{each.advertised or each.port}" for each in here]
        protocols = [f"{each.name}:{each.protocol}" for each in here]
        voters = ",".join(f"{number}@{LOOPBACK}:{port}" for number, port in self.controllers.items())
        return {
            **SETTINGS,
            **(ALONE if len(self.controllers) == 1 else REPLICATED),
            "node.id": str(self.number),
            "broker.rack": str(self.number),
            "listeners": ",".join([*binds, f"CONTROLLER://{LOOPBACK}:{self.controllers[self.number]}"]),
            "advertised.listeners": ",".join(ways),
            "listener.security.protocol.map": ",".join([*protocols, "CONTROLLER:PLAINTEXT"]),
            "controller.quorum.voters": voters,
            "log.dirs": str(self.directory / "data"),
            **self.settings,
        }


class ApacheKafka:
    """Running nodes. Started from the main thread; `stop` ends them, and so does the end of this process."""

    def __init__(self, nodes: Sequence[Node], scratch: Path | None) -> None:
        self.nodes = nodes
        self._scratch = scratch

    @classmethod
    def start(
        cls,
        port: int = 0,
        *,
        directory: Path | None = None,
        listeners: Sequence[Listener] = (),
        settings: Mapping[str, str] | None = None,
        users: Mapping[str, str] | None = None,
    ) -> Self:
        """Start one node and wait until it answers. Data in `directory` is kept, else it goes to a temporary folder.

        `settings` are the server's own, over those here; `users` have passwords for SCRAM. Raises
        `ApacheKafkaUnavailable` without Java or jars, `ServerDidNotStart` otherwise.
        """
        place, scratch = _place(directory)

        def started(chosen: int) -> Node:
            node = Node(place, chosen, listeners=listeners, settings=settings or {}, users=users or {})
            try:
                node.start()
                node.wait()
            except BaseException:
                node.stop(signal.SIGKILL)
                raise
            return node

        try:
            node, _ = on_port(port, started)
        except BaseException:
            _remove(scratch)
            raise
        return cls([node], scratch)

    @classmethod
    def start_three(cls, *, directory: Path | None = None, settings: Mapping[str, str] | None = None) -> Self:
        """Three nodes of one cluster: replication 3, two in-sync replicas at least, in racks named by the nodes' numbers.
        Raises as `start`.
        """
        place, scratch = _place(directory)
        ports = free_ports(6)
        controllers = dict(enumerate(ports[3:], start=1))
        nodes = [
            Node(directories.private(place / str(number)), port, number, controllers, settings=settings or {})
            for number, port in enumerate(ports[:3], start=1)
        ]
        cluster = cls(nodes, scratch)
        try:
            for node in nodes:
                node.start()
            for node in nodes:
                node.wait(brokers=len(nodes))
        except BaseException:
            cluster.stop()
            raise
        return cluster

    @property
    def bootstrap(self) -> str:
        """What a client is given as its bootstrap servers."""
        return ",".join(f"{LOOPBACK}:{node.port}" for node in self.nodes)

    @property
    def port(self) -> int:
        """Of the first node."""
        return self.nodes[0].port

    @property
    def pid(self) -> int:
        """Of the first node."""
        return self.nodes[0].pid

    def stop(self) -> None:
        """End every node. Harmless when they have been stopped."""
        how = signal.SIGTERM if len(self.nodes) == 1 else signal.SIGKILL  # together they wait for each other to go
        for node in self.nodes:
            node.stop(how)
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


def _place(directory: Path | None) -> tuple[Path, Path | None]:
    """Where the data goes, and the temporary folder to remove, if it is one."""
    if directory is not None:
        return directories.private(directory), None
    scratch = Path(tempfile.mkdtemp(prefix="upheld-kafka-"))
    return scratch, scratch


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
