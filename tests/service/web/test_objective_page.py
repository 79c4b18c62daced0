"""The page of one objective, or of one group of it."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest

from evaluators.agreements import RatioTimeslices, UptimeIndicator
from evaluators.durations import HOUR, MINUTE
from evaluators.selectors import Selector
from service.web.ports import Unseen
from tests.service.web.markup import Element, read
from tests.service.web.page_data import HOSTILE, NOW, MadeUpData

PAYMENTS = "/agreements/checkout-gold/objectives/payment-success"
EU = "/agreements/checkout-gold/objectives/availability?group=region%3Deu"


async def page(client: httpx.AsyncClient, path: str) -> Element:
    """The page as a tree; it must be there and well made."""
    answer = await client.get(path)
    assert answer.status_code == 200
    return read(answer.text)


async def test_it_says_verdict_reason_and_promise_in_words(client: httpx.AsyncClient) -> None:
    """What is promised stands in one sentence."""
    root = await page(client, EU)
    (hero,) = root.find("section", class_="objective-hero")
    assert "At risk" in hero.words
    assert "since 15:41:20 (8 min 50 s)" in hero.words
    assert root.find("p", class_="promise")[0].words == (
        "Example Cloud promises Example Shop that 99.9 % of all samples are not bad over the last 30 days, for each region."
    )


async def test_both_views_stand_side_by_side(client: httpx.AsyncClient) -> None:
    """Contractual and experienced, with their counts."""
    root = await page(client, EU)
    (table,) = [one for one in root.find("table") if "Contractual" in one.words]
    rows = {row.find("th")[0].words: [cell.words for cell in row.find("td")] for row in table.find("tr")[1:]}
    assert rows["SLI"] == ["99.929 %", "99.923 %"]
    assert rows["Total"] == ["1,088,640", "1,089,729"]


async def test_what_counts_time_or_slices_is_shown_in_their_units(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Promise, definition and counts of an objective that is neither a ratio nor counted by occurrences."""
    applied = data.applied[0]
    objective = replace(applied.agreement.objectives[0], indicator=UptimeIndicator(Selector.parse("probe"), 2 * MINUTE))
    sliced = replace(applied.agreement.objectives[2], budgeting=RatioTimeslices(5 * MINUTE))
    data.applied[0] = replace(applied, agreement=replace(applied.agreement, objectives=(objective, sliced)))

    root, other = await page(client, EU), await page(client, PAYMENTS)

    assert "99.9 % of all time in which probes are known is up, as most of them say over" in root.find("main")[0].words
    assert "probe" in root.find("section", class_="definition")[0].words
    assert "1 s of failure spent" in root.find("dl", class_="figures")[0].words
    assert "bad slices spent" in other.find("dl", class_="figures")[0].words
    assert "slices of 5 minutes, each by its share of good" in other.find("section", class_="definition")[0].words


async def test_alert_conditions_stand_beside_what_is_so_now(client: httpx.AsyncClient) -> None:
    """The one that holds is marked, in words too."""
    root = await page(client, EU)
    (holding,) = root.find("tr", class_="holds")
    assert holding.words == "14.4x over 1h and 5m 14.9x and 16.2x page holds now"


async def test_the_plot_marks_target_and_incidents_and_reads_as_a_table(client: httpx.AsyncClient) -> None:
    """Drawn by the server; the same values stand in a table."""
    root = await page(client, PAYMENTS)
    (sli,) = root.find("svg", class_="plot-sli")
    assert "2 incidents" in sli.attributes["aria-label"]
    assert len(sli.find("g", class_="band")) == 2
    assert sli.find("text", class_="rule-label")[0].words == "target 99.95 %"
    (table,) = root.find("details", class_="as-table")
    assert 20 <= len(table.find("tr")) <= 25


@pytest.mark.parametrize(
    ("name", "steps", "step_ms"),
    [("period", 240, 10_800_000), ("24h", 145, 600_000), ("6h", 181, 120_000), ("1h", 61, 60_000)],
)
async def test_ranges_keep_the_number_of_steps_bounded(
    client: httpx.AsyncClient, name: str, steps: int, step_ms: int
) -> None:
    """A month and an hour weigh about the same."""
    (figure,) = (await page(client, f"{PAYMENTS}?range={name}")).find("figure")
    assert int(figure.attributes["data-step"]) == step_ms
    assert abs(len(figure.attributes["data-total"].split(",")) - steps) <= 1
    assert len(figure.attributes["data-total"].split(",")) == len(figure.attributes["data-bad"].split(","))


