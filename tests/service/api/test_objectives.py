"""GET /objectives and /objectives/{agreement}/{objective} over HTTP, on standings packed by the real code."""

from __future__ import annotations

import httpx
import pytest

from service.api.objectives.models import EXAMPLE, ObjectiveItem
from tests.service.api.world import Row, World, table_of

EU = {"region": "eu"}
US = {"region": "us"}


def grouped(count: int, **changed: object) -> list[Row]:
    return [Row(group={"region": f"r{number:03}"}, series_id=number, **changed) for number in range(count)]


async def test_an_item_has_the_fields_of_the_contract_in_their_order(client: httpx.AsyncClient, world: World) -> None:
    """Names and order are what dashboards and people rely on."""
    await world.stand(Row(group=EU, version=3, verdict="at_risk", firing="page", burn=(16.2, 14.9, 3.1, 0.9)))
    [item] = (await client.get("/api/v1/objectives")).json()["items"]
    assert list(item) == list(EXAMPLE)
    for part in ("period", "budget", "contractual", "experienced"):
        assert list(item[part]) == list(EXAMPLE[part])
    assert item["group"] == EU
    assert item["verdict"] == "at_risk"
    assert item["firing"] == "page"
    assert item["version"] == 3
    assert item["contractual"]["burn_rates"] == {"5m": 16.2, "1h": 14.9, "6h": 3.1, "3d": 0.9}
    assert item["budget"] == {"basis": "observed", "allowed": 997.7, "spent": 700}
    assert item["contractual"]["sli"] == 997_000 / 997_700
    assert item["contractual"]["budget_remaining"] == pytest.approx(1 - 700 / 997.7)
    assert item["experienced"]["budget_remaining"] == pytest.approx(1 - 1700 / 998.7)
    assert item["as_of"] == "2026-11-26T15:30:10Z"
    assert item["since"] == "2026-11-26T15:20:10Z"
    assert item["period"] == {"kind": "rolling", "start": "2026-10-27T15:30:10Z", "end": "2026-11-26T15:30:10Z"}


async def test_where_nothing_was_counted_numbers_are_null_not_zero(client: httpx.AsyncClient, world: World) -> None:
    """No traffic is neither 100 % nor 0 %."""
    nothing = {"good": 0, "total": 0, "contractual_good": 0, "contractual_total": 0}
    await world.stand(Row(verdict="none", data="silent", burn=(float("nan"),) * 4, **nothing))
    [item] = (await client.get("/api/v1/objectives")).json()["items"]
    assert item["verdict"] is None
    assert item["data"] == "silent"
    assert item["contractual"]["sli"] is None
    assert item["contractual"]["budget_remaining"] is None
    assert set(item["contractual"]["burn_rates"].values()) == {None}


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ["a/x", "a/y", "b/x", "c/x"]),
        ({"agreement": "a"}, ["a/x", "a/y"]),
        ({"verdict": "breached"}, ["b/x"]),
        ({"verdict": "null"}, ["c/x"]),
        ({"data": "silent"}, ["a/y"]),
        ({"service": "search"}, ["b/x"]),
        ({"agreement": "a", "data": "live"}, ["a/x"]),
        ({"agreement": "nobody"}, []),
    ],
)
async def test_filters_choose_and_combine(
    client: httpx.AsyncClient, world: World, query: dict[str, str], expected: list[str]
) -> None:
    """Each filter alone, two together, and one that nothing fits."""
    await world.stand(
        Row("b", "x", series_id=3, verdict="breached", service="search"), Row("a", "x", series_id=1), shard=0
    )
    await world.stand(Row("a", "y", series_id=2, data="silent"), Row("c", "x", series_id=4, verdict="none"), shard=1)
    items = (await client.get("/api/v1/objectives", params=query)).json()["items"]
    assert [f"{item['agreement']}/{item['objective']}" for item in items] == expected


async def test_pages_follow_one_another_without_holes_while_rows_come_and_go(
    client: httpx.AsyncClient, world: World
) -> None:
    """A cursor names the last item given: a row that vanishes between two pages shifts nothing."""
    await world.stand(*grouped(25))
    first = (await client.get("/api/v1/objectives", params={"limit": 10})).json()
    await world.stand(*[row for row in grouped(25) if row.series_id != 9])
    second = (await client.get("/api/v1/objectives", params={"limit": 10, "cursor": first["next"]})).json()
    third = (await client.get("/api/v1/objectives", params={"limit": 10, "cursor": second["next"]})).json()
    regions = [item["group"]["region"] for page in (first, second, third) for item in page["items"]]
    assert regions == [f"r{number:03}" for number in range(25)]
    assert third["next"] is None


