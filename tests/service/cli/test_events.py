"""`upheld emit` and `upheld explain`."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from aiokafka import AIOKafkaConsumer, TopicPartition

from tests.consumers.formats.avro_records import EVENT, EVENT_ID, event, written
from tests.contracts.registries import small_registry
from tests.service.cli.conftest import Command

GOOD = b'{"metric":"http_requests","service":"checkout","labels":{"status":"200"}}'
BAD = b'{"metric":"http_requests","service":"checkout","labels":{"status":"503"}}'


def records(bootstrap: str, topic: str, count: int) -> list[bytes | None]:
    """The first `count` records of a topic."""

    async def read() -> list[bytes | None]:
        consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        try:
            parts = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic) or ()]
            consumer.assign(parts)
            await consumer.seek_to_beginning()
            return [(await asyncio.wait_for(consumer.getone(), 20)).value for _ in range(count)]
        finally:
            await consumer.stop()

    return asyncio.run(read())


def test_emit_sends_what_can_be_used_and_names_what_cannot(
    upheld: Command, broker_address: str, topic_name: str
) -> None:
    """By line, with the reason; the rest goes out."""
    lines = [GOOD, b"", b"{", BAD, b'{"metric":"m","kind":"odd"}', GOOD]
    done = upheld("emit", "--kafka", broker_address, "--topic", topic_name, stdin=b"\n".join(lines))
    assert done.code == 1
    assert "line 3: not_json: " in done.err
    assert "line 5: bad_kind: " in done.err
    assert done.err.endswith("3 events sent\nupheld: 2 lines not sent\n")
    assert sorted(filter(None, records(broker_address, topic_name, 3))) == sorted([GOOD, BAD, GOOD])


def test_emit_reads_a_file(upheld: Command, tmp_path: Path, broker_address: str, topic_name: str) -> None:
    """Whole lines, the last one without its end too."""
    (tmp_path / "events.ndjson").write_bytes(GOOD + b"\n" + BAD)
    done = upheld("emit", "-f", "events.ndjson", "--kafka", broker_address, "--topic", topic_name)
    assert (done.code, done.err.splitlines()[-1]) == (0, "2 events sent")


def test_emit_names_only_the_first_bad_lines(upheld: Command, broker_address: str, topic_name: str) -> None:
    """A file of another format must not scroll for minutes."""
    done = upheld("emit", "--kafka", broker_address, "--topic", topic_name, stdin=b"x\n" * 1000)
    assert (done.code, done.err.count("not_json")) == (1, 20)
    assert done.err.endswith("0 events sent\nupheld: 1,000 lines not sent\n")


def test_emit_without_a_file_or_a_broker_says_so(upheld: Command) -> None:
    """Wrong use is 2, a dependency that is away 3."""
    assert (
        upheld("emit", "-f", "absent.ndjson").err == "upheld: absent.ndjson cannot be read: No such file or directory\n"
    )
    away = upheld("emit", "--kafka", "127.0.0.1:1", stdin=GOOD)
    assert (away.code, "the brokers cannot be reached" in away.err) == (3, True)


def test_explain_says_what_an_event_feeds_and_why(upheld: Command) -> None:
    """From files, without a database."""
    upheld("init")
    done = upheld("explain", BAD.decode(), "-d", "agreement.yaml")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == 'http_requests{service="checkout", status="503"}'
    assert lines[1].split() == ["feeds", "checkout/availability:", "bad:", "bad", "matches"]
    assert lines[2].startswith("  does not  checkout/latency: the metric is ")


def test_explain_reads_what_is_in_force(upheld: Command, database_url: str) -> None:
    """Or says that nothing is."""
    nothing = upheld("explain", "-", "--database", database_url, stdin=BAD)
    assert "No agreement is in force" in nothing.out
    upheld("init")
    upheld("apply", "agreement.yaml", "--database", database_url, "--from", "2026-01-01T00:00:00Z")
    event = json.dumps({**json.loads(GOOD), "time": "2026-02-01T00:00:00Z"})
    assert "feeds     checkout/availability: good" in upheld("explain", event, "--database", database_url).out


def test_explain_refuses_what_no_worker_would_take(upheld: Command) -> None:
    """With the code that its dead letter would carry."""
    done = upheld("explain", '{"metric": 7}')
    assert (done.code, "bad_metric" in done.err) == (1, True)


def test_explain_without_a_database_is_exit_code_3(upheld: Command) -> None:
    """The definitions lie there."""
    assert upheld("explain", GOOD.decode(), "--database", "postgresql://upheld@127.0.0.1:1/upheld").code == 3


def test_explain_reads_an_event_by_the_schema_of_a_registry(upheld: Command) -> None:
    """As a worker would; a registry that is away is exit code 3, and none at all is said."""
    value = written(EVENT_ID, event(metric="http_requests", service="checkout", labels={"status": 503}))
    upheld("init")
    with small_registry() as registry:
        registry.add(EVENT_ID, EVENT)
        done = upheld("explain", "-", "-d", "agreement.yaml", stdin=value, UPHELD_SCHEMA_REGISTRY_URL=registry.url)
        assert 'http_requests{service="checkout", status="503"}' in done.out.splitlines()
        unknown = upheld("explain", "-", "-d", "agreement.yaml", stdin=b"\0\0\0\0\x09")
        assert (unknown.code, "unknown_schema" in unknown.err) == (1, True)
    away = upheld("explain", "-", "-d", "agreement.yaml", stdin=value)
    assert (away.code, "the schema registry cannot be asked: ConnectError" in away.err) == (3, True)
    none = upheld("explain", "-", "-d", "agreement.yaml", stdin=value, UPHELD_SCHEMA_REGISTRY_URL="")
    assert (none.code, "UPHELD_SCHEMA_REGISTRY_URL" in none.err) == (1, True)
