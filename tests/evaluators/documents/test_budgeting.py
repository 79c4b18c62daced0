"""How budgets are counted, as it is written, and what is said about that which is wrong."""

from __future__ import annotations

import pytest

from evaluators.agreements import Budgeting, Occurrences, RatioTimeslices, Timeslices
from evaluators.durations import DAY, HOUR, MINUTE
from tests.evaluators.documents.objective_text import RATIO, agreement, objective, problems

SLICES = ("budgetingMethod: Timeslices", "timeSliceTarget: 0.95", "timeSliceWindow: 5m")
RATIOS = ("budgetingMethod: RatioTimeslices", "timeSliceWindow: 5m")
THRESHOLD = "{threshold: {metric: m, op: lte, value: 1}}"
UPTIME = "{uptime: {state: m, staleAfter: 2m}}"


@pytest.mark.parametrize(
    ("lines", "budgeting"),
    [
        ((), Occurrences()),
        (("budgetingMethod: Occurrences",), Occurrences()),
        (SLICES, Timeslices(0.95, 5 * MINUTE, "ignored")),
        ((*SLICES, "emptySlices: good"), Timeslices(0.95, 5 * MINUTE, "good")),
        ((SLICES[0], "timeSliceTarget: 1", "timeSliceWindow: 1d"), Timeslices(1, DAY)),
        ((SLICES[0], "timeSliceTarget: 1.0", "timeSliceWindow: 60m"), Timeslices(1, HOUR)),
        (RATIOS, RatioTimeslices(5 * MINUTE, "ignored")),
        ((*RATIOS, "emptySlices: bad"), RatioTimeslices(5 * MINUTE, "bad")),
    ],
)
@pytest.mark.parametrize("indicator", [RATIO, THRESHOLD, UPTIME])
def test_every_method_is_read(lines: tuple[str, ...], budgeting: Budgeting, indicator: str) -> None:
    """With its defaults, whatever the indicator counts."""
    assert objective(agreement(indicator, *lines)).budgeting == budgeting


@pytest.mark.parametrize(
    ("lines", "line", "said"),
    [
        (("budgetingMethod: timeslices",), 17, "budgetingMethod: must be Occurrences, Timeslices or RatioTimeslices"),
        (("budgetingMethod: ratio-time-slices",), 17, "did you mean RatioTimeslices?"),
        # what Timeslices asks for
        ((SLICES[0], SLICES[1]), 12, "timeSliceWindow: is missing (add timeSliceWindow: 5m)"),
        ((SLICES[0], SLICES[2]), 12, "timeSliceTarget: is missing (add timeSliceTarget: 0.99)"),
        ((RATIOS[0],), 12, "timeSliceWindow: is missing (add timeSliceWindow: 5m)"),
        # what does not go with the others
        ((*RATIOS, SLICES[1]), 19, "timeSliceTarget: is for Timeslices"),
        ((SLICES[1],), 17, "timeSliceTarget: is for slices of time"),
        ((SLICES[2],), 17, "timeSliceWindow: is for slices of time"),
        (("emptySlices: good",), 17, "leave it out, or write budgetingMethod: Timeslices"),
        (("budgetingMethod: Occurrences", SLICES[1]), 18, "this budget counts occurrences"),
        # values
        ((*SLICES[::2], "timeSliceTarget: 95"), 19, "did you mean 0.95?"),
        ((*SLICES[::2], "timeSliceTarget: 99.9%"), 19, "did you mean 0.999?"),
        ((*SLICES[::2], "timeSliceTarget: 100"), 19, "did you mean 1.0?"),
        ((*SLICES[::2], "timeSliceTarget: 0"), 19, "such as 0.99, or 1 where every failure spoils its slice"),
        ((*SLICES[::2], "timeSliceTarget: 101"), 19, "must be above 0 and at most 1"),
        ((*SLICES[::2], "timeSliceTarget: most"), 19, "must be a number"),
        ((*SLICES[:2], "timeSliceWindow: 25m"), 19, "did you mean 24m or 30m?"),
        ((*SLICES[:2], "timeSliceWindow: 13h"), 19, "did you mean 12h or 1d?"),
        ((*SLICES[:2], "timeSliceWindow: 30s"), 19, "from 1m to 1d"),
        ((*SLICES[:2], "timeSliceWindow: 7d"), 19, "from 1m to 1d"),
        ((*SLICES, "emptySlices: skip"), 20, "did you mean ignored?"),
        ((*SLICES, "emptySlices: down"), 20, "did you mean bad?"),
        ((*SLICES, "emptySlice: bad"), 20, "did you mean emptySlices?"),
    ],
)
def test_what_is_wrong_with_a_budget_is_said_with_the_mend(lines: tuple[str, ...], line: int, said: str) -> None:
    """Where it stands, and nothing else is reported."""
    (problem,) = problems(agreement(RATIO, *lines))

    assert problem.startswith(f"{line}: "), problem
    assert said in problem


def test_a_slice_is_no_longer_than_the_period() -> None:
    """A period without one whole slice would have no figure."""
    lines = (*SLICES[:2], "timeSliceWindow: 2h")

    assert problems(agreement(RATIO, *lines, period="rolling: 2h")) == []
    assert problems(agreement(RATIO, *lines, period="rolling: 1h")) == [
        "19: timeSliceWindow: is longer than the period, 1h (several slices make a period)"
    ]


@pytest.mark.parametrize("lines", [SLICES, RATIOS])
@pytest.mark.parametrize(
    "indicator",
    [
        "{quantile: {metric: m, q: 0.99, op: lte, value: 0.3}}",
        "{throughput: {metric: m, op: gte, perSecond: 5}}",
    ],
)
def test_what_is_counted_by_slices_already_is_not_sliced_again(indicator: str, lines: tuple[str, ...]) -> None:
    """In plain words, since both readings of it would be wrong."""
    assert problems(agreement(indicator, *lines)) == [
        (
            "17: budgetingMethod: would slice what this indicator counts by slices already "
            "(leave it out: a slice of the indicator's window is good or not, and counts once)"
        )
    ]
