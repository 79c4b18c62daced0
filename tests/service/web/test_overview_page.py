"""The overview: what a reader sees first."""

from __future__ import annotations

import gzip

import httpx
import pytest

from evaluators.standings import Verdict
from tests.service.web.markup import Element, read
from tests.service.web.page_data import HOSTILE, HOSTILE_REASON, NOW, MadeUpData


async def page(client: httpx.AsyncClient, path: str = "/") -> Element:
    """The page as a tree; it must be there and well made."""
    answer = await client.get(path)
    assert answer.status_code == 200
    return read(answer.text)


async def test_the_headline_counts_every_verdict_with_a_shape_and_a_word(client: httpx.AsyncClient) -> None:
    """Never by colour alone."""
    counts = (await page(client)).find("a", class_="count")
    assert [count.words for count in counts] == ["1 breached", "2 at risk", "31 met", "2 without a verdict"]
    assert [count.find("use")[0].attributes["href"] for count in counts] == [
        "#i-breached",
        "#i-at_risk",
        "#i-met",
        "#i-none",
    ]


async def test_the_moment_and_the_data_states_stand_under_the_headline(client: httpx.AsyncClient) -> None:
    """Silent and blind are told apart from the verdicts."""
    (as_of,) = (await page(client)).find("p", class_="asof")
    assert as_of.words == "As of 15:50:10 UTC · 2 silent · 1 blind"


async def test_open_incidents_come_first_with_their_reason(client: httpx.AsyncClient) -> None:
    """What wakes people stands above what they may look at later."""
    root = await page(client)
    (listed,) = root.find("section", class_="incidents")
    rows = listed.find("li")
    assert len(rows) == 3
    assert "burning 14.9x over 1h" in rows[0].words
    assert "Not acknowledged" in rows[0].words
    assert "Acknowledged by mira" in rows[2].words


async def test_every_row_says_verdict_sli_target_budget_burn_and_data(client: httpx.AsyncClient) -> None:
    """All of it in text, so that it can be read aloud."""
    root = await page(client)
    (row,) = [row for row in root.find("tr", class_="row") if row.find("a")[0].words == "payment-success"]
    words = row.words
    for part in ("Breached", "page", "99.9149 %", "99.95 %", "70.3 %", "over", "21.3x", "live"):
        assert part in words


async def test_blind_and_silent_rows_keep_their_verdict(client: httpx.AsyncClient) -> None:
    """The data state stands beside the verdict, never instead of it."""
    root = await page(client)
    states = {
        row.find("a")[0].words: (row.find("td", class_="c-verdict")[0].words, row.find("td", class_="c-data")[0].words)
        for row in root.find("tr", class_="row")
    }
    assert states["tls-handshake"] == ("Met", "blind")
    assert states["fresh-index"] == ("Met", "silent")
    assert states["bounces"] == ("No verdict", "live")


async def test_many_groups_are_folded_to_those_that_need_a_look(client: httpx.AsyncClient) -> None:
    """The worst come first, and the fold says what it hides."""
    root = await page(client)
    (body,) = root.find("tbody", id="a-edge-network")
    rows = body.find("tr", class_="in")
    assert [row.find("td", class_="c-verdict")[0].find("span", class_="v")[0].words for row in rows] == [
        "At risk",
        "No verdict",
        "Met",
    ]
    (fold,) = body.find("tr", class_="fold")
    assert fold.words == "21 more groups: 21 met"


async def test_a_fold_opens_by_its_link_without_a_script(client: httpx.AsyncClient) -> None:
    """Its state is in the address."""
    (link,) = (await page(client)).find("a", data_fold="")
    root = await page(client, link.attributes["href"])
    (body,) = root.find("tbody", id="a-edge-network")
    assert len(body.find("tr", class_="in")) == 24
    (closing,) = root.find("a", data_fold="")
    assert closing.words == "Show fewer groups"
    assert closing.attributes["href"] == "/"


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/?verdict=breached", {"payment-success"}),
        ("/?q=tls+blind", {"tls-handshake"}),
        ("/?agreement=search-platform", {"availability", "fresh-index", "suggestions"}),
        ("/?q=region%3Deu+gold", {"region=eu"}),
    ],
)
async def test_filters_work_without_a_script(client: httpx.AsyncClient, path: str, names: set[str]) -> None:
    """By verdict, words and agreement; the headline still counts everything."""
    root = await page(client, path)
    assert {row.find("a")[0].words for row in root.find("tr", class_="row")} == names
    assert len(root.find("a", class_="count")) == 4


