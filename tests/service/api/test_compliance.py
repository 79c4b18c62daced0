"""GET /compliance: an agreement is as good as its worst objective."""

from __future__ import annotations

import httpx

from service.api.compliance.models import EXAMPLE, ComplianceItem
from tests.service.api.world import Row, World


async def items(client: httpx.AsyncClient) -> dict[str, dict[str, object]]:
    return {item["agreement"]: item for item in (await client.get("/api/v1/compliance")).json()["items"]}


async def test_one_breached_objective_breaks_the_agreement_and_is_named(
    client: httpx.AsyncClient, world: World
) -> None:
    """Among equals the one with the least budget left."""
    await world.document("gold")
    await world.stand(
        Row("gold", "a", series_id=1),
        Row("gold", "b", series_id=2, verdict="breached", contractual_good=990_000),
        Row("gold", "c", series_id=3, verdict="breached", contractual_good=980_000, group={"region": "eu"}),
        Row("gold", "d", series_id=4, verdict="at_risk"),
    )
    item = (await items(client))["gold"]
    assert item["compliant"] is False
    assert item["verdict"] == "breached"
    assert (item["worst_objective"], item["group"]) == ("c", {"region": "eu"})
    assert item["objectives"] == {"met": 1, "at_risk": 1, "breached": 2, "uncounted": 0}
    assert item["as_of"] == "2026-11-26T15:30:10Z"


async def test_an_agreement_at_risk_is_still_kept(client: httpx.AsyncClient, world: World) -> None:
    """At risk warns; only breached breaks."""
    await world.document("gold")
    await world.stand(Row("gold", "a", series_id=1), Row("gold", "b", series_id=2, verdict="at_risk"))
    item = (await items(client))["gold"]
    assert (item["compliant"], item["worst_objective"]) == (True, "b")


async def test_an_agreement_in_which_nothing_was_counted_is_neither_kept_nor_broken(
    client: httpx.AsyncClient, world: World
) -> None:
    """Null, whether it was evaluated or only applied."""
    await world.document("applied")
    await world.document("seen")
    await world.stand(Row("seen", verdict="none", data="silent", contractual_total=0, contractual_good=0))
    found = await items(client)
    assert found["applied"]["compliant"] is None
    assert found["applied"]["reason"] == "not evaluated yet"
    assert found["seen"]["compliant"] is None
    assert found["seen"]["data"] == "silent"


async def test_blindness_of_one_objective_shows_on_the_agreement(client: httpx.AsyncClient, world: World) -> None:
    """Beside the verdict, never instead of it."""
    await world.document("gold")
    await world.stand(Row("gold", "a", series_id=1), Row("gold", "b", series_id=2, data="blind"))
    item = (await items(client))["gold"]
    assert (item["compliant"], item["data"]) == (True, "blind")


async def test_many_agreements_come_in_pages(client: httpx.AsyncClient, world: World) -> None:
    """In the order of their names."""
    for number in range(5):
        await world.document(f"a{number}")
        await world.document(f"a{number}", version=2)
    names: list[str] = []
    cursor = None
    while True:
        page = (
            await client.get("/api/v1/compliance", params={"limit": 2} | ({"cursor": cursor} if cursor else {}))
        ).json()
        names += [item["agreement"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert names == ["a0", "a1", "a2", "a3", "a4"]


def test_the_documented_example_is_an_item() -> None:
    """What the reference shows is what the model takes."""
    assert ComplianceItem.model_validate(EXAMPLE).model_dump(mode="json") == EXAMPLE
