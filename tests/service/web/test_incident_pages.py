"""Incidents, acknowledging them, and the demo's inbox."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from service.web.ports import PageInbox
from tests.service.web.conftest import BASE
from tests.service.web.markup import Element, read
from tests.service.web.page_data import HOSTILE, TOKEN, MadeUpData, inbox_of

SAME_ORIGIN = {"Sec-Fetch-Site": "same-origin", "Origin": BASE}


async def page(client: httpx.AsyncClient, path: str) -> Element:
    """The page as a tree; it must be there and well made."""
    answer = await client.get(path)
    assert answer.status_code == 200
    return read(answer.text)


@pytest.fixture
def open_id(data: MadeUpData) -> str:
    """An open incident that nobody acknowledged."""
    return next(one.incident.id for one in data.records if one.state == "open" and one.acknowledged_by is None)


async def test_open_incidents_stand_before_closed_ones(client: httpx.AsyncClient) -> None:
    """Each newest first."""
    lists = (await page(client, "/incidents")).find("ul", class_="inc-list")
    assert [len(one.find("li", class_="inc-open")) for one in lists] == [3, 0]
    assert len(lists[1].find("li")) == 9


async def test_long_lists_go_on_behind_a_cursor(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """The first page ends with a link to the earlier ones."""
    closed = [one for one in data.records if one.state != "open"]
    data.records = [
        replace(one, incident=replace(one.incident, id=f"inc_{place}")) for place, one in enumerate(closed * 7)
    ]
    root = await page(client, "/incidents")
    (more,) = [link for link in root.find("a") if link.words == "Earlier incidents"]
    earlier = await page(client, more.attributes["href"])
    assert len(earlier.find("li", class_="inc")) == 13


async def test_an_incident_tells_its_story(client: httpx.AsyncClient, open_id: str) -> None:
    """Reason, times, timeline, condition and runbook."""
    root = await page(client, f"/incidents/{open_id}")
    text = root.words
    for part in (
        "burning 14.9x over 1h",
        "1 min 10 s later",
        "burn rate at or above 14.4x over both 1h and 5m",
        "oncall",
    ):
        assert part in text
    (timeline,) = root.find("ol", class_="timeline")
    assert [line.find("b")[0].words for line in timeline.find("li")] == ["Opened", "Escalated"]
    (runbook,) = [link for link in root.find("a", class_="button") if link.words == "Runbook"]
    assert runbook.attributes["href"] == "https://runbooks.example.com/checkout"
    assert len(root.find("g", class_="band")) == 1


async def test_a_runbook_that_is_a_script_is_no_link(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Only http and https are followed; notes stay text."""
    record = next(one for one in data.records if one.incident.agreement == "mail")
    answer = await client.get(f"/incidents/{record.incident.id}")
    root = read(answer.text)
    assert "javascript:" not in answer.text
    assert HOSTILE in root.words
    assert root.find("img") == []


