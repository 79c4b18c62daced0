"""Servers for every test that asks for one: started on first use, once a run, ended with it even by SIGKILL.

A test is marked by what it asks for (`servers`, `kafka`), so that `-m "not servers and not kafka"` needs no care.
"""

from __future__ import annotations

import itertools
import os
import uuid
from collections.abc import AsyncIterator, Iterator

import pytest
from hypothesis import HealthCheck, settings

from service.devstack.apache_kafka import ApacheKafka
from service.devstack.broker import EmbeddedBroker
from service.devstack.postgres import EmbeddedPostgres
from tests.contracts.fortress import Fortress
from tests.examples import examples
from tests.required import kafka_or_skip
from tests.service.alerting.receiver import Receiver

OF_THE_TESTS = ("UPHELD_REQUIRE", "UPHELD_TEST_")
MARKED_BY_FIXTURE = {
    "postgres_server": pytest.mark.servers,
    "broker": pytest.mark.servers,
    "kafka_server": pytest.mark.kafka,
    "fortress": pytest.mark.kafka,
}
TEMPLATE = "template_upheld"
NUMBERS = itertools.count(1)

# A deadline measures the machine, which is shared.
settings.register_profile("upheld", examples(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("upheld")


def pytest_configure() -> None:
    """No setting of whoever runs the tests may reach what they test."""
    for name in [name for name in os.environ if name.startswith("UPHELD_") and not name.startswith(OF_THE_TESTS)]:
        del os.environ[name]


@pytest.hookimpl(tryfirst=True)  # before `-m` chooses by these marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test by the servers that it asks for. Slow ones go first: side by side, nobody waits for a last one."""
    for item in items:
        for name in set(getattr(item, "fixturenames", ())) & MARKED_BY_FIXTURE.keys():
            item.add_marker(MARKED_BY_FIXTURE[name])
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """The embedded PostgreSQL, not durable."""
    server = EmbeddedPostgres.start(tmp_path_factory.mktemp("postgres"), durable=False)
    yield server
    server.stop()


@pytest.fixture(scope="session")
def migrated_template(postgres_server: EmbeddedPostgres) -> str:
    """The name of a database with every migration applied and nothing in it; made once a run."""
    from service.storage import migrate

    migrate.upgrade(postgres_server.create_database(TEMPLATE))
    return TEMPLATE


@pytest.fixture
def database_url(postgres_server: EmbeddedPostgres, migrated_template: str) -> Iterator[str]:
    """The address of a fresh, migrated database of this test's own."""
    yield from _database(postgres_server, migrated_template)


@pytest.fixture
def empty_database_url(postgres_server: EmbeddedPostgres) -> Iterator[str]:
    """The address of a fresh database of this test's own, without tables."""
    yield from _database(postgres_server, None)


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """The embedded broker, for the whole run: topics are each test's own (`topic_name`)."""
    server = EmbeddedBroker.start()
    yield server
    server.stop()


@pytest.fixture
def broker_address(broker: EmbeddedBroker) -> str:
    """The embedded broker's bootstrap server."""
    return broker.bootstrap


@pytest.fixture(scope="session")
def kafka_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ApacheKafka]:
    """A real Apache Kafka. Skips where there is none to be had, unless UPHELD_REQUIRE names kafka."""
    server = kafka_or_skip(lambda: ApacheKafka.start(directory=tmp_path_factory.mktemp("kafka")))
    yield server
    server.stop()


@pytest.fixture(scope="session")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    """A real Apache Kafka with certificates, logins and rights. Skips like `kafka_server`."""
    made = kafka_or_skip(lambda: Fortress(tmp_path_factory.mktemp("fortress")))
    yield made
    made.stop()


@pytest.fixture
def kafka_address(kafka_server: ApacheKafka) -> str:
    """Apache Kafka's bootstrap server."""
    return kafka_server.bootstrap


@pytest.fixture(
    params=[
        pytest.param("broker_address", marks=pytest.mark.servers, id="embedded"),
        pytest.param("kafka_address", marks=pytest.mark.kafka, id="kafka"),
    ]
)
def log_address(request: pytest.FixtureRequest) -> str:
    """A bootstrap server: the test runs once on the embedded broker and once on Apache Kafka."""
    address: str = request.getfixturevalue(request.param)
    return address


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    """Somebody's webhook."""
    made = Receiver()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
def topic_name() -> str:
    """The name of a topic that no other test uses; not created."""
    return f"events-{uuid.uuid4().hex[:12]}"


def _database(server: EmbeddedPostgres, template: str | None) -> Iterator[str]:
    name = f"test_{next(NUMBERS)}"
    yield server.create_database(name, template)
    server.drop_database(name)