async def test_one_objective_gives_an_item_per_group(client: httpx.AsyncClient, world: World) -> None:
    """And none of its neighbours, whose names begin alike."""
    await world.stand(
        Row(group=US, series_id=2), Row(group=EU, series_id=1), Row(objective="availability2", series_id=3)
    )
    page = (await client.get("/api/v1/objectives/checkout-gold/availability")).json()
    assert [item["group"] for item in page["items"]] == [EU, US]
    assert page["next"] is None


async def test_an_objective_that_is_defined_and_not_evaluated_yet_has_no_items(
    client: httpx.AsyncClient, world: World
) -> None:
    """It is there, only without numbers; an unknown one is 404."""
    await world.run(
        "INSERT INTO indicators (agreement, objective, fingerprint, group_by, group_bound, shard)"
        " VALUES ('checkout-gold', 'latency', 'f', '{}', 1, 0)"
    )
    assert (await client.get("/api/v1/objectives/checkout-gold/latency")).json() == {"items": [], "next": None}
    assert (await client.get("/api/v1/objectives/checkout-gold/nothing")).status_code == 404


async def test_a_shard_without_a_recent_tick_is_blind_and_its_neighbour_is_not(
    client: httpx.AsyncClient, world: World
) -> None:
    """A dead evaluator must not leave objectives frozen at met."""
    await world.stand(Row("a", series_id=1), shard=0, age_s=61)
    await world.stand(Row("b", series_id=2), shard=1, age_s=5)
    dead, alive = (await client.get("/api/v1/objectives")).json()["items"]
    assert (dead["data"], alive["data"]) == ("blind", "live")
    assert dead["verdict"] == "met"


async def test_a_shard_turns_blind_between_two_requests_without_any_tick(
    client: httpx.AsyncClient, world: World
) -> None:
    """What was decoded before is not trusted for longer than the row is young."""
    await world.stand(Row())
    assert (await client.get("/api/v1/objectives")).json()["items"][0]["data"] == "live"
    await world.run("UPDATE standings SET written_at = clock_timestamp() - interval '2 minutes'")
    assert (await client.get("/api/v1/objectives")).json()["items"][0]["data"] == "blind"


async def test_a_new_tick_shows_at_the_next_request(client: httpx.AsyncClient, world: World) -> None:
    """The cache is by tick, not by time."""
    await world.stand(Row(verdict="met"))
    assert (await client.get("/api/v1/objectives")).json()["items"][0]["verdict"] == "met"
    await world.stand(Row(verdict="breached"))
    assert (await client.get("/api/v1/objectives")).json()["items"][0]["verdict"] == "breached"


async def test_series_in_several_blocks_and_shards_come_with_their_own_numbers(
    client: httpx.AsyncClient, world: World
) -> None:
    """Rows are gathered across blocks and put back into order."""
    one, two = table_of([Row("a", series_id=1, good=1), Row("d", series_id=4, good=4)]), table_of([Row("b", good=2)])
    await world.stand(table=type(one)(one.as_of_us, one.blocks + two.blocks), shard=0)
    await world.stand(Row("c", series_id=3, good=3), shard=1)
    items = (await client.get("/api/v1/objectives")).json()["items"]
    assert [(item["agreement"], item["experienced"]["good"]) for item in items] == [
        ("a", 1),
        ("b", 2),
        ("c", 3),
        ("d", 4),
    ]


async def test_hostile_names_come_back_as_they_are(client: httpx.AsyncClient, world: World) -> None:
    """Whatever is in a label is data."""
    hostile = {"region": '"},</script>\\\n\u2028 ünï'}
    await world.stand(Row(group=hostile))
    assert (await client.get("/api/v1/objectives")).json()["items"][0]["group"] == hostile


@pytest.mark.parametrize("cursor", ["x", "!!!!", "bnVsbA", "WzFd", "é", "A" * 4000])
async def test_a_cursor_of_somebody_else_is_refused(client: httpx.AsyncClient, world: World, cursor: str) -> None:
    """422, never 500."""
    await world.stand(Row())
    answer = await client.get("/api/v1/objectives", params={"cursor": cursor})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "cursor"


def test_the_documented_example_is_an_item() -> None:
    """What the reference shows is what the model takes."""
    assert ObjectiveItem.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE
