"""Settings of Kafka clients, given by the names in Kafka's documentation."""

from __future__ import annotations

from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor
from hypothesis import given
from hypothesis import strategies as st

from consumers.kafka.options import BadOption, consumer_options, producer_options

CONSUMER = {
    "check.crcs": ("False", "check_crcs", False),
    "connections.max.idle.ms": ("1", "connections_max_idle_ms", 1),
    "fetch.max.bytes": (" 1000000\n", "fetch_max_bytes", 1_000_000),
    "fetch.max.wait.ms": ("5000", "fetch_max_wait_ms", 5_000),
    "fetch.min.bytes": ("1", "fetch_min_bytes", 1),
    "heartbeat.interval.ms": ("2000", "heartbeat_interval_ms", 2_000),
    "max.partition.fetch.bytes": ("2147483647", "max_partition_fetch_bytes", 2_147_483_647),
    "max.poll.interval.ms": ("600000", "max_poll_interval_ms", 600_000),
    "metadata.max.age.ms": ("1000", "metadata_max_age_ms", 1_000),
    "partition.assignment.strategy": ("range", "partition_assignment_strategy", (RangePartitionAssignor,)),
    "request.timeout.ms": ("30001", "request_timeout_ms", 30_001),
    "retry.backoff.ms": ("50", "retry_backoff_ms", 50),
    "session.timeout.ms": ("6000", "session_timeout_ms", 6_000),
}
PRODUCER = {
    "batch.size": ("16384", "max_batch_size", 16_384),
    "compression.type": ("lz4", "compression_type", "lz4"),
    "connections.max.idle.ms": ("1", "connections_max_idle_ms", 1),
    "linger.ms": ("0", "linger_ms", 0),
    "max.request.size": ("1048576", "max_request_size", 1_048_576),
    "metadata.max.age.ms": ("1000", "metadata_max_age_ms", 1_000),
    "request.timeout.ms": ("1", "request_timeout_ms", 1),
    "retry.backoff.ms": ("50", "retry_backoff_ms", 50),
}


async def test_every_consumer_setting_becomes_an_argument_that_the_client_takes() -> None:
    """All of them at once, and a real consumer is made of them."""
    options = consumer_options({name: text for name, (text, _, _) in CONSUMER.items()})

    assert options == {argument: value for _, argument, value in CONSUMER.values()}
    await AIOKafkaConsumer(**options).stop()


async def test_every_producer_setting_becomes_an_argument_that_the_client_takes() -> None:
    """All of them at once, and a real producer is made of them."""
    options = producer_options({name: text for name, (text, _, _) in PRODUCER.items()})

    assert options == {argument: value for _, argument, value in PRODUCER.values()}
    await AIOKafkaProducer(**options).stop()


@pytest.mark.parametrize(("read", "listed"), [(consumer_options, CONSUMER), (producer_options, PRODUCER)])
def test_these_tests_know_every_setting_that_there_is(read: Any, listed: dict[str, Any]) -> None:
    """A name that resembles none is answered with all that there are."""
    with pytest.raises(BadOption) as caught:
        read({"zzz": "1"})

    assert str(caught.value).endswith(f"; there are {', '.join(sorted(listed))}")


def test_nothing_given_is_nothing_set() -> None:
    """The client keeps its defaults."""
    assert (consumer_options({}), producer_options({})) == ({}, {})


@pytest.mark.parametrize("codec", ["gzip", "snappy", "lz4", "zstd"])
async def test_every_codec_that_is_offered_is_installed(codec: str) -> None:
    """A producer refuses one that it has no library for."""
    await AIOKafkaProducer(**producer_options({"compression.type": codec})).stop()


def test_the_codec_none_is_no_compression() -> None:
    """Kafka's word for it, which aiokafka does not know."""
    assert producer_options({"compression.type": "none"}) == {"compression_type": None}


@pytest.mark.parametrize(
    ("text", "strategies"),
    [
        ("roundrobin", (RoundRobinPartitionAssignor,)),
        ("sticky", (StickyPartitionAssignor,)),
        ("range, roundrobin", (RangePartitionAssignor, RoundRobinPartitionAssignor)),
        ("org.apache.kafka.clients.consumer.RangeAssignor", (RangePartitionAssignor,)),
        (
            "org.apache.kafka.clients.consumer.StickyAssignor,org.apache.kafka.clients.consumer.RoundRobinAssignor",
            (StickyPartitionAssignor, RoundRobinPartitionAssignor),
        ),
    ],
)
def test_strategies_go_by_their_short_names_and_by_those_of_java(text: str, strategies: tuple[Any, ...]) -> None:
    """In the order of preference that was given."""
    assert consumer_options({"partition.assignment.strategy": text}) == {"partition_assignment_strategy": strategies}


