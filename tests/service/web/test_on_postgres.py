"""The pages on real stores, in the same application as the API."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.documents import load
from evaluators.durations import DAY, HOUR, MINUTE, SECOND
from evaluators.engine import ShardEngine
from evaluators.slots import SlotCounts
from service.api.access import Access
from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.api.tokens import TokenFile, hash_token, new_token
from service.storage import slots
from service.storage.database import create_engine
from service.storage.definitions import DefinitionsStore, shard_of
from service.storage.specs import SpecsStore
from service.web.adapter import StoredAcknowledger, StoredPageData
from service.web.ports import Pages
from tests.service.api.world import World
from tests.service.web.markup import Element, read

SLOT_US = 10 * SECOND
UNTIL_US = int(datetime(2026, 11, 23, 15, 50, 10, tzinfo=UTC).timestamp()) * SECOND
START_US = UNTIL_US - 2 * DAY
SHARD = shard_of("checkout-gold", 4)
ADDRESS = "/agreements/checkout-gold/objectives/availability"
BROWSER = {"Accept": "text/html"}
AGREEMENT = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {name: oncall}
spec: {type: webhook, url: "http://127.0.0.1:9009/hook"}
---
apiVersion: upheld/v1
kind: Agreement
metadata: {name: checkout-gold, displayName: "Checkout, gold plan"}
spec:
  type: SLA
  provider: {name: Example Cloud}
  customer: {name: Example Shop}
  effective: {from: 2020-01-01}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {ratio: {bad: 'requests{status=~"5.."}', total: 'requests'}}
      target: 0.99
      period: {rolling: 1d}
"""

Start = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    """The test's own database."""
    created = create_engine(database_url)
    yield created
    await created.dispose()


@pytest.fixture
def world(engine: AsyncEngine) -> World:
    """Writes what the evaluator would have committed."""
    return World(engine)


def application(engine: AsyncEngine, tokens: TokenFile | None = None) -> object:
    """API and pages as the wiring puts them together."""
    dependencies = ApiDependencies(engine=engine, clock=lambda: UNTIL_US + 4 * SECOND, tokens=tokens)
    acknowledger = StoredAcknowledger(dependencies, Access(tokens, loopback=True))
    return create_app(dependencies, Pages(StoredPageData(engine), acknowledger, dependencies.clock, None, "0.1.0"))


@pytest.fixture
def start(engine: AsyncEngine) -> Start:
    """`async with start(tokens=...) as client`: a browser on this machine, or on another."""

    @asynccontextmanager
    async def started(
        *, tokens: TokenFile | None = None, host: str = "127.0.0.1", on: AsyncEngine = engine
    ) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(app=application(on, tokens), client=(host, 40000))  # type: ignore[arg-type]
        base = "http://localhost:8080"
        async with httpx.AsyncClient(transport=transport, base_url=base, headers=BROWSER) as client:
            yield client

    return started


@pytest.fixture
async def client(start: Start) -> AsyncIterator[httpx.AsyncClient]:
    """A browser on this machine, without tokens."""
    async with start() as asked:
        yield asked


