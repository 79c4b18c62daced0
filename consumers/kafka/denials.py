"""Topics that a consumer may not read. The others are read on, so somebody must hear of it."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final

import structlog
from aiokafka.errors import TopicAuthorizationFailedError

from consumers.kafka.connection import KafkaConnection

_log: Final = structlog.stdlib.get_logger(__name__)


class Denials:
    """Each is told of once, and again when it was read in between."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection
        self._told: set[str] = set()
        self._unseen: frozenset[str] = frozenset()

    def fetched(self, error: TopicAuthorizationFailedError) -> None:
        """The broker lets us know of a topic, and not read it."""
        self._tell([str(error.args[0])])

    def look(self, consumer: Any) -> None:
        """Whether there are topics that the broker does not even let us know of; aiokafka waits for them in silence."""
        unseen = frozenset[str](consumer._client.cluster.unauthorized_topics)  # noqa: SLF001 - told nowhere else
        if unseen != self._unseen:
            self._told -= self._unseen - unseen
            self._unseen = unseen
            self._tell(unseen)

    def read(self, topic: str) -> None:
        """A topic was read: whatever was denied is granted now."""
        if self._told:
            self._told.discard(topic)

    def _tell(self, topics: Collection[str]) -> None:
        new = sorted(set(topics) - self._told)
        self._told.update(new)
        for topic in new:
            _log.error(
                f"Nothing is read of {topic}: {self._connection.security.principal} may not READ it. Grant READ on it.",
                action="topic_denied",
                topic=topic,
            )
