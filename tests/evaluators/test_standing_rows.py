"""Rows of a standing table: numbers as values, and the reason put together in its order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from evaluators.durations import DAY, HOUR, MINUTE
from evaluators.standing_rows import reason_of, row
from evaluators.standings import DataState, StandingTable, Verdict
from tests.evaluators.tables import NOW, block, identity

BURN: Mapping[str, Any] = {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual"}
FELT: Mapping[str, Any] = {**BURN, "view": "experienced"}
SILENT: Mapping[str, Any] = {"silent": "10m"}
BREACHED: Mapping[str, Any] = {"breached": True}


def reason(*conditions: Mapping[str, Any], **columns: float) -> str:
    return reason_of(block(*conditions, **columns), 0, NOW)


def test_a_row_gives_both_views_their_own_numbers() -> None:
    """Contractual counts and budget are not mixed with the experienced ones."""
    standing = row(block(), 0, NOW)
    assert (standing.allowed, standing.spent) == (100.0, 25)
    assert (standing.contractual.good, standing.contractual.total) == (9_950, 9_975)
    assert standing.contractual.sli == pytest.approx(9_950 / 9_975)
    assert standing.contractual.budget_remaining == pytest.approx(0.75)
    assert dict(standing.contractual.burn_rates) == {"5m": 2.0, "1h": 1.0}
    assert standing.experienced.sli == pytest.approx(0.996)
    assert standing.experienced.budget_remaining == pytest.approx(0.5)
    assert dict(standing.experienced.burn_rates) == {"5m": 4.0, "1h": 3.0}


def test_a_row_without_counts_has_no_ratios() -> None:
    """None is not zero: nothing is known yet."""
    nothing = {"good": 0, "total": 0, "contractual_good": 0, "contractual_total": 0, "allowed": 0.0}
    standing = row(block(burn=((float("nan"),) * 2,) * 2, verdict=-1, **nothing), 0, NOW)
    assert standing.verdict is None
    assert (standing.contractual.sli, standing.contractual.budget_remaining) == (None, None)
    assert dict(standing.experienced.burn_rates) == {"5m": None, "1h": None}


def test_a_row_without_a_budget_has_no_share_of_it_left() -> None:
    """Counts alone do not make a budget."""
    assert row(block(allowed=0.0), 0, NOW).contractual.budget_remaining is None


@pytest.mark.parametrize(("code", "verdict"), [(0, Verdict.MET), (1, Verdict.AT_RISK), (2, Verdict.BREACHED)])
def test_a_row_names_its_verdict(code: int, verdict: Verdict) -> None:
    """In the order that the columns count them."""
    assert row(block(BREACHED, verdict=code, condition=0), 0, NOW).verdict is verdict


@pytest.mark.parametrize(("code", "firing"), [(-1, None), (0, "ticket"), (1, "page")])
def test_a_row_names_what_fires(code: int, firing: str | None) -> None:
    """None where nothing does."""
    assert row(block(firing=code), 0, NOW).firing == firing


@pytest.mark.parametrize(("projected", "basis"), [(0, "observed"), (1, "projected")])
def test_a_row_says_what_its_budget_rests_on(projected: int, basis: str) -> None:
    """A young period's budget is an expectation."""
    assert row(block(projected=projected), 0, NOW).basis == basis


@pytest.mark.parametrize(("column", "value"), [(-1, None), (NOW + DAY, NOW + DAY)])
def test_a_row_has_a_time_of_exhaustion_only_where_there_is_one(column: int, value: int | None) -> None:
    """Not within the period: None."""
    assert row(block(exhausted_us=column), 0, NOW).exhausted_us == value


def test_a_row_knows_its_group() -> None:
    """The labels as a mapping."""
    assert row(block(), 0, NOW).identity.group == {"region": "west"}


def test_a_blind_row_adds_the_cause_behind_its_reason() -> None:
    """What was known stays known."""
    standing = row(block(data=2), 0, NOW, "the broker is gone")
    assert standing.data is DataState.BLIND
    assert standing.reason == "25% of the error budget spent; blind: the broker is gone"


def test_a_row_that_sees_does_not_mention_a_cause() -> None:
    """Blindness of others is not its own."""
    assert row(block(), 0, NOW, "the broker is gone").reason == "25% of the error budget spent"


def test_a_table_yields_its_rows_in_block_order() -> None:
    """Each at the table's tick, with the table's cause."""
    first, second = block(data=2), block(verdict=-1)
    found = list(StandingTable(NOW, (first, second), "no broker").standings())
    assert [each.verdict for each in found] == [Verdict.MET, None]
    assert {each.as_of_us for each in found} == {NOW}
    assert found[0].reason.endswith("; blind: no broker")
    assert found[0].identity == identity()