async def evaluated(engine: AsyncEngine, world: World) -> int:
    """Two days of traffic with a bad hour, evaluated and committed; the series."""
    await DefinitionsStore(engine).apply(load(AGREEMENT).documents, by="alice", from_us=START_US, now_us=START_US)
    specs = (await SpecsStore(engine).load(SHARD, None)).specs
    series = specs[0].identity.series_id
    slot = np.arange(START_US // SLOT_US, UNTIL_US // SLOT_US, 6, dtype=np.int64)
    total = np.full(len(slot), 100)
    bad = np.where((slot * SLOT_US >= UNTIL_US - 6 * HOUR) & (slot * SLOT_US < UNTIL_US - 5 * HOUR), 40, slot % 2)
    nothing = np.zeros(len(slot), dtype=np.int64)
    counts = SlotCounts(np.full(len(slot), series), slot, total - bad, total, nothing, nothing)
    async with engine.begin() as connection:
        await slots.append_page(connection, SHARD, 1, counts)
    shard = ShardEngine(SLOT_US)
    shard.define(specs)
    shard.fold(counts)
    shard.advance(UNTIL_US, lateness_us=0)
    await world.stand(shard=SHARD, table=shard.table(blind=None))
    return series


async def page(client: httpx.AsyncClient, path: str) -> Element:
    """The page as a tree; it must be there and well made."""
    answer = await client.get(path)
    assert answer.status_code == 200, answer.text
    return read(answer.text)


async def test_a_fresh_database_says_what_to_do_next(client: httpx.AsyncClient) -> None:
    """Nothing applied, nothing evaluated."""
    assert "No agreement yet" in (await page(client, "/")).words


async def test_pages_and_api_show_the_same_numbers(
    client: httpx.AsyncClient, engine: AsyncEngine, world: World
) -> None:
    """One truth, whoever asks."""
    await evaluated(engine, world)
    [item] = (await client.get("/api/v1/objectives")).json()["items"]
    assert item["verdict"] == "breached"

    root = await page(client, "/")
    (row,) = root.find("tr", class_="row")
    assert root.find("a", class_="count")[0].words == "1 breached"
    assert "Breached" in row.words
    assert row.find("td", class_="c-target")[0].words == "99 %"
    figures = (await page(client, ADDRESS)).words
    for view in ("contractual", "experienced"):
        assert f"{item[view]['good']:,}" in figures
    assert f"{item['budget']['spent']:,} of" in figures
    assert item["reason"] in figures


async def test_the_plot_sums_to_what_was_counted(client: httpx.AsyncClient, engine: AsyncEngine, world: World) -> None:
    """Every count of six hours, and the budget at the end."""
    await evaluated(engine, world)
    (figure,) = (await page(client, f"{ADDRESS}?range=6h")).find("figure")
    starts = range(int(figure.attributes["data-from"]) * 1000, UNTIL_US, MINUTE)
    totals = [int(number or 0) for number in figure.attributes["data-total"].split(",")]
    failures = [int(number or 0) for number in figure.attributes["data-bad"].split(",")]
    assert sum(totals) == 100 * sum(
        1 for us in range(starts.start, UNTIL_US, SLOT_US) if us // SLOT_US % 6 == START_US // SLOT_US % 6
    )
    assert max(failures) >= 80
    left = [float(number) for number in figure.attributes["data-left"].split(",") if number]
    assert left[-1] < 0


async def test_a_dead_evaluator_turns_the_pages_blind(
    client: httpx.AsyncClient, engine: AsyncEngine, world: World
) -> None:
    """Its last row is older than a minute by the database's clock."""
    await evaluated(engine, world)
    await world.run("UPDATE standings SET written_at = written_at - interval '90 seconds'")
    root = await page(client, "/")
    (alert,) = root.find("section", role="alert")
    assert alert.words.startswith("Upheld cannot see No evaluation was committed for over 60 s.")
    assert root.find("td", class_="c-data")[0].words == "blind"


async def test_an_incident_is_acknowledged_by_the_form_as_by_the_api(
    client: httpx.AsyncClient, engine: AsyncEngine, world: World
) -> None:
    """With its line in the timeline, and its notification."""
    series = await evaluated(engine, world)
    incident = await world.incident(UNTIL_US - 5 * HOUR, series_id=series, labels=())
    root = await page(client, f"/incidents/{incident.id}")
    assert len(root.find("g", class_="band")) == 1

    answer = await client.post(f"/incidents/{incident.id}/ack", headers={"Sec-Fetch-Site": "same-origin"})

    assert answer.status_code == 303
    shown = await page(client, answer.headers["location"])
    assert [line.find("b")[0].words for line in shown.find("ol", class_="timeline")[0].find("li")] == [
        "Opened",
        "Acknowledged",
    ]
    told = (await client.get(f"/api/v1/incidents/{incident.id}")).json()
    assert told["acknowledged_by"] == "local"
    assert await world.run("SELECT type FROM outbox") == [("incident.acknowledged",)]
    assert "Acknowledged by" in (await page(client, "/")).find("section", class_="incidents")[0].words


async def test_another_machine_cannot_acknowledge_without_tokens(
    start: Start, engine: AsyncEngine, world: World
) -> None:
    """The same rule as the API's, with its mend in words."""
    series = await evaluated(engine, world)
    incident = await world.incident(series_id=series, labels=())
    async with start(host="203.0.113.9") as client:
        answer = await client.post(f"/incidents/{incident.id}/ack", headers={"Sec-Fetch-Site": "same-origin"})
    assert answer.status_code == 403
    assert "UPHELD_TOKENS_FILE" in read(answer.text).find("p", role="alert")[0].words


async def test_with_tokens_the_role_decides(start: Start, engine: AsyncEngine, world: World, tmp_path: Path) -> None:
    """A reader may not, on-call may."""
    series = await evaluated(engine, world)
    incident = await world.incident(series_id=series, labels=())
    reader, oncall = new_token(), new_token()
    file = tmp_path / "tokens.yaml"
    file.write_text(
        "tokens:\n"
        f"  - {{name: rita, role: reader, hash: '{hash_token(reader)}'}}\n"
        f"  - {{name: omar, role: oncall, hash: '{hash_token(oncall)}'}}\n"
    )
    path, headers = f"/incidents/{incident.id}/ack", {"Sec-Fetch-Site": "same-origin"}
    async with start(tokens=TokenFile(file), host="203.0.113.9") as client:
        assert (await client.post(path, headers=headers)).status_code == 403
        assert (await client.post(path, headers=headers, data={"token": reader})).status_code == 403
        assert (await client.post(path, headers=headers, data={"token": oncall})).status_code == 303
        assert "Acknowledged by omar" in (await page(client, f"/incidents/{incident.id}")).words


async def test_incidents_go_on_behind_a_cursor(client: httpx.AsyncClient, engine: AsyncEngine, world: World) -> None:
    """No incident is shown twice, and none is left out."""
    series = await evaluated(engine, world)
    made = [
        (await world.incident(UNTIL_US - place * MINUTE, "resolved", series_id=series, labels=())).id
        for place in range(53)
    ]
    first = await page(client, "/incidents")
    (more,) = [link for link in first.find("a") if link.words == "Earlier incidents"]
    second = await page(client, more.attributes["href"])
    shown = [
        one.attributes["id"].removeprefix("i-") for root in (first, second) for one in root.find("li", class_="inc")
    ]
    assert shown == made
    assert (await client.get("/incidents?cursor=bm9uc2Vuc2U")).status_code == 200


async def test_a_database_that_is_away_is_said_calmly(start: Start, unused_port: int) -> None:
    """And probes and assets still answer."""
    away = create_engine(f"postgresql://upheld@127.0.0.1:{unused_port}/upheld")
    async with start(on=away) as client:
        answer = await client.get("/")
        assert answer.status_code == 503
        assert "The database does not answer" in read(answer.text).words
    await away.dispose()


@pytest.fixture
def unused_port() -> int:
    """One that nothing listens on."""
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


async def test_a_browser_gets_a_page_and_a_client_a_problem_where_there_is_nothing(client: httpx.AsyncClient) -> None:
    """The same address may be asked for by both."""
    for path in ("/nothing/here", "/incidents/inc_%00"):
        answer = await client.get(path)
        assert answer.status_code == 404
        read(answer.text)
    answer = await client.get("/api/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"