async def test_an_unknown_range_is_the_period(client: httpx.AsyncClient) -> None:
    """Nothing breaks by an address typed wrongly."""
    root = await page(client, f"{PAYMENTS}?range=%22%3E7y")
    (chosen,) = root.find("nav", class_="ranges")[0].find("a", aria_current="true")
    assert chosen.words == "Period"


async def test_a_grouped_objective_without_a_group_lists_its_groups_worst_first(client: httpx.AsyncClient) -> None:
    """No number is shown that belongs to one of them only."""
    root = await page(client, "/agreements/edge-network/objectives/cache-hits")
    rows = root.find("tr", class_="row")
    assert len(rows) == 24
    assert "At risk" in rows[0].words
    assert root.find("figure") == []


async def test_a_group_with_a_hostile_label_has_a_page_of_its_own(client: httpx.AsyncClient) -> None:
    """Its address survives quoting, and its label stays text."""
    root = await page(client, "/agreements/mail/objectives/delivered")
    (link,) = [link for link in root.find("a") if HOSTILE in link.words]
    answer = await client.get(link.attributes["href"])
    assert HOSTILE in read(answer.text).find("h1")[0].words
    assert HOSTILE not in answer.text


async def test_a_silent_objective_keeps_its_numbers(client: httpx.AsyncClient) -> None:
    """No traffic is not 100 % and not 0 %: burn over the last hour is not known."""
    root = await page(client, "/agreements/search-platform/objectives/fresh-index")
    figures = [one.words for one in root.find("dl", class_="figures")[0].find("div")]
    assert figures[0].startswith("SLI 97.75 %")
    assert figures[2].startswith("Burn, 1h -")


async def test_an_objective_without_any_sample_is_no_failure(client: httpx.AsyncClient) -> None:
    """Null is shown as nothing, not as zero."""
    root = await page(client, "/agreements/mail/objectives/bounces")
    assert "No verdict" in root.find("section", class_="objective-hero")[0].words
    assert root.find("dl", class_="figures")[0].find("dd")[0].words == "-"


async def test_an_objective_that_was_never_evaluated_says_so(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """Just applied, nothing read yet."""
    data.rows = []
    root = await page(client, PAYMENTS)
    assert "Nothing was evaluated yet" in root.words
    assert "Definition" in root.words


async def test_nothing_promised_is_not_found(client: httpx.AsyncClient) -> None:
    """With a way back."""
    answer = await client.get("/agreements/checkout-gold/objectives/nope")
    assert answer.status_code == 404
    assert read(answer.text).find("a", class_="button")[0].attributes["href"] == "/"


async def test_an_agreement_alone_leads_to_its_objectives(client: httpx.AsyncClient) -> None:
    """The overview, narrowed."""
    answer = await client.get("/agreements/mail")
    assert (answer.status_code, answer.headers["location"]) == (303, "/?agreement=mail")


async def test_the_live_moment_is_in_the_page(client: httpx.AsyncClient) -> None:
    """The script tells the numbers' age from it."""
    (main,) = (await page(client, PAYMENTS)).find("main")
    assert int(main.attributes["data-as-of"]) == NOW // 1000


async def test_what_was_never_read_is_marked_in_the_plots_and_said(client: httpx.AsyncClient, data: MadeUpData) -> None:
    """A hole in the log is not a good hour."""
    span = Unseen(NOW - 3 * HOUR, NOW - 2 * HOUR, "20 records of events/2 were gone before they were read")
    data.not_seen = [span, replace(span, from_us=None), span, span, replace(span, to_us=NOW - 900 * 24 * HOUR)]
    root = await page(client, EU)
    for plot in root.find("svg", class_="plot"):
        assert len(plot.find("g", class_="unseen")) == 4
    said = [line.words for line in root.find("p", class_="unseen-words")]
    assert (
        said[0]
        == "Not seen from 23 Nov 12:50 until 23 Nov 13:50: 20 records of events/2 were gone before they were read; "
        "what they held is in no number here."
    )
    assert said[1].startswith("Not seen until 23 Nov 13:50: ")
    assert said[3:] == ["And 1 more such spans."]
