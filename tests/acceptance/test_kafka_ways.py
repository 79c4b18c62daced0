"""Kafka as people run it, from the outside: certificates, logins, rights, topics by pattern, clients' own settings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.test_page import DOCUMENTS, SECRET, event
from tests.acceptance.world import World, eventually
from tests.contracts.clusters import KafkaCluster, now_us
from tests.contracts.fortress import GRANTED, PASSWORD, USER, Fortress
from tests.faults.stream import Sender

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("fortress"), pytest.mark.timeout(180)]

SINCE = "2026-01-01T00:00:00Z"


def events(count: int) -> list[dict[str, Any]]:
    now = now_us() / 1e6
    return [event(now - 60 + 30 * n / count, bad=False) for n in range(count)]


@pytest.fixture
def secured(database_url: str, fortress: Fortress, topic_name: str, tmp_path: Path) -> Iterator[World]:
    """An installation that logs in over TLS, and reads every topic whose name begins as its own."""
    prefix = GRANTED + topic_name
    (tmp_path / "password").write_text(PASSWORD + "\n")
    world = World(database_url, fortress.address("login"), f"{prefix}-one", tmp_path, unset={"UPHELD_TOPICS"})
    world.settings |= {
        "HOOK_SECRET": SECRET,
        "UPHELD_TOPICS_PATTERN": f"{prefix}-.*",
        "UPHELD_EVENTS_TOPIC": world.topic,
        "UPHELD_GROUP": prefix,
        "UPHELD_KAFKA_SECURITY_PROTOCOL": "SASL_SSL",
        "UPHELD_KAFKA_CA_FILE": str(fortress.ca_file),
        "UPHELD_KAFKA_SASL_MECHANISM": "SCRAM-SHA-512",
        "UPHELD_KAFKA_SASL_USERNAME": USER,
        "UPHELD_KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password"),
        "UPHELD_KAFKA_CLIENT_RACK": "here",
        "UPHELD_KAFKA_CONSUMER_SETTINGS": "metadata.max.age.ms=1000,partition.assignment.strategy=range,sticky",
        "UPHELD_KAFKA_PRODUCER_SETTINGS": '{"compression.type": "zstd", "linger.ms": 5}',
    }
    yield world
    world.stop()


async def test_topics_by_pattern_over_a_secured_way(secured: World, fortress: Fortress) -> None:
    """A topic that appears later counts too, and holds the watermark; no password shows."""
    kafka = KafkaCluster(fortress.plain)
    await kafka.create(secured.topic, 2)
    await secured.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since=SINCE)
    secured.start("run")
    await secured.ready()
    await secured.emit(events(100))
    await secured.total("checkout", "availability", 100)
    later = secured.topic.replace("-one", "-two")
    await kafka.create(later, 2)
    async with Sender(fortress.plain, later, 2) as sender:
        await sender.send(events(60))
    item = await secured.total("checkout", "availability", 160)
    assert item["experienced"]["total"] == 160
    shown = "".join(file.read_text() for file in secured.folder.glob("*.log"))
    assert later in shown
    assert PASSWORD not in shown


async def test_a_password_that_is_wrong_is_said_and_a_new_one_is_taken(secured: World, fortress: Fortress) -> None:
    """Whoever starts waits for the right one; nobody has to start it again."""
    await KafkaCluster(fortress.plain).create(secured.topic, 2)
    await secured.apply(DOCUMENTS.format(url="http://127.0.0.1:9"), since=SINCE)
    (secured.folder / "password").write_text("outdated")
    words = "refuses user upheld by SCRAM-SHA-512: the user name or the password is wrong"
    assert words in await secured.command("emit", stdin=json.dumps(events(1)[0]).encode(), expect=3)
    running = secured.start("run")

    async def told() -> bool:
        return words in next(secured.folder.glob("run-*.log")).read_text()

    await eventually(told, 30, "the reason in the log")
    (secured.folder / "password").write_text(PASSWORD)
    await secured.ready()
    await secured.emit(events(10))
    await secured.total("checkout", "availability", 10)
    assert running.poll() is None


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("UPHELD_KAFKA_CA_FILE", "gone.pem", "UPHELD_KAFKA_*: authorities cannot be read from gone.pem"),
        ("UPHELD_KAFKA_CONSUMER_SETTINGS", "group.id=x", "group.id is set by UPHELD_GROUP"),
        ("UPHELD_KAFKA_PRODUCER_SETTINGS", "acks=0", "acks is Upheld's own: what was sent must be safe"),
        ("UPHELD_KAFKA_SECURITY_PROTOCOL", "SSL", "a login needs SASL_SSL or SASL_PLAINTEXT"),
        ("UPHELD_TOPICS_PATTERN", "(", "UPHELD_TOPICS_PATTERN is no regular expression"),
    ],
)
async def test_settings_that_cannot_be_are_refused_at_once(secured: World, name: str, value: str, words: str) -> None:
    """In words that name the setting, with exit code 2."""
    secured.settings[name] = value
    assert words in await secured.command("ingest", expect=2)


async def test_without_a_topic_to_write_to_events_are_refused(secured: World) -> None:
    """By the command and by the API alike; reading needs no such topic."""
    del secured.settings["UPHELD_EVENTS_TOPIC"]
    said = await secured.command("emit", stdin=json.dumps(events(1)[0]).encode(), expect=2)
    assert "no topic to send to: give --topic or UPHELD_EVENTS_TOPIC" in said
