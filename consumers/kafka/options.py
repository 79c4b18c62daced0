"""Settings of Kafka clients by Kafka's own names, as people know them from its documentation, to aiokafka's."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.assignors.sticky.sticky_assignor import StickyPartitionAssignor

LONGEST_WAIT_MS: Final = 5_000
"""A partition counts as idle only while the end of its log was seen within 10 s."""

REBALANCE_MS: Final = 30_000
"""How long members of a group may take to come together; a request to join is answered only then."""


class BadOption(ValueError):
    """An option that cannot be set. Its text names it and never its value."""


@dataclass(frozen=True, slots=True)
class _Option:
    name: str
    read: Callable[[str], Any]


def _number(least: int = 0, most: int = 2**31 - 1, why: str = "") -> Callable[[str], int]:
    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            raise BadOption("must be a whole number") from None
        if not least <= value <= most:
            raise BadOption(f"must be between {least} and {most}{why}")
        return value

    return read


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise BadOption("must be true or false")
    return text.lower() == "true"


_CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")


def _codec(text: str) -> str | None:
    if text not in _CODECS:
        raise BadOption(f"must be one of {', '.join(_CODECS)}")
    return None if text == "none" else text


_STRATEGIES: Final[Mapping[str, Any]] = {
    "range": RangePartitionAssignor,
    "roundrobin": RoundRobinPartitionAssignor,
    "sticky": StickyPartitionAssignor,
}
_JAVA: Final = "org.apache.kafka.clients.consumer."


def _strategies(text: str) -> tuple[Any, ...]:
    """By Kafka's short names, or its Java class names."""
    chosen: list[Any] = []
    for each in (part.strip() for part in text.split(",")):
        name = each.removeprefix(_JAVA).removesuffix("Assignor").lower() if each.startswith(_JAVA) else each
        if "cooperative" in name:
            raise BadOption("the client library knows no cooperative rebalancing; there are range, roundrobin, sticky")
        if name not in _STRATEGIES:
            raise BadOption(f"must be of {', '.join(_STRATEGIES)}")
        chosen.append(_STRATEGIES[name])
    return tuple(chosen)


_EITHER: Final[Mapping[str, _Option]] = {
    "connections.max.idle.ms": _Option("connections_max_idle_ms", _number(1)),
    "metadata.max.age.ms": _Option("metadata_max_age_ms", _number(1)),
    "retry.backoff.ms": _Option("retry_backoff_ms", _number(1)),
}
_CONSUMER: Final[Mapping[str, _Option]] = {
    **_EITHER,
    "check.crcs": _Option("check_crcs", _truth),
    "fetch.max.bytes": _Option("fetch_max_bytes", _number(1)),
    "fetch.max.wait.ms": _Option(
        "fetch_max_wait_ms", _number(1, LONGEST_WAIT_MS, ": silence could not be told from being behind")
    ),
    "fetch.min.bytes": _Option("fetch_min_bytes", _number(1)),
    "heartbeat.interval.ms": _Option("heartbeat_interval_ms", _number(1)),
    "max.partition.fetch.bytes": _Option("max_partition_fetch_bytes", _number(1)),
    "max.poll.interval.ms": _Option("max_poll_interval_ms", _number(1)),
    "partition.assignment.strategy": _Option("partition_assignment_strategy", _strategies),
    "request.timeout.ms": _Option(
        "request_timeout_ms", _number(REBALANCE_MS + 1, why=": joining the group may take so long")
    ),
    "session.timeout.ms": _Option("session_timeout_ms", _number(1)),
}
_PRODUCER: Final[Mapping[str, _Option]] = {
    **_EITHER,
    "batch.size": _Option("max_batch_size", _number(1)),
    "compression.type": _Option("compression_type", _codec),
    "linger.ms": _Option("linger_ms", _number()),
    "max.request.size": _Option("max_request_size", _number(1)),
    "request.timeout.ms": _Option("request_timeout_ms", _number(1)),
}