async def test_a_filter_that_matches_nothing_says_so(client: httpx.AsyncClient) -> None:
    """And leads back."""
    root = await page(client, "/?q=no-such-thing")
    (nothing,) = root.find("p", id="nothing")
    assert "hidden" not in nothing.attributes
    assert nothing.find("a")[0].attributes["href"] == "/"


async def test_hostile_labels_and_reasons_stay_text(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Whoever can emit an event must not be able to write HTML."""
    data.records[0] = data.records[0].__class__(
        data.records[0].incident.__class__(
            **{
                name: getattr(data.records[0].incident, name)
                for name in data.records[0].incident.__slots__
                if name != "reason"
            },
            reason=HOSTILE_REASON,
        ),
        "open",
    )
    answer = await client.get("/")
    root = read(answer.text)
    assert HOSTILE not in answer.text
    assert root.find("img") == []
    assert len(root.find("script")) == 1
    assert HOSTILE in root.words
    assert HOSTILE_REASON in root.words


async def test_blindness_is_told_above_everything(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """With its cause, as an alert."""
    data.blind = "ingest is 4 min behind on events/2"
    (alert,) = (await page(client)).find("section", role="alert")
    assert alert.words.startswith("Upheld does not see everything Ingest is 4 min behind on events/2.")


class TestOldNumbers:
    """The evaluator has not committed for a while."""

    @pytest.fixture
    def clock(self) -> object:
        """Two minutes after the last tick."""
        return lambda: NOW + 120_000_000

    async def test_numbers_of_over_a_minute_are_called_old(self, client: httpx.AsyncClient) -> None:
        """A dead evaluator must not leave the page frozen at `met`."""
        (alert,) = (await page(client)).find("section", role="alert")
        assert alert.words.startswith("Upheld cannot see The numbers are over a minute old")


class TestNothingYet:
    """A fresh installation."""

    @pytest.fixture
    def data(self) -> MadeUpData:
        """No agreement, no standing."""
        return MadeUpData(empty=True)

    async def test_an_empty_installation_says_what_to_do_next(self, client: httpx.AsyncClient) -> None:
        """The two commands."""
        root = await page(client)
        (empty,) = root.find("section", class_="empty")
        assert "upheld init agreement.yaml upheld apply agreement.yaml" in empty.words

    async def test_agreements_without_samples_say_what_to_do_next(
        self, client: httpx.AsyncClient, data: MadeUpData
    ) -> None:
        """Events are what is missing."""
        data.applied = MadeUpData().applied
        root = await page(client)
        (empty,) = root.find("section", class_="empty")
        assert "upheld emit" in empty.words
        assert "4 agreements are in force" in empty.words


async def test_a_page_of_thirty_objectives_is_light(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Everything that a browser loads is under 60 kB as it is sent, by far, and not much above it unpacked."""
    plain = [row for row in data.rows if len(row.identity.labels) != 2]
    data.rows = (plain * 4)[:30]
    for place, row in enumerate(data.rows):
        identity = row.identity.__class__(
            place, row.identity.agreement, f"objective-{place}", "checkout", (), 3, row.identity.target, "rolling"
        )
        data.rows[place] = row.__class__(
            identity, *(getattr(row, name) for name in row.__slots__ if name != "identity")
        )
    answer = await client.get("/")
    root = read(answer.text)
    assert len(root.find("tr", class_="row")) == 30
    loaded = [one.attributes["href"] for one in root.find("link")] + [root.find("script")[0].attributes["src"]]
    parts = [answer.content]
    parts += [(await client.get(address)).content for address in loaded]
    assert sum(len(gzip.compress(part, 1)) for part in parts) < 20_000
    assert sum(len(part) for part in parts) < 70_000


async def test_ten_thousand_series_are_bounded_and_say_what_is_left_out(
    client: httpx.AsyncClient, data: MadeUpData
) -> None:
    """A page is read, not scrolled for ever."""
    model = data.rows[3]
    data.rows = [
        model.__class__(
            model.identity.__class__(
                place, f"agreement-{place // 5:04}", f"o{place % 5}", None, (), 1, 0.99, "rolling"
            ),
            *(getattr(model, name) for name in model.__slots__ if name != "identity"),
        )
        for place in range(10_000)
    ]
    assert all(row.verdict is Verdict.MET for row in data.rows)
    root = await page(client)
    assert root.find("a", class_="count")[0].words == "10,000 met"
    assert 400 <= len(root.find("tr", class_="row")) <= 420
    assert any("9,600 more objectives are not shown" in note.words for note in root.find("p", class_="note"))
