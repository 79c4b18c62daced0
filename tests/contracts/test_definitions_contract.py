"""What every DefinitionsSource does, whether its definitions lie in memory or in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from consumers.errors import LedgerUnavailable
from consumers.matching import Matcher
from consumers.memory import MemoryDefinitions
from consumers.ports import Definitions, DefinitionsSource, MatchRule
from evaluators.agreements import RatioIndicator
from evaluators.documents import load
from evaluators.selectors import Selector
from service.storage.database import create_engine
from service.storage.definitions import DefinitionsStore

SLOT_US = 10_000_000
NOW_US = 1_764_000_003_000_000
LABELS = {"service": "checkout", "status": "503", "region": "eu"}

AGREEMENT = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: gold}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2020-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests{service="checkout"}'}}
      groupBy: [region]
      target: 0.999
      period: {rolling: 30d}
"""
RULE = MatchRule(
    indicator_id=1,
    agreement="gold",
    objective="availability",
    from_us=0,
    until_us=None,
    indicator=RatioIndicator(
        total=Selector.parse('requests{service="checkout"}'), bad=Selector.parse('requests{status=~"5.."}')
    ),
    group_by=("region",),
)


class Source:
    """An adapter, and a way to put the agreement above in force."""

    def __init__(self, port: DefinitionsSource, apply: Callable[[], Awaitable[None]]) -> None:
        self.port = port
        self.apply = apply


@pytest.fixture
async def memory_source() -> Source:
    """What tests and tools use."""
    port = MemoryDefinitions(Definitions(0, SLOT_US, ()))

    async def apply() -> None:
        port.current = replace(port.current, revision=port.current.revision + 1, rules=(RULE,))

    return Source(port, apply)


@pytest.fixture
async def postgres_source(database_url: str) -> AsyncIterator[Source]:
    """The definitions of production."""
    engine = create_engine(database_url)
    store = DefinitionsStore(engine)

    async def apply() -> None:
        await store.apply(load(AGREEMENT).documents, by="somebody", from_us=0, now_us=NOW_US)

    yield Source(store, apply)
    await engine.dispose()


@pytest.fixture(params=[pytest.param("postgres_source", marks=pytest.mark.servers), pytest.param("memory_source")])
def source(request: pytest.FixtureRequest) -> Source:
    """Any adapter, with nothing promised yet."""
    made: Source = request.getfixturevalue(request.param)
    return made


async def test_before_anything_is_promised_there_is_nothing_to_match(source: Source) -> None:
    """But a revision and a slot length there are."""
    assert await source.port.load() == Definitions(0, SLOT_US, ())


async def test_what_is_put_in_force_comes_with_a_newer_revision(source: Source) -> None:
    """By which a commit notices that it was matched by older ones; loading again changes nothing."""
    await source.apply()

    first, again = await source.port.load(), await source.port.load()

    assert first.revision == again.revision == 1
    assert [(each.agreement, each.objective, each.group_by) for each in first.rules] == [
        ("gold", "availability", ("region",))
    ]


async def test_rules_are_ready_to_match_by(source: Source) -> None:
    """They name the indicator that the ledger knows."""
    await source.apply()
    rules = (await source.port.load()).rules

    (route,) = Matcher(rules).target("requests", LABELS, "values").routes

    assert (route.key.indicator_id, route.key.labels) == (rules[0].indicator_id, ("eu",))
    assert (route.good, route.total) == (0, 1)
    assert route.covers(NOW_US)


async def test_definitions_in_memory_can_be_away() -> None:
    """As a database can."""
    source = MemoryDefinitions(Definitions(0, SLOT_US, ()))
    source.faults.queue.append(LedgerUnavailable("away"))

    with pytest.raises(LedgerUnavailable):
        await source.load()

    assert await source.load() == source.current


async def test_definitions_in_a_database_that_is_away_are_worth_a_retry() -> None:
    """The worker goes on waiting for it."""
    engine = create_engine("postgresql://nobody@127.0.0.1:1/none")

    with pytest.raises(LedgerUnavailable):
        await DefinitionsStore(engine).load()

    await engine.dispose()