_BY_SETTING: Final[Mapping[str, str]] = {
    "bootstrap.servers": "UPHELD_KAFKA_BOOTSTRAP_SERVERS",
    "client.rack": "UPHELD_KAFKA_CLIENT_RACK",
    "enable.idempotence": "UPHELD_KAFKA_IDEMPOTENCE",
    "group.id": "UPHELD_GROUP",
    "sasl.mechanism": "UPHELD_KAFKA_SASL_MECHANISM",
    "sasl.jaas.config": "UPHELD_KAFKA_SASL_USERNAME and UPHELD_KAFKA_SASL_PASSWORD",
    "security.protocol": "UPHELD_KAFKA_SECURITY_PROTOCOL",
    "ssl.truststore.location": "UPHELD_KAFKA_CA_FILE (in PEM format)",
    "ssl.ca.location": "UPHELD_KAFKA_CA_FILE",
    "ssl.keystore.location": "UPHELD_KAFKA_CERTIFICATE_FILE (in PEM format)",
    "ssl.certificate.location": "UPHELD_KAFKA_CERTIFICATE_FILE",
    "ssl.key.location": "UPHELD_KAFKA_KEY_FILE",
    "ssl.key.password": "UPHELD_KAFKA_KEY_PASSWORD",
    "ssl.endpoint.identification.algorithm": "UPHELD_KAFKA_CHECK_HOSTNAME",
}
_OURS: Final[Mapping[str, str]] = {
    "acks": "what was sent must be safe",
    "allow.auto.create.topics": "topics are made by Upheld or by you",
    "auto.commit.interval.ms": "the ledger owns the offsets",
    "auto.offset.reset": "nothing may be skipped silently; the ledger owns the offsets",
    "client.id": "it names the process in the broker's logs",
    "enable.auto.commit": "the ledger owns the offsets",
    "exclude.internal.topics": "internal topics carry no events",
    "group.instance.id": "it must differ from process to process, and settings are shared by many",
    "interceptor.classes": "they are Java's",
    "isolation.level": "what was aborted does not count",
    "key.deserializer": "records are read as bytes",
    "key.serializer": "records are written as bytes",
    "max.poll.records": "Upheld paces its reading itself",
    "partitioner.class": "a key goes where every other client would put it",
    "transactional.id": "each process would need its own",
    "value.deserializer": "records are read as bytes",
    "value.serializer": "records are written as bytes",
}


def consumer_options(given: Mapping[str, str]) -> dict[str, Any]:
    """Aiokafka's arguments. Raises BadOption."""
    options = _options(given, _CONSUMER, "consumer")
    session, beat = options.get("session_timeout_ms", 10_000), options.get("heartbeat_interval_ms", 3_000)
    if beat >= session:
        raise BadOption("heartbeat.interval.ms must be below session.timeout.ms (a third of it is usual)")
    return options


def producer_options(given: Mapping[str, str]) -> dict[str, Any]:
    """Aiokafka's arguments. Raises BadOption."""
    return _options(given, _PRODUCER, "producer")


def _options(given: Mapping[str, str], known: Mapping[str, _Option], whose: str) -> dict[str, Any]:
    options: dict[str, Any] = {}
    for name, text in given.items():
        option = known.get(name)
        if option is None:
            raise BadOption(_refusal(name, known, whose))
        try:
            options[option.name] = option.read(text.strip())
        except BadOption as error:
            raise BadOption(f"{name}: {error}") from None
    return options


def _refusal(name: str, known: Mapping[str, _Option], whose: str) -> str:
    if name in _BY_SETTING:
        return f"{name} is set by {_BY_SETTING[name]}"
    if name in _OURS:
        return f"{name} is Upheld's own: {_OURS[name]}"
    near = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
    return f"{name} is no {whose} setting that can be given here; {hint}"
