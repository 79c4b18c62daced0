"""The web pages on the API's application: one origin, and each side's own kind of error."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
import structlog

from service.api.access import Access
from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.api.stream.broadcast import Broadcast
from service.api.stream.feed import Feed
from service.storage.database import create_engine
from service.storage.standings import StandingsStore
from service.web.adapter import StoredAcknowledger, StoredPageData
from service.web.ports import Pages
from tests.service.api.world import NOW_US, Row, World

BROWSER = {"Accept": "text/html,application/xhtml+xml"}


@pytest.fixture
async def both(dependencies: ApiDependencies) -> AsyncIterator[httpx.AsyncClient]:
    """A client of API and pages together, as `serve` has them."""
    access = Access(None, loopback=True)
    pages = Pages(
        data=StoredPageData(dependencies.engine),
        acknowledger=StoredAcknowledger(dependencies, access),
        clock=dependencies.clock,
        inbox=None,
        version="1",
    )
    transport = httpx.ASGITransport(create_app(dependencies, pages))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        yield client


async def test_pages_and_api_stand_beside_each_other(both: httpx.AsyncClient, world: World) -> None:
    """The overview is at the root, and the API is where it was."""
    await world.stand(Row())
    page = await both.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]
    assert (await both.get("/api/v1/objectives")).json()["items"][0]["agreement"] == "checkout-gold"


async def test_a_browser_that_is_lost_gets_a_page_and_a_program_a_document(both: httpx.AsyncClient) -> None:
    """Below /api everybody gets the document."""
    page = await both.get("/nothing", headers=BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")
    for path, headers in (("/nothing", {}), ("/api/v1/nothing", BROWSER)):
        answer = await both.get(path, headers=headers)
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_the_feed_says_once_that_the_database_is_away_and_goes_on(
    dependencies: ApiDependencies, world: World
) -> None:
    """A stream outlives an outage, without a line of log each second."""
    gone = create_engine("postgresql://upheld@127.0.0.1:1/upheld")
    feed = Feed(replace(dependencies, engine=gone), StandingsStore(), Broadcast(lambda: NOW_US))
    with structlog.testing.capture_logs() as logged:
        await feed._look_safely()
        await feed._look_safely()
    assert [line["action"] for line in logged] == ["feed_waits"]
    await gone.dispose()


async def test_the_feed_survives_what_it_cannot_read(dependencies: ApiDependencies, world: World) -> None:
    """A damaged row is an error in the log, not the end of the API."""
    await world.stand(Row())
    await world.run("UPDATE standings SET columns = 'damaged'")
    feed = Feed(dependencies, StandingsStore(), Broadcast(lambda: NOW_US))
    with structlog.testing.capture_logs() as logged:
        await feed._look_safely()
    assert [line["action"] for line in logged] == ["feed_failed"]
