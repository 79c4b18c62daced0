"""What slices of time do to alerts and budgets."""

from __future__ import annotations

import pytest

from tests.evaluators.documents.objective_text import RATIO, agreement, warnings

DEFAULT = "[burn-rate]"
LENIENT = """\
---
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {name: slow}
spec:
  conditions:
    - {burnRate: {long: 1d, short: 2h, factor: 6}, severity: page}
    - {silent: {after: 10m}, severity: ticket}
  minimum: {events: 1, failures: 1}
"""
QUANTILE = "{quantile: {metric: m, q: 0.99, op: lte, value: 0.3, window: WINDOW}}"
THROUGHPUT = "{throughput: {metric: m, op: gte, perSecond: 5, window: WINDOW}}"


def sliced(window: str, target: str = "0.99", alerts: str = DEFAULT, method: str = "Timeslices") -> str:
    lines = [f"budgetingMethod: {method}", f"timeSliceWindow: {window}"]
    if method == "Timeslices":
        lines.append("timeSliceTarget: 0.9")
    return agreement(RATIO, *lines, target=target, alerts=alerts)


def test_small_slices_suit_the_built_in_policy() -> None:
    """Its shortest window is 5 minutes at 30 days, its shortest long one an hour."""
    assert warnings(sliced("5m")) == []
    assert warnings(agreement(QUANTILE.replace("WINDOW", "5m"), alerts=DEFAULT)) == []
    assert warnings(agreement(RATIO, alerts=DEFAULT)) == []


def test_slices_longer_than_a_burn_rate_window_are_noticed() -> None:
    """Such a window sees one slice, or none."""
    assert warnings(sliced("10m")) == [
        (
            "16: alerts: its shortest burn-rate window, 5m, is shorter than a slice of 10m: it sees one slice at most "
            "(cut shorter slices, or name a policy with longer windows)"
        )
    ]


@pytest.mark.parametrize("indicator", [QUANTILE, THROUGHPUT])
def test_the_slices_of_an_indicator_are_slices_too(indicator: str) -> None:
    """They are counted the same."""
    (warning,) = warnings(agreement(indicator.replace("WINDOW", "10m"), alerts=DEFAULT))

    assert "is shorter than a slice of 10m" in warning


def test_conditions_that_their_minimum_always_holds_back_are_noticed() -> None:
    """Five bad slices do not fit into an hour of four, nor into six hours of one."""
    blurred, held_back = warnings(sliced("15m"))
    assert "a slice of 15m: it sees one slice at most" in blurred
    assert held_back == (
        "16: alerts: its minimum of 5 failures cannot be met by slices of 15m within 1h: such conditions never fire "
        "(name a policy with minimum: {events: 1, failures: 1})"
    )
    assert "within 1h or 6h: such" in warnings(sliced("2h", target="0.95"))[1]


def test_a_policy_made_for_slices_is_fine() -> None:
    """Long windows, a minimum of one."""
    assert warnings(sliced("2h", target="0.9", alerts="[slow]") + LENIENT) == []
    assert warnings(sliced("2h", target="0.9", alerts="[]")) == []


def test_shares_of_slices_are_enough_for_any_minimum() -> None:
    """Each slice counts by its share, in parts that are many."""
    (warning,) = warnings(sliced("15m", method="RatioTimeslices"))

    assert "it sees one slice at most" in warning


@pytest.mark.parametrize(
    ("window", "target", "count"), [("1d", "0.99", "30"), ("1h", "0.999", "720"), ("12h", "0.98334", "60")]
)
def test_a_budget_below_one_slice_is_noticed(window: str, target: str, count: str) -> None:
    """The first bad slice would break the promise."""
    (warning,) = warnings(sliced(window, target=target, alerts="[]"))

    assert warning == (
        f"14: target: the first bad slice breaks the promise: the period holds {count} slices of {window} "
        "(cut shorter slices, or lower the target)"
    )


def test_a_budget_of_just_one_slice_will_do() -> None:
    """1 - target is not exact in binary, and shares of slices need no whole one."""
    assert warnings(agreement(THROUGHPUT.replace("WINDOW", "15m"), target="0.99", period="rolling: 25h")) == []
    assert warnings(sliced("1d", target="0.9999", alerts="[]", method="RatioTimeslices")) == []


@pytest.mark.parametrize(
    ("indicator", "label"),
    [
        ("{histogram: {metric: 'm{zone=\"a\"}', le: 1}}", "zone"),
        ("{uptime: {state: 'm{zone=\"a\"}', staleAfter: 1m}}", "zone"),
        ("{freshness: {metric: 'm{zone=\"a\"}', maxGap: 1m}}", "zone"),
        ("{response: {opened: 'm{zone=\"a\"}', closed: n, key: ticket, op: lt, within: 1h}}", "zone"),
        ("{response: {opened: m, closed: n, key: ticket, op: lt, within: 1h}}", "ticket"),
    ],
)
def test_groups_that_make_no_sense_are_noticed(indicator: str, label: str) -> None:
    """A label that its selector pins makes one group, a key makes as many as there are pairs."""
    (warning,) = warnings(agreement(indicator, f"groupBy: [region, {label}]"))

    assert warning.startswith(f"17: groupBy[1]: label {label} is ")
