"""Each port's adapters, by the names that tests ask for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest
import structlog

from tests.contracts.clusters import Cluster, KafkaCluster, MemoryCluster, Reader, some_group

Joins = Callable[..., Awaitable[Reader]]

MEMORY = pytest.param("memory", id="memory")
EMBEDDED = pytest.param("broker_address", marks=pytest.mark.servers, id="embedded")
KAFKA = pytest.param("kafka_address", marks=pytest.mark.kafka, id="kafka")


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Tests say what they mean by assertions, not by logs; other tests find theirs as they were."""
    before = structlog.get_config()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger("critical"))
    yield
    structlog.configure(**before)


def _cluster(request: pytest.FixtureRequest) -> Cluster:
    return MemoryCluster() if request.param == "memory" else KafkaCluster(request.getfixturevalue(request.param))


@pytest.fixture(params=[MEMORY, EMBEDDED, KAFKA])
def cluster(request: pytest.FixtureRequest) -> Cluster:
    """Any log."""
    return _cluster(request)


@pytest.fixture(params=[MEMORY, KAFKA])
def exact_cluster(request: pytest.FixtureRequest) -> Cluster:
    """A log that knows its bounds; the embedded broker does not."""
    return _cluster(request)


@pytest.fixture
def kafka(kafka_address: str) -> KafkaCluster:
    """Apache Kafka."""
    return KafkaCluster(kafka_address)


@pytest.fixture
async def join() -> AsyncIterator[Joins]:
    """Readers of one group of this test's own; each leaves at the test's end."""
    group = some_group()
    readers: list[Reader] = []

    async def joined(cluster: Cluster, *topics: str, pattern: str | None = None, **fields: object) -> Reader:
        reader = Reader(cluster.log(group), **fields)  # type: ignore[arg-type]
        readers.append(reader)
        return await reader.start(*topics, pattern=pattern)

    joined.group = group  # type: ignore[attr-defined]
    yield joined
    for reader in readers:
        await reader.log.stop()
