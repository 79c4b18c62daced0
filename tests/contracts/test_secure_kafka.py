"""Clusters as people run them: whoever may come in reads and writes, and whoever may not is told why in plain words."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from structlog.testing import capture_logs

from consumers.errors import LogUnavailable
from consumers.kafka import KafkaConnection, KafkaDeadLetters, KafkaEventSink, KafkaLog, KafkaTopics, Security, reasons
from consumers.kafka.reasons import why_not
from consumers.ports import DeadLetter, Partition, Record
from consumers.topics import TopicChoice
from service.devstack.apache_kafka import ApacheKafka, Listener
from service.devstack.children import free_ports
from tests.contracts.clusters import QUICK, KafkaCluster, Reader, eventually, now_us
from tests.contracts.fortress import GRANTED, KEY_PASSWORD, OTHER_PASSWORD, PASSWORD, READABLE, SHOWN, USER, Fortress

pytestmark = [pytest.mark.kafka, pytest.mark.slow, pytest.mark.xdist_group("fortress"), pytest.mark.timeout(120)]

WAYS = (
    "TLS",
    "mutual TLS",
    "mutual TLS with a locked key",
    "PLAIN over TLS",
    "SCRAM-SHA-256 over TLS",
    "SCRAM-SHA-512 over TLS",
    "SCRAM-SHA-512 in the open",
)
LETTER = Record(0, 1_700_000_000_000_000, None, b"not an event")


@pytest.fixture(autouse=True)
async def closed() -> AsyncIterator[None]:
    """aiokafka does not wait for the end of connections that were refused: the loop must not end before them."""
    yield
    transports: Any = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]

    async def gone() -> bool:
        await asyncio.sleep(0)
        return all(each._sock is None for each in transports.values())

    await eventually(gone, "every connection is closed", within_s=5)


@pytest.fixture
async def topic(fortress: Fortress, topic_name: str) -> str:
    """One that the user may read and write."""
    await KafkaCluster(fortress.plain).create(GRANTED + topic_name)
    return GRANTED + topic_name


@pytest.fixture
def user(fortress: Fortress) -> KafkaConnection:
    return fortress.ways["SCRAM-SHA-256 over TLS"]


async def reading(connection: KafkaConnection, topic: str, group: str | None = None) -> list[bytes | None]:
    """The first values of a topic."""
    log = KafkaLog(connection, group or topic, now_us, QUICK)
    try:
        reader = await Reader(log).start(topic)
        return [record.value for record in await reader.read(1)]
    finally:
        await log.stop()


async def sending(connection: KafkaConnection, topic: str, *values: bytes) -> None:
    sink = KafkaEventSink(connection, topic)
    try:
        await sink.send(values)
    finally:
        await sink.stop()


@pytest.fixture
async def letters(user: KafkaConnection) -> AsyncIterator[KafkaDeadLetters]:
    made = KafkaDeadLetters(user)
    yield made
    await made.stop()


@pytest.mark.parametrize("way", WAYS)
async def test_whoever_shows_who_they_are_reads_and_writes(fortress: Fortress, topic: str, way: str) -> None:
    """Every client goes the same way: producers, consumers, and what asks for topics."""
    connection = fortress.ways[way]
    assert await why_not(connection) is None
    await sending(connection, topic, b"event")
    assert await reading(connection, topic) == [b"event"]
    assert topic in await KafkaTopics(connection).names()
    assert await KafkaTopics(connection).partitions(topic) == 1


def trusting(fortress: Fortress, way: str, **fields: Any) -> KafkaConnection:
    return KafkaConnection(fortress.address(way), security=Security("SSL", **{"ca_file": fortress.ca_file, **fields}))


def logging_in(fortress: Fortress, way: str, **fields: Any) -> KafkaConnection:
    login = {"mechanism": "PLAIN", "username": USER, "password": PASSWORD, **fields}
    return KafkaConnection(fortress.address(way), security=Security("SASL_SSL", fortress.ca_file, **login))


def elsewhere(servers: str, security: Security | None = None) -> KafkaConnection:
    return KafkaConnection(servers, security=security or Security())


MISTAKES: dict[str, tuple[Callable[[Fortress], KafkaConnection], str]] = {
    "another authority": (
        lambda it: trusting(it, "tls", ca_file=it.other_ca_file),
        "shows a certificate that is not trusted: its authority is not among those of /.*/other-ca.pem",
    ),
    "the system's authorities": (
        lambda it: trusting(it, "tls", ca_file=None),
        "its authority is not among those of the operating system",
    ),
    "an expired certificate": (lambda it: trusting(it, "expired"), "not trusted: it has expired"),
    "another host name": (
        lambda it: replace(trusting(it, "tls"), bootstrap_servers=f"localhost:{it.ports['tls']}"),
        "it is for another host name",
    ),
    "no client certificate": (lambda it: trusting(it, "mtls"), "wants a client certificate"),
    "a stranger's client certificate": (
        lambda it: trusting(it, "mtls", certificate_file=it.foreign_file),
        "refuses our client certificate",
    ),
    "no TLS": (lambda it: elsewhere(it.address("tls")), "does this listener speak PLAINTEXT"),
    "TLS where there is none": (
        lambda it: replace(trusting(it, "tls"), bootstrap_servers=it.plain),
        "does not speak TLS on this listener, which SSL needs|does this listener speak SSL",
    ),
    "no login": (lambda it: trusting(it, "login"), "does this listener speak SSL"),
    "a login where there is none": (lambda it: logging_in(it, "tls"), "asks nobody for a password on this listener"),
    "another password": (
        lambda it: logging_in(it, "login", password="wrong"),
        "refuses user upheld by PLAIN: the user name or the password is wrong",
    ),
    "another password by SCRAM": (
        lambda it: logging_in(it, "login", mechanism="SCRAM-SHA-512", password="wrong"),
        "refuses user upheld by SCRAM-SHA-512: the user name or the password is wrong",
    ),
    "another mechanism": (
        lambda it: logging_in(it, "only_plain", mechanism="SCRAM-SHA-512"),
        "does not offer SCRAM-SHA-512",
    ),
    "nobody there": (lambda _: elsewhere("127.0.0.1:1"), "127.0.0.1:1 cannot be reached: nobody listens there"),
    "no such name": (lambda _: elsewhere("kafka.invalid"), "kafka.invalid:9092 cannot be reached: its name is not"),
    "no name at all": (lambda _: elsewhere(" "), "no bootstrap server is named"),
    "two that are not there": (lambda _: elsewhere("127.0.0.1:1,[::1]:2"), "127.0.0.1:1 .*; ::1:2 "),
    "a file that has gone": (
        lambda it: trusting(it, "tls", ca_file=it.ca_file.with_name("gone")),
        "authorities cannot be read from .*gone: No such file",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
async def test_what_is_wrong_is_said(fortress: Fortress, mistake: str) -> None:
    """By whoever tries to come in, and without a secret in it."""
    connect, words = MISTAKES[mistake]
    reason = await why_not(connect(fortress))
    assert re.search(words, reason or ""), reason
    assert not any(secret in str(reason) for secret in (PASSWORD, OTHER_PASSWORD, KEY_PASSWORD, "wrong "))


async def test_every_client_says_it(fortress: Fortress) -> None:
    """Not only whoever asks why."""
    refused = logging_in(fortress, "login", password="wrong")
    log = KafkaLog(refused, "refused", now_us, QUICK)
    words = "the brokers cannot be reached: .* refuses user upheld by PLAIN"
    with pytest.raises(LogUnavailable, match=words):
        await log.start(TopicChoice(("events",)), Reader(log))
    with pytest.raises(LogUnavailable, match=words):
        await sending(refused, "events", b"event")
    with pytest.raises(LogUnavailable, match=words):
        await KafkaTopics(refused).names()


async def test_a_server_that_says_nothing_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A firewall that swallows packets."""
    monkeypatch.setattr(reasons, "CONNECT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        for security in (Security(), Security("SSL")):
            reason = await why_not(elsewhere(f"127.0.0.1:{port}", security))
            assert reason == f"127.0.0.1:{port} does not answer within 0.2 s"


async def test_a_broker_that_the_cluster_names_and_that_is_not_there_is_named(kafka_server: ApacheKafka) -> None:
    """The usual mistake with advertised listeners."""
    port, nobody = free_ports(2)
    with_detour = ApacheKafka.start(listeners=[Listener("DETOUR", port, advertised=nobody)])
    try:
        reason = await why_not(elsewhere(f"127.0.0.1:{port}"))
    finally:
        with_detour.stop()
    assert reason == f"a broker that the cluster names: 127.0.0.1:{nobody} cannot be reached: nobody listens there"


# --------------------------------------------------------------------------------------------------- rights


async def test_topics_that_may_not_be_read(
    fortress: Fortress, user: KafkaConnection, topic: str, topic_name: str
) -> None:
    """Each is named once, with what to grant; the others are read on, and these as soon as they may be."""
    hidden, shown = topic_name, SHOWN + topic_name
    for each in (hidden, shown):
        await KafkaCluster(fortress.plain).create(each)
        await KafkaCluster(fortress.plain).append(Partition(each, 0), b"for later")
    await sending(user, topic, b"event")
    log = KafkaLog(user, topic, now_us, QUICK)

    def denied() -> list[str]:
        return sorted(line["topic"] for line in logs if line.get("action") == "topic_denied")

    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("error"))
    with capture_logs() as logs:
        reader = await Reader(log).start(topic, hidden, shown)
        await reader.until(lambda: len(denied()) == 2, "both are named")
        assert [record.value for record in await reader.read(1)] == [b"event"]
        fortress.grant("Read", "--topic", topic_name, "--topic", shown)
        await reader.read(3)
        await log.stop()
    assert denied() == sorted([hidden, shown])
    [said] = [line for line in logs if line.get("topic") == hidden]
    assert said["event"] == f"Nothing is read of {hidden}: user upheld may not READ it. Grant READ on it."