@pytest.mark.parametrize("text", ["cooperative-sticky", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"])
def test_cooperative_rebalancing_is_refused_with_its_reason(text: str) -> None:
    """It is Java's default, so it will be tried."""
    with pytest.raises(BadOption, match=r"^partition\.assignment\.strategy: the client library knows no cooperative"):
        consumer_options({"partition.assignment.strategy": f"range,{text}"})


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("fetch.max.bytes", "much", "must be a whole number"),
        ("fetch.max.bytes", "1.5", "must be a whole number"),
        ("fetch.max.bytes", "", "must be a whole number"),
        ("fetch.max.bytes", "9" * 5_000, "must be a whole number"),
        ("fetch.max.bytes", "0", "must be between 1 and 2147483647"),
        ("fetch.max.bytes", "2147483648", "must be between 1 and 2147483647"),
        (
            "fetch.max.wait.ms",
            "5001",
            "must be between 1 and 5000: silence could not be told from being behind",
        ),
        (
            "request.timeout.ms",
            "30000",
            "must be between 30001 and 2147483647: joining the group may take so long",
        ),
        ("check.crcs", "yes", "must be true or false"),
        ("partition.assignment.strategy", "", "must be of range, roundrobin, sticky"),
        ("partition.assignment.strategy", "range,", "must be of range, roundrobin, sticky"),
        ("partition.assignment.strategy", "com.example.MyAssignor", "must be of range, roundrobin, sticky"),
    ],
)
def test_a_value_that_cannot_be_is_refused_by_name(name: str, text: str, words: str) -> None:
    """With what it may be."""
    with pytest.raises(BadOption) as caught:
        consumer_options({name: text})

    assert str(caught.value) == f"{name}: {words}"


def test_an_unknown_codec_is_refused_with_those_that_there_are() -> None:
    """As Kafka's documentation lists them."""
    with pytest.raises(BadOption, match=r"^compression\.type: must be one of none, gzip, snappy, lz4, zstd$"):
        producer_options({"compression.type": "brotli"})


@pytest.mark.parametrize(
    "given_",
    [
        {"heartbeat.interval.ms": "6000", "session.timeout.ms": "6000"},
        {"heartbeat.interval.ms": "10000"},  # the session's default
        {"session.timeout.ms": "3000"},  # the heartbeat's default
    ],
)
def test_a_heart_that_beats_slower_than_the_session_lasts_is_refused(given_: dict[str, str]) -> None:
    """The group would throw the member out between two beats; whoever sets one only, sets it against a default."""
    with pytest.raises(BadOption, match=r"heartbeat\.interval\.ms must be below session\.timeout\.ms"):
        consumer_options(given_)


@pytest.mark.parametrize(
    ("name", "setting"),
    [
        ("bootstrap.servers", "UPHELD_KAFKA_BOOTSTRAP_SERVERS"),
        ("group.id", "UPHELD_GROUP"),
        ("sasl.jaas.config", "UPHELD_KAFKA_SASL_USERNAME and UPHELD_KAFKA_SASL_PASSWORD"),
        ("ssl.truststore.location", "UPHELD_KAFKA_CA_FILE (in PEM format)"),
    ],
)
@pytest.mark.parametrize("read", [consumer_options, producer_options])
def test_what_has_a_setting_of_its_own_is_pointed_there(read: Any, name: str, setting: str) -> None:
    """Whether a consumer or a producer was meant."""
    with pytest.raises(BadOption) as caught:
        read({name: "hunter2"})

    assert str(caught.value) == f"{name} is set by {setting}"


@pytest.mark.parametrize("name", ["acks", "enable.auto.commit", "auto.offset.reset", "group.instance.id"])
@pytest.mark.parametrize("read", [consumer_options, producer_options])
def test_what_upheld_relies_on_cannot_be_changed(read: Any, name: str) -> None:
    """The refusal gives the reason."""
    with pytest.raises(BadOption, match=rf"^{name} is Upheld's own: \w+"):
        read({name: "true"})


@pytest.mark.parametrize(
    ("name", "near"), [("fetch.max.byte", "fetch.max.bytes"), ("session_timeout_ms", "session.timeout.ms")]
)
def test_a_name_that_nearly_is_one_is_answered_with_that_one(name: str, near: str) -> None:
    """A slip of the finger, or the client library's own name."""
    with pytest.raises(BadOption) as caught:
        consumer_options({name: "1"})

    assert str(caught.value) == f"{name} is no consumer setting that can be given here; did you mean {near}?"


def test_a_setting_of_consumers_is_none_of_producers() -> None:
    """The two have their own lists."""
    with pytest.raises(BadOption, match=r"^fetch\.min\.bytes is no producer setting"):
        producer_options({"fetch.min.bytes": "1"})


@given(name=st.sampled_from([*CONSUMER, *PRODUCER, "sasl.jaas.config", "acks", "zzz"]), text=st.text())
def test_no_refusal_shows_the_value(name: str, text: str) -> None:
    """Somebody may put a password at the wrong name; and nothing else than a refusal comes of odd text."""
    for read in (consumer_options, producer_options):
        with pytest.raises(BadOption) as caught:
            read({name: f"hunter2{text}"})

        assert "hunter2" not in str(caught.value)
        assert name in str(caught.value)
