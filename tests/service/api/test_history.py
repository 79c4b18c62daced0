"""GET .../history: steps of a series, from stored slots, as the page and the API show them."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.slots import SlotCounts
from service.storage import slots
from tests.service.api.test_agreements import AGREEMENT, put
from tests.service.api.world import AS_OF_US, SECOND, Row, World

PATH = "/api/v1/objectives/checkout-gold/availability/history"
SLOT_US = 10 * SECOND


@pytest.fixture
async def series(client: httpx.AsyncClient, world: World, engine: AsyncEngine) -> int:
    """Two hours, 10 events a slot; in the last 30 min one of them bad in each slot."""
    answer = await put(client, AGREEMENT, query="?from=2026-01-01")
    assert answer.status_code == 201
    [(series_id, shard)] = await world.run(
        "SELECT series.id, shard FROM series JOIN indicators ON indicator_id = indicators.id"
    )
    last = AS_OF_US // SLOT_US
    at = np.arange(last - 720, last)
    bad = (at >= last - 180).astype(np.int64)
    counts = SlotCounts(
        np.full(720, series_id), at, 10 - bad, np.full(720, 10), np.zeros(720, np.int64), np.zeros(720, np.int64)
    )
    async with engine.begin() as connection:
        await slots.append_page(connection, shard, 1, counts)
    await world.stand(Row(series_id=series_id))
    await world.run(
        "INSERT INTO verdict_changes VALUES (:id, :from_us, 'met', 'live', ''), (:id, :at, 'breached', 'live', '')",
        id=series_id,
        from_us=AS_OF_US - 7200 * SECOND,
        at=AS_OF_US - 1800 * SECOND,
    )
    return int(series_id)


async def history(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get(PATH, params={key.rstrip("_"): value for key, value in query.items()})
    assert answer.status_code == 200, answer.text
    return answer.json()


@pytest.mark.usefixtures("series")
async def test_steps_sum_what_was_counted(client: httpx.AsyncClient) -> None:
    """Counts of each step alone, and the verdict at its end."""
    told = await history(client, from_="2026-11-26T13:30:00Z", to="2026-11-26T15:30:00Z", step="30m")
    assert [point["time"][11:16] for point in told["items"]] == ["13:30", "14:00", "14:30", "15:00"]
    assert [(point["good"], point["total"]) for point in told["items"]] == [
        (1790, 1790),
        (1800, 1800),
        (1800, 1800),
        (1621, 1800),
    ]
    assert told["items"][3]["sli"] == 1621 / 1800
    assert [point["verdict"] for point in told["items"]] == ["met", "met", "met", "breached"]
    assert told["items"][0]["budget_remaining"] == 1
    assert 0.9 < told["items"][3]["budget_remaining"] < 1  # of a period that is young: of what it will allow
    assert (told["step"], told["view"], told["group"], told["next"]) == ("30m", "contractual", {}, None)


@pytest.mark.usefixtures("series")
async def test_without_a_word_a_history_spans_the_period_in_some_500_points(client: httpx.AsyncClient) -> None:
    """A plot of 30 days needs nothing else."""
    told = await history(client)
    assert told["step"] == "3h"
    assert 200 < len(told["items"]) <= 500
    assert sum(point["total"] for point in told["items"]) == 7200
    assert told["items"][0]["sli"] is None


@pytest.mark.usefixtures("series")
@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"step": "7s"}, 422),
        ({"step": "1Q"}, 422),
        ({"step": "10s", "from": "2026-01-01"}, 422),
        ({"from": "yesterday"}, 422),
        ({"from": "9999-12-31"}, 422),
        ({"from": "2026-11-26T15:00:00Z", "to": "2026-11-26T14:00:00Z"}, 422),
        ({"view": "none"}, 422),
        ({"group": "region=eu"}, 404),
    ],
)
async def test_what_cannot_be_given_is_refused_in_words(
    client: httpx.AsyncClient, query: dict[str, str], status: int
) -> None:
    """Bounds on points, steps and times."""
    answer = await client.get(PATH, params=query)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.usefixtures("series")
async def test_long_ago_steps_are_as_long_as_what_is_kept(client: httpx.AsyncClient, world: World) -> None:
    """Where none is asked for it is chosen so; a finer one is refused in words."""
    await world.run("UPDATE shards SET evaluated_until_us = :tick", tick=AS_OF_US)
    spans = {
        "2026-11-26T04:30:00Z": "10s",
        "2026-11-24T04:30:00Z": "1m",
        "2025-11-26T04:30:00Z": "1m",
        "2025-10-26T04:30:00Z": "15m",
    }
    for from_, step in spans.items():
        to = from_.replace("04:30", "05:00")
        assert (await history(client, from_=from_, to=to))["step"] == step
    answer = await client.get(PATH, params={"from": "2026-11-20", "to": "2026-11-20T01:00:00Z", "step": "10s"})
    assert answer.status_code == 422
    assert "multiple of 1m" in answer.json()["detail"]


@pytest.mark.usefixtures("series")
async def test_steps_of_which_records_were_never_read_are_blind(client: httpx.AsyncClient, world: World) -> None:
    """With what is missing beside them; other steps are live or silent by what they counted."""
    await world.run(
        "INSERT INTO blind_spans VALUES ('events', 2, 0, 70, 90, :from_us, :until_us), ('events', 1, 0, 0, 5, NULL, 7)",
        from_us=AS_OF_US - 2400 * SECOND,
        until_us=AS_OF_US - 1810 * SECOND,
    )
    told = await history(client, from_="2026-11-26T13:00:00Z", to="2026-11-26T15:30:00Z", step="30m")
    assert [point["data"] for point in told["items"]] == ["silent", "live", "live", "blind", "live"]
    assert told["blind"] == [
        {
            "from": "2026-11-26T14:50:10Z",
            "to": "2026-11-26T15:00:00Z",
            "topic": "events",
            "partition": 2,
            "records": 20,
        }
    ]


async def test_an_objective_with_groups_asks_which(client: httpx.AsyncClient, world: World) -> None:
    """A history is of one series: shares of several are no share."""
    await world.stand(Row(group={"region": "eu"}, series_id=1), Row(group={"region": "us"}, series_id=2))
    answer = await client.get(PATH)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "group"


async def test_a_history_of_nothing_is_404(client: httpx.AsyncClient) -> None:
    """Unknown, or applied and not evaluated yet."""
    assert (await client.get(PATH)).status_code == 404
    await put(client, AGREEMENT)
    answer = await client.get(PATH)
    assert answer.status_code == 404
    assert "evaluated yet" in answer.json()["detail"]
