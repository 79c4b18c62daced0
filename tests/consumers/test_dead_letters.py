"""How a dead letter looks on its topic."""

from __future__ import annotations

from consumers.dead_letters import headers_of, topic_of
from consumers.ports import DeadLetter, Partition, Record

LETTER = DeadLetter(
    Partition("events", 3),
    Record(41, 1_000, b"k", b"v", (("trace", b"\xff"), ("upheld-error", b"older"))),
    "bad_value",
    "the value must be a number: größer als 0",
)


def test_dead_letters_of_a_topic_go_beside_it() -> None:
    """Where whoever owns the topic finds them."""
    assert topic_of("events") == "events.dlq"


def test_the_headers_say_why_and_from_where_behind_the_records_own() -> None:
    """Readers that keep the last one of a name keep ours, also for a letter that was replayed and died again."""
    headers = headers_of(LETTER)

    assert headers == [
        ("trace", b"\xff"),
        ("upheld-error", b"older"),
        ("upheld-error", b"bad_value"),
        ("upheld-reason", "the value must be a number: größer als 0".encode()),
        ("upheld-topic", b"events"),
        ("upheld-partition", b"3"),
        ("upheld-offset", b"41"),
    ]
    assert dict(headers)["upheld-error"] == b"bad_value"