def test_a_breach_tells_the_spent_budget_and_the_period() -> None:
    """A breach explains itself."""
    text = reason(BREACHED, verdict=2, condition=0, contractual_good=9_800)
    assert text == "budget spent: 175 of 100 allowed failures in the last 30 d"


def test_a_breach_of_a_calendar_period_names_it() -> None:
    """As people call it."""
    assert reason(verdict=2, kind="calendar").endswith("allowed failures this month")


def test_a_breach_that_still_burns_tells_the_burn_after_the_spent_budget() -> None:
    """First what is broken, then that it goes on."""
    text = reason(BURN, verdict=2, condition=0)
    assert text == (
        "budget spent: 25 of 100 allowed failures in the last 30 d; burning 1.0x over 1h and 2.0x over 5m (contractual)"
    )


def test_a_breach_with_another_condition_is_told_as_the_breach() -> None:
    """That little budget is left goes without saying."""
    text = reason({"budgetRemaining": 0.1, "view": "contractual"}, verdict=2, condition=0)
    assert text == "budget spent: 25 of 100 allowed failures in the last 30 d"


def test_a_burn_reads_the_rates_of_its_own_view() -> None:
    """Experienced conditions see what users see."""
    assert reason(FELT, verdict=1, condition=0) == "burning 3.0x over 1h and 4.0x over 5m (experienced)"


def test_a_burn_tells_the_forecast_where_there_is_one() -> None:
    """Counted from the tick."""
    text = reason(BURN, verdict=1, condition=0, exhausted_us=NOW + 3 * HOUR)
    assert text.endswith("(contractual); budget gone in 3 h at this rate")


def test_a_low_budget_reads_what_is_left_in_its_own_view() -> None:
    """75 % of the contractual budget, 50 % of the experienced."""
    low = {"budgetRemaining": 0.8}
    contractual = reason({**low, "view": "contractual"}, verdict=1, condition=0)
    experienced = reason({**low, "view": "experienced"}, verdict=1, condition=0)
    assert contractual == "75% of the error budget left, below 80% (contractual)"
    assert experienced == "50% of the error budget left, below 80% (experienced)"


def test_an_exhaustion_tells_its_time() -> None:
    """And its view."""
    text = reason({"exhaustion": "1d", "view": "experienced"}, verdict=1, condition=0, exhausted_us=NOW + HOUR)
    assert text == "budget gone in 1 h at this rate (experienced)"


def test_a_silence_that_fires_is_told_once() -> None:
    """The condition and the data state say the same."""
    assert reason(SILENT, condition=0, data=1, last_us=NOW - 12 * MINUTE) == "no events for 12 min"


def test_a_silence_beside_another_alert_is_told_last() -> None:
    """The alert comes first."""
    text = reason(BURN, verdict=1, condition=0, data=1, last_us=NOW - 12 * MINUTE)
    assert text == "burning 1.0x over 1h and 2.0x over 5m (contractual); no events for 12 min"


def test_a_series_that_was_never_heard_has_no_events_yet() -> None:
    """Once, though it is silent too."""
    assert reason(verdict=-1, data=1, last_us=-1) == "no events yet"


def test_a_series_that_was_heard_before_its_period_has_nothing_counted() -> None:
    """It is no new series."""
    assert reason(verdict=-1, last_us=NOW - DAY) == "nothing counted yet in this period"


@pytest.mark.parametrize(
    ("exhausted_us", "words"),
    [
        (NOW + 2 * DAY, "budget gone in 2 d at this rate (contractual)"),
        (NOW, "budget nearly gone (contractual)"),
        (-1, "budget nearly gone (contractual)"),
    ],
)
def test_a_risk_without_an_alert_tells_the_forecast(exhausted_us: int, words: str) -> None:
    """No condition holds, yet the budget will not last."""
    assert reason(verdict=1, exhausted_us=exhausted_us) == words


def test_an_alert_that_is_held_back_is_mentioned() -> None:
    """So that low traffic explains the quiet."""
    expected = "25% of the error budget spent; an alert is held back: too few events to be sure"
    assert reason(held_back=1) == expected


def test_an_alert_that_fires_hides_one_that_is_held_back() -> None:
    """Somebody is called anyway."""
    assert reason(SILENT, condition=0, held_back=1, last_us=NOW - MINUTE) == "no events for 1 min"
