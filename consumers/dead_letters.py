"""How a dead letter looks on its topic: the record as it was, and headers that say why and from where."""

from __future__ import annotations

from consumers.ports import DeadLetter
from consumers.topics import DEAD_LETTERS


def topic_of(topic: str) -> str:
    """Where the dead letters of a topic go."""
    return topic + DEAD_LETTERS


def headers_of(letter: DeadLetter) -> list[tuple[str, bytes]]:
    """The record's own headers, then ours; ours come last, where readers that keep one of a name find them."""
    ours = {
        "upheld-error": letter.code,
        "upheld-reason": letter.reason,
        "upheld-topic": letter.partition.topic,
        "upheld-partition": str(letter.partition.number),
        "upheld-offset": str(letter.record.offset),
    }
    return [*letter.record.headers, *((name, text.encode()) for name, text in ours.items())]