async def test_a_withdrawn_incident_says_why(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Late data took it back."""
    record = next(one for one in data.records if one.state == "withdrawn")
    assert "Withdrawn: data that came late" in (await page(client, f"/incidents/{record.incident.id}")).words


@pytest.mark.parametrize("path", ["/incidents/inc_nope", "/incidents/%00", "/incidents/%2e%2e"])
async def test_an_unknown_incident_is_not_found(client: httpx.AsyncClient, path: str) -> None:
    """Whatever its name."""
    assert (await client.get(path)).status_code == 404


async def test_acknowledging_leads_back_to_the_incident_with_the_name(client: httpx.AsyncClient, open_id: str) -> None:
    """A reload does not send it again."""
    answer = await client.post(f"/incidents/{open_id}/ack", headers=SAME_ORIGIN)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{open_id}")
    root = await page(client, f"/incidents/{open_id}")
    assert "Acknowledged by mira" in root.find("section", id="act")[0].words
    assert root.find("form", method="post") == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "cross-site", "Origin": BASE},
        {"Sec-Fetch-Site": "same-site", "Origin": BASE},
        {"Origin": "https://evil.example.com"},
        {"Origin": "null"},
    ],
)
async def test_a_form_of_another_site_changes_nothing(
    client: httpx.AsyncClient, data: MadeUpData, open_id: str, headers: dict[str, str]
) -> None:
    """A page elsewhere cannot acknowledge with the reader's standing."""
    answer = await client.post(f"/incidents/{open_id}/ack", headers=headers)
    assert answer.status_code == 403
    assert next(one for one in data.records if one.incident.id == open_id).acknowledged_by is None


async def test_a_browser_without_fetch_metadata_is_told_apart_by_its_origin(
    client: httpx.AsyncClient, open_id: str
) -> None:
    """Older ones send the origin alone."""
    assert (await client.post(f"/incidents/{open_id}/ack", headers={"Origin": BASE})).status_code == 303


async def test_a_form_too_large_is_not_read(client: httpx.AsyncClient, open_id: str) -> None:
    """Four kilobytes are plenty for a token."""
    answer = await client.post(f"/incidents/{open_id}/ack", headers=SAME_ORIGIN, content=b"token=" + b"x" * 5000)
    assert answer.status_code == 413


async def test_acknowledging_what_is_not_there_is_not_found(client: httpx.AsyncClient) -> None:
    """Nor is it a fault of ours."""
    assert (await client.post("/incidents/inc_nope/ack", headers=SAME_ORIGIN)).status_code == 404


class TestTokens:
    """Where tokens are configured."""

    @pytest.fixture
    def data(self) -> MadeUpData:
        """One token."""
        return MadeUpData(token=TOKEN)

    async def test_the_form_asks_for_a_token(self, client: httpx.AsyncClient, open_id: str) -> None:
        """As a password, never filled in by the server."""
        (field,) = (await page(client, f"/incidents/{open_id}")).find("input", name="token")
        assert field.attributes["type"] == "password"
        assert "value" not in field.attributes

    async def test_a_wrong_token_is_refused_on_the_page_itself(self, client: httpx.AsyncClient, open_id: str) -> None:
        """With the reason, and without repeating the token."""
        answer = await client.post(f"/incidents/{open_id}/ack", headers=SAME_ORIGIN, data={"token": "guess-17"})
        assert answer.status_code == 403
        root = read(answer.text)
        assert "needs the role oncall" in root.find("p", role="alert")[0].words
        assert "guess-17" not in answer.text

    async def test_the_right_token_is_taken(self, client: httpx.AsyncClient, open_id: str) -> None:
        """Typed into the form."""
        answer = await client.post(f"/incidents/{open_id}/ack", headers=SAME_ORIGIN, data={"token": TOKEN})
        assert answer.status_code == 303


async def test_without_an_inbox_there_is_no_page_and_no_link(client: httpx.AsyncClient) -> None:
    """It belongs to the demo."""
    assert (await client.get("/inbox")).status_code == 404
    assert [link for link in (await page(client, "/")).find("a") if link.words == "Inbox"] == []


class TestInbox:
    """The demo's webhook receiver."""

    @pytest.fixture
    def inbox(self, data: MadeUpData) -> PageInbox:
        """Six pages, and one that is no page of ours."""
        return inbox_of(data)

    async def test_received_pages_show_their_signature_and_lead_to_the_incident(
        self, client: httpx.AsyncClient
    ) -> None:
        """Newest first, repeats counted."""
        items = (await page(client, "/inbox")).find("li", class_="inc")
        assert len(items) == 7
        assert "Signature verified" in items[0].words
        assert "delivered 2 times, counted once" in items[1].words
        assert items[0].find("a")[0].attributes["href"].startswith("/incidents/inc_")

    async def test_what_is_no_page_of_ours_does_no_harm(self, client: httpx.AsyncClient) -> None:
        """Its data is not taken for granted."""
        assert "unknown" in (await page(client, "/inbox")).find("li", class_="inc")[-1].words


class TestEmptyInbox:
    """Before the first page."""

    @pytest.fixture
    def inbox(self, data: MadeUpData) -> PageInbox:
        """Nothing yet."""
        found = inbox_of(data)
        found.pages = []
        return found

    async def test_it_says_what_will_arrive(self, client: httpx.AsyncClient) -> None:
        """Not an empty page."""
        assert "No page yet" in (await page(client, "/inbox")).words