async def test_a_topic_that_may_not_be_known_of_is_not_made(
    fortress: Fortress, user: KafkaConnection, topic_name: str
) -> None:
    """As if it were not there: Kafka does not tell strangers of topics."""
    await KafkaCluster(fortress.plain).create(topic_name)
    words = f"topic {topic_name} is not there, or user upheld may not DESCRIBE it: grant READ on it, or CREATE"
    with pytest.raises(LogUnavailable, match=words):
        await KafkaTopics(user).ensure(topic_name, 1)
    assert topic_name not in await KafkaTopics(user).names()


async def test_a_group_that_may_not_be_joined(user: KafkaConnection, topic: str) -> None:
    """Nothing is read, and it is said why."""
    with pytest.raises(LogUnavailable, match="user upheld may not READ group others: grant READ on it"):
        await reading(user, topic, "others")


async def test_a_topic_that_may_not_be_written(fortress: Fortress, user: KafkaConnection, topic_name: str) -> None:
    """Events that are sent there are refused as a whole."""
    readable = READABLE + topic_name
    await KafkaCluster(fortress.plain).create(readable)
    with pytest.raises(LogUnavailable, match=f"user upheld may not WRITE topic {readable}: grant WRITE on it"):
        await sending(user, readable, b"event")


async def test_dead_letters_that_have_nowhere_to_go(
    fortress: Fortress, user: KafkaConnection, letters: KafkaDeadLetters, topic_name: str
) -> None:
    """A topic that cannot be made, and one that cannot be written; then somebody grants it."""
    readable = READABLE + topic_name
    letter = DeadLetter(Partition(readable, 0), LETTER, "bad_json", "no JSON")
    with pytest.raises(
        LogUnavailable, match=rf"topic {readable}\.dlq is not there, or user upheld may not DESCRIBE it"
    ):
        await letters.send([letter])
    await KafkaCluster(fortress.plain).create(readable + ".dlq")
    with pytest.raises(LogUnavailable, match=rf"user upheld may not WRITE topic {readable}\.dlq: grant WRITE on it"):
        await letters.send([letter])
    granted = DeadLetter(Partition(GRANTED + topic_name, 0), LETTER, "bad_json", "no JSON")
    await KafkaCluster(fortress.plain).create(GRANTED + topic_name + ".dlq")
    await letters.send([granted])
    [stored] = await KafkaCluster(fortress.plain).records(GRANTED + topic_name + ".dlq", 1)
    assert stored.value == LETTER.value
