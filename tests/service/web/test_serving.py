"""How pages and assets are sent: policies, caches, errors."""

from __future__ import annotations

import re

import httpx
import pytest

from service.web.ports import StandingsNow
from tests.service.web.markup import read
from tests.service.web.page_data import MadeUpData

PAGES = ("/", "/incidents", "/agreements/checkout-gold/objectives/payment-success", "/agreements/mail/objectives/nope")


@pytest.mark.parametrize("path", PAGES)
async def test_every_page_forbids_what_does_not_come_from_here(client: httpx.AsyncClient, path: str) -> None:
    """No inline script or style, no foreign source, no frame around it."""
    headers = (await client.get(path)).headers
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-type"] == "text/html; charset=utf-8"


async def test_an_unchanged_page_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """By its entity tag; a reader who has it keeps it."""
    first = await client.get("/")
    again = await client.get("/", headers={"If-None-Match": f"W/{first.headers['etag']}"})
    assert (again.status_code, again.content) == (304, b"")
    assert "no-cache" in again.headers["cache-control"]


async def test_a_changed_page_is_sent(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """The tag follows the content."""
    first = await client.get("/")
    data.records.pop(0)
    again = await client.get("/", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 200
    assert again.headers["etag"] != first.headers["etag"]


async def test_a_script_gets_main_alone(client: httpx.AsyncClient) -> None:
    """What it renews; the rest of the page stays as it is."""
    whole = await client.get("/")
    part = await client.get("/", headers={"Upheld-Fragment": "main"})
    root = read(part.text)
    assert [child.name for child in root.children if child.name != "#text"] == ["main"]
    assert root.find("main")[0].words == read(whole.text).find("main")[0].words
    assert "upheld-fragment" in part.headers["vary"]


async def test_a_page_can_be_asked_for_its_head(client: httpx.AsyncClient) -> None:
    """As monitors do."""
    assert (await client.head("/")).status_code == 200


async def test_assets_are_kept_for_good_under_the_name_of_their_content(client: httpx.AsyncClient) -> None:
    """The name changes with the content."""
    text = (await client.get("/")).text
    addresses = re.findall(r'/assets/[^"]+', text)
    assert len(addresses) == 3
    for address in addresses:
        answer = await client.get(address)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
        assert (await client.get(address, headers={"If-None-Match": answer.headers["etag"]})).status_code == 304


async def test_an_asset_of_another_version_is_served_but_not_kept(client: httpx.AsyncClient) -> None:
    """While two versions run side by side, a page of one may ask the other."""
    answer = await client.get("/assets/upheld.000000000000.css")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize("name", ["nope.css", "..%2Froutes.py", "upheld.py", "%00", "upheld."])
async def test_nothing_but_assets_is_served_as_one(client: httpx.AsyncClient, name: str) -> None:
    """Names are looked up, never opened."""
    assert (await client.get(f"/assets/{name}")).status_code == 404


@pytest.mark.parametrize("path", ["/", "/incidents", "/incidents/inc_x", "/agreements/mail/objectives/bounces"])
async def test_a_database_that_is_away_becomes_a_calm_page(
    client: httpx.AsyncClient, data: MadeUpData, path: str
) -> None:
    """It says so, tries again, and names no address."""
    data.away = True
    answer = await client.get(path)
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "5"
    assert answer.headers["cache-control"] == "no-store"
    root = read(answer.text)
    assert "The database does not answer" in root.words
    assert len(root.find("p", data_retry="")) == 1
    assert "10.0.0.7" not in answer.text


async def test_a_fault_of_ours_becomes_a_page_without_its_secrets(
    client: httpx.AsyncClient, data: MadeUpData, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log has it; the page does not."""

    async def broken() -> StandingsNow:
        raise ValueError("password=hunter2")

    monkeypatch.setattr(data, "standings", broken)
    answer = await client.get("/")
    assert answer.status_code == 500
    assert "hunter2" not in answer.text
    assert read(answer.text).find("h1")[0].words == "Something went wrong in Upheld"


@pytest.mark.parametrize(
    "query",
    [
        "q=%00",
        "q=" + "x" * 5000,
        "open=" + "%20".join(["a/b"] * 3000),
        "agreement=%ff",
        "group=&group==",
        "cursor=%00%ff",
    ],
)
async def test_odd_queries_break_no_page(client: httpx.AsyncClient, query: str) -> None:
    """Whatever is typed into the address."""
    for path in PAGES[:2]:
        answer = await client.get(f"{path}?{query}")
        assert answer.status_code == 200
        read(answer.text)
