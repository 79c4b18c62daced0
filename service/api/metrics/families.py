"""Which gauges show compliance: every name, label and meaning, from the standings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluators.standings import DATA_STATES, FIRING, VERDICTS, SeriesIdentity
from service.api.metrics.exposition import Column, Family, group_labels, labels_text
from service.storage.standings import Standings

PERIOD: Final = "period"
VIEWS: Final = ("contractual", "experienced")
SEVERITIES: Final = ("page", "ticket")
_US: Final = 1_000_000

OpenIncidents = Mapping[tuple[int, str], int]
"""How many incidents are open, by series and severity."""


def series_labels(identity: SeriesIdentity) -> str:
    """The labels that every gauge of a series carries."""
    labels = {"agreement": identity.agreement, "objective": identity.objective}
    if identity.service is not None:
        labels["service"] = identity.service
    return labels_text(labels | group_labels(identity.labels))


def families(standings: Standings, windows: Sequence[str], incidents: OpenIncidents) -> Iterator[Family]:
    """All gauges of objectives, a value for each row of the standings."""
    yield Family("upheld_sli_ratio", "Share of good events.", list(_slis(standings, windows)))
    yield Family("upheld_objective_target_ratio", "What is promised.", [Column({}, standings.order.targets)])
    yield Family(
        "upheld_error_budget_remaining_ratio",
        "Share of the period's error budget that is left; below 0 when overspent.",
        [
            Column({"view": "contractual"}, standings.contractual_remaining),
            Column({"view": "experienced"}, standings.experienced_remaining),
        ],
    )
    yield Family("upheld_burn_rate", "Error ratio over the budget's.", list(_burns(standings, windows)))
    yield Family(
        "upheld_verdict",
        "1 for the verdict that holds; all 0 where nothing was counted yet.",
        [
            Column({"view": "contractual", "verdict": verdict}, standings.column("verdict") == index)
            for index, verdict in enumerate(VERDICTS)
        ],
    )
    yield Family(
        "upheld_data_state",
        "1 for what holds: live, silent (no traffic), blind (we cannot see).",
        [Column({"state": state}, standings.column("data") == index) for index, state in enumerate(DATA_STATES)],
    )
    yield Family(
        "upheld_alert_firing",
        "1 while an alert condition of this severity is the worst that holds.",
        [Column({"severity": one}, standings.column("firing") == FIRING.index(one)) for one in SEVERITIES],
    )
    yield Family(
        "upheld_incidents_open",
        "Incidents that are open.",
        [Column({"severity": one}, _open(standings, one, incidents)) for one in SEVERITIES],
    )
    yield from _counts(standings)


def agreement_families(standings: Standings) -> tuple[list[str], Iterator[Family]]:
    """Labels of the agreements, and their gauges."""
    names, worst = worst_verdicts(standings)
    compliant = np.where(worst < 0, np.nan, (worst < VERDICTS.index(VERDICTS[-1])).astype(np.float64))
    text = "1 while no objective is breached, 0 otherwise; absent where nothing was counted yet."
    family = Family("upheld_agreement_compliant", text, [Column({}, compliant)])
    return [labels_text({"agreement": name}) for name in names], iter([family])


def worst_verdicts(standings: Standings) -> tuple[list[str], NDArray[np.int64]]:
    """Every evaluated agreement with the index of its worst verdict, -1 where nothing was counted."""
    names = sorted(set(standings.order.agreements))
    if not names:
        return [], np.zeros(0, dtype=np.int64)
    starts = [standings.order.of(name).start for name in names]
    return names, np.maximum.reduceat(standings.column("verdict").astype(np.int64), starts)


def _slis(standings: Standings, windows: Sequence[str]) -> Iterator[Column]:
    budgets = 1.0 - standings.order.targets
    for view, name in enumerate(VIEWS):
        for window in windows:
            burn = _burn(standings, view, window)
            values = _period_sli(standings, view) if window == PERIOD else np.clip(1.0 - burn * budgets, 0.0, 1.0)
            yield Column({"view": name, "window": window}, values)


def _burns(standings: Standings, windows: Sequence[str]) -> Iterator[Column]:
    for view, name in enumerate(VIEWS):
        for window in windows:
            yield Column({"view": name, "window": window}, _burn(standings, view, window))


def _burn(standings: Standings, view: int, window: str) -> NDArray[np.float64]:
    if window == PERIOD:
        return (1.0 - _period_sli(standings, view)) / (1.0 - standings.order.targets)
    return standings.burn(view, window)


def _period_sli(standings: Standings, view: int) -> NDArray[np.float64]:
    good, total = _good_total(standings, view)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, good / total, np.nan)


def _good_total(standings: Standings, view: int) -> tuple[NDArray[Any], NDArray[Any]]:
    prefix = "contractual_" if VIEWS[view] == "contractual" else ""
    return standings.column(prefix + "good"), standings.column(prefix + "total")


def _open(standings: Standings, severity: str, incidents: OpenIncidents) -> NDArray[np.int64]:
    counts = [incidents.get((identity.series_id, severity), 0) for identity in standings.order.identities]
    return np.array(counts, dtype=np.int64)


def _counts(standings: Standings) -> Iterator[Family]:
    counted = [(name, *_good_total(standings, view)) for view, name in enumerate(VIEWS)]
    yield Family(
        "upheld_period_good_events",
        "Good events in the period.",
        [Column({"view": view}, good) for view, good, _ in counted],
    )
    yield Family(
        "upheld_period_total_events",
        "Events counted in the period.",
        [Column({"view": view}, total) for view, _, total in counted],
    )
    yield Family(
        "upheld_coverage_ratio", "Share of the period so far that was seen.", [Column({}, standings.column("coverage"))]
    )
    yield Family(
        "upheld_evaluated_timestamp_seconds",
        "The tick that the numbers are of, in event time.",
        [Column({}, standings.as_of_us / _US)],
    )
