"""Topics: which there are, and making sure of one."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final, cast

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from consumers.errors import LogUnavailable
from consumers.kafka.connection import KafkaConnection
from consumers.kafka.reasons import DENIED, unreachable

_REPLICATION: Final = 3
_DONE: Final = 0
_THERE_ALREADY: Final = 36


class KafkaTopics:
    """A connection is opened for each question: they are asked at start-up and by people."""

    def __init__(self, connection: KafkaConnection) -> None:
        self._connection = connection

    async def names(self) -> list[str]:
        """Every topic, sorted. Raises LogUnavailable."""
        async with self._admin() as admin:
            return sorted(await admin.list_topics())

    async def partitions(self, name: str) -> int | None:
        """How many partitions a topic has; None if there is no such topic. Raises LogUnavailable."""
        async with self._admin() as admin:
            if name not in await admin.list_topics():
                return None
            (described,) = cast("list[dict[str, Any]]", await admin.describe_topics([name]))
            return len(described["partitions"])

    async def ensure(self, name: str, partitions: int) -> bool:
        """Create the topic unless it is there; True if it was created. Replicated three times where there are so many
        brokers. Raises LogUnavailable, also where the broker refuses.
        """
        async with self._admin() as admin:
            if name in await admin.list_topics():
                return False
            brokers = len((await admin.describe_cluster())["brokers"])
            replication = min(_REPLICATION, max(brokers, 1))
            answer: Any = await admin.create_topics([NewTopic(name, partitions, replication)])
            _, code, *_ = answer.topic_errors[0]
            if code not in (_DONE, _THERE_ALREADY):
                raise LogUnavailable(self._not_created(name, code))
            return code == _DONE

    def _not_created(self, name: str, code: int) -> str:
        """A topic that we may not know of looks as if it were not there."""
        error = for_code(code)
        if issubclass(error, DENIED):
            who = self._connection.security.principal
            return (
                f"topic {name} is not there, or {who} may not DESCRIBE it: grant READ on it, or CREATE to have it made"
            )
        return f"topic {name} could not be created: {error.__name__}"

    @asynccontextmanager
    async def _admin(self) -> AsyncGenerator[AIOKafkaAdminClient, None]:
        admin = AIOKafkaAdminClient(**self._connection.client_settings())
        try:
            await admin.start()
            yield admin
        except (KafkaError, OSError) as error:
            raise LogUnavailable(await unreachable(self._connection, error)) from error
        finally:
            await admin.close()


async def ensure_topic(connection: KafkaConnection, name: str, partitions: int) -> bool:
    """See KafkaTopics.ensure."""
    return await KafkaTopics(connection).ensure(name, partitions)
