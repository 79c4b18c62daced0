"""Where the chain of a consumer's fetch answers broke off.

A log may be made anew between two answers, and grow past our position before anybody looks. aiokafka asks on without a
word when the broker answered with an error, and it has no topic ids; so its answers are watched here.
"""

from __future__ import annotations

from typing import Any

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.protocol.fetch import FetchRequest


class Breaks:
    """Partitions whose newest fetch was answered with an error, or not at all.

    A topic that is deleted is told of by its first partition only: an answer waits no longer for the others. So an error
    of one breaks the chain of all that were asked for with it.
    """

    def __init__(self) -> None:
        self._broken: set[TopicPartition] = set()

    def watch(self, consumer: Any) -> None:
        """Every fetch of this consumer, from before it starts."""
        client = consumer._client  # noqa: SLF001 - aiokafka tells it nowhere else; a contract test holds it to this
        send = client.send

        async def watched(node: int, request: Any, **how: Any) -> Any:
            if not isinstance(request, FetchRequest):
                return await send(node, request, **how)
            try:
                answer: Any = await send(node, request, **how)
            except KafkaError:
                self._broken |= {TopicPartition(topic, each[0]) for topic, asked in request.topics for each in asked}
                raise
            for topic, answers in answer.topics:
                if any(code for _, code, *_ in answers):
                    self._broken |= {TopicPartition(topic, number) for number, *_ in answers}
            return answer

        client.send = watched

    def taken(self, part: TopicPartition) -> bool:
        """Whether there was one since this was last asked."""
        was = part in self._broken
        self._broken.discard(part)
        return was
