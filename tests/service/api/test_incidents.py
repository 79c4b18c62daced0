"""Incidents over HTTP: listed, told, acknowledged, noted."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from service.api.incidents.models import CORE_EXAMPLE, DETAIL_EXAMPLE, IncidentDetail
from tests.service.api.world import AS_OF_US, SECOND, World


async def test_an_incident_begins_with_what_a_webhook_receives(client: httpx.AsyncClient, world: World) -> None:
    """The page's `data`, in its order, then what people did and the timeline."""
    incident = await world.incident()
    told = (await client.get(f"/api/v1/incidents/{incident.id}")).json()
    assert list(told) == list(DETAIL_EXAMPLE)
    assert list(told)[: len(CORE_EXAMPLE)] == list(CORE_EXAMPLE)
    assert told["group"] == {"region": "eu"}
    assert told["started_at"] == "2026-11-26T15:29:00Z"
    assert told["detected_at"] == "2026-11-26T15:30:10Z"
    assert told["resolved_at"] is None
    assert told["url"] == f"https://upheld.example.com/incidents/{incident.id}"
    [step] = told["timeline"]
    assert (step["type"], step["at"], step["author"]) == ("opened", "2026-11-26T15:30:10Z", None)


async def test_lists_choose_by_state_and_agreement_newest_first(client: httpx.AsyncClient, world: World) -> None:
    """And /alerts is what is open."""
    old = await world.incident(AS_OF_US - 7200 * SECOND, "resolved")
    gone = await world.incident(AS_OF_US - 3600 * SECOND, "withdrawn")
    other = await world.incident(AS_OF_US - 60 * SECOND, agreement="search-silver")
    new = await world.incident(AS_OF_US)

    async def ids(path: str) -> list[str]:
        return [item["id"] for item in (await client.get(f"/api/v1/{path}")).json()["items"]]

    assert await ids("incidents") == [new.id, other.id, gone.id, old.id]
    assert await ids("incidents?state=resolved") == [old.id]
    assert await ids("incidents?state=withdrawn") == [gone.id]
    assert await ids("incidents?agreement=search-silver") == [other.id]
    assert await ids("incidents?state=open&agreement=checkout-gold&objective=availability") == [new.id]
    assert await ids("alerts") == [new.id, other.id]
    assert await ids("alerts?agreement=nobody") == []


async def test_pages_go_on_behind_the_last_incident_given(client: httpx.AsyncClient, world: World) -> None:
    """Several of the same second included; what opens meanwhile does not shift the list."""
    known = [(await world.incident(AS_OF_US, labels=(("region", f"r{number}"),))).id for number in range(5)]
    first = (await client.get("/api/v1/incidents?limit=2")).json()
    await world.incident(AS_OF_US + SECOND)
    second = (await client.get("/api/v1/incidents", params={"limit": 3, "cursor": first["next"]})).json()
    assert sorted(item["id"] for item in first["items"] + second["items"]) == sorted(known)
    assert second["next"] is None


async def test_acknowledging_says_who_and_when_and_the_first_stays(client: httpx.AsyncClient, world: World) -> None:
    """Twice in a row and twice at once: one acknowledgement, one notification."""
    incident = await world.incident()
    path = f"/api/v1/incidents/{incident.id}/ack"
    answers = await asyncio.gather(client.post(path), client.post(path))
    again = await client.post(path)
    assert {answer.status_code for answer in (*answers, again)} == {200}
    assert again.json()["acknowledged_by"] == "local"
    assert {answer.json()["acknowledged_at"] for answer in (*answers, again)} == {again.json()["acknowledged_at"]}
    assert [step["type"] for step in again.json()["timeline"]] == ["opened", "acknowledged"]
    assert again.json()["timeline"][1]["author"] == "local"
    assert await world.run("SELECT type, target FROM outbox") == [("incident.acknowledged", "oncall")]


async def test_notes_stand_in_the_timeline_with_their_author(client: httpx.AsyncClient, world: World) -> None:
    """As they were written, whatever they hold."""
    incident = await world.incident()
    words = "Rolled back <b>4211</b>; errors fall.\nü"
    answer = await client.post(f"/api/v1/incidents/{incident.id}/notes", json={"text": words})
    assert answer.status_code == 201
    note = answer.json()["timeline"][-1]
    assert (note["type"], note["author"], note["detail"]) == ("note", "local", {"text": words})


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "inc_no"), ("POST", "inc_no/ack"), ("POST", "inc_no/notes"), ("GET", "%00"), ("POST", "%00/ack")],
)
async def test_an_incident_that_is_not_there_is_404(client: httpx.AsyncClient, method: str, path: str) -> None:
    """A NUL in the address too: it is no name."""
    answer = await client.request(method, f"/api/v1/incidents/{path}", json={"text": "x"})
    assert answer.status_code == 404


async def test_restatements_come_newest_first_and_in_pages(client: httpx.AsyncClient, world: World) -> None:
    """What late data changed, and by whom."""
    for number in range(3):
        await world.run(
            "INSERT INTO restatements (series_id, agreement, objective, from_us, cause, old, new, author) VALUES"
            " (7, :agreement, 'availability', :from_us, 'late_data', '{\"verdict\": \"met\"}',"
            " '{\"verdict\": \"at_risk\"}', 'upheld')",
            agreement=f"a{number}",
            from_us=AS_OF_US + number * SECOND,
        )
    first = (await client.get("/api/v1/restatements?limit=2")).json()
    assert [item["agreement"] for item in first["items"]] == ["a2", "a1"]
    assert first["items"][0]["from"] == "2026-11-26T15:30:12Z"
    assert first["items"][0]["old"] == {"verdict": "met"}
    second = (await client.get("/api/v1/restatements", params={"cursor": first["next"]})).json()
    assert [item["agreement"] for item in second["items"]] == ["a0"]
    assert len((await client.get("/api/v1/restatements?agreement=a1")).json()["items"]) == 1


def test_the_documented_example_is_an_incident() -> None:
    """What the reference shows is what the model takes."""
    assert IncidentDetail.model_validate(DETAIL_EXAMPLE).model_dump(mode="json") == DETAIL_EXAMPLE
