"""Rows of a standing table as values, each with its reason in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from evaluators import reasons
from evaluators.standings import (
    DATA_STATES,
    FIRING,
    VERDICTS,
    DataState,
    Standing,
    StandingBlock,
    StandingTable,
    Verdict,
    ViewNumbers,
)

CONTRACTUAL, EXPERIENCED = 0, 1
_SILENT: Final = DATA_STATES.index(DataState.SILENT)
_BLIND: Final = DATA_STATES.index(DataState.BLIND)
_BREACHED: Final = VERDICTS.index(Verdict.BREACHED)
_AT_RISK: Final = VERDICTS.index(Verdict.AT_RISK)


def rows(table: StandingTable) -> Iterator[Standing]:
    """Every row, in block order."""
    for block in table.blocks:
        for place in range(len(block)):
            yield row(block, place, table.as_of_us, table.blind)


def row(block: StandingBlock, place: int, as_of_us: int, blind: str | None = None) -> Standing:
    """One series of a block at a tick."""
    at = _At(block, place)
    verdict, firing = at.whole("verdict"), at.whole("firing")
    contractual, experienced = view_numbers(block, place)
    gone_us = at.whole("exhausted_us")
    reason = reason_of(block, place, as_of_us)
    sighted = at.whole("data") != _BLIND
    return Standing(
        identity=block.identities[place],
        verdict=None if verdict < 0 else VERDICTS[verdict],
        data=DATA_STATES[at.whole("data")],
        firing=None if firing < 0 else FIRING[firing],
        since_us=at.whole("since_us"),
        reason=reason if sighted or not blind else f"{reason}; {reasons.blind(blind)}",
        as_of_us=as_of_us,
        period_start_us=at.whole("period_start_us"),
        period_end_us=at.whole("period_end_us"),
        basis="projected" if at.whole("projected") else "observed",
        allowed=at.real("allowed"),
        spent=contractual.total - contractual.good,
        contractual=contractual,
        experienced=experienced,
        coverage=at.real("coverage"),
        exhausted_us=None if gone_us < 0 else gone_us,
    )


def view_numbers(block: StandingBlock, place: int) -> tuple[ViewNumbers, ViewNumbers]:
    """Contractual and experienced."""
    at = _At(block, place)
    return (
        _view(
            block, place, CONTRACTUAL, at.whole("contractual_good"), at.whole("contractual_total"), at.real("allowed")
        ),
        _view(block, place, EXPERIENCED, at.whole("good"), at.whole("total"), at.real("experienced_allowed")),
    )


def reason_of(block: StandingBlock, place: int, as_of_us: int) -> str:
    """Why the verdict is what it is, and why an alert fires or is held back."""
    at = _At(block, place)
    verdict, condition = at.whole("verdict"), at.whole("condition")
    last_us = at.whole("last_us")
    quiet_us = None if last_us < 0 else as_of_us - last_us
    described: Mapping[str, Any] = block.conditions[condition] if condition >= 0 else {}
    held = _worded(block, place, described, as_of_us, quiet_us)
    if verdict == _BREACHED:
        parts = [_spent(block, at)]
        if "factor" in described:
            parts.append(held)
    elif held:
        parts = [held]
    elif verdict < 0:
        parts = [reasons.silent(quiet_us) if quiet_us is None else reasons.NOTHING_COUNTED]
    elif verdict == _AT_RISK:
        parts = [reasons.exhausted("contractual", _gone_in(at, as_of_us))]
    else:
        parts = [reasons.met(at.whole("contractual_total") - at.whole("contractual_good"), at.real("allowed"))]
    if at.whole("held_back") and condition < 0:
        parts.append(reasons.HELD_BACK)
    if at.whole("data") == _SILENT and quiet_us is not None and "silent" not in described:
        parts.append(reasons.silent(quiet_us))
    return "; ".join(parts)


class _At:
    """One place of a block's columns, as Python numbers."""

    __slots__ = ("_columns", "place")

    def __init__(self, block: StandingBlock, place: int) -> None:
        self._columns = block.columns
        self.place = place

    def whole(self, name: str) -> int:
        return int(self._columns[name][self.place])

    def real(self, name: str) -> float:
        return float(self._columns[name][self.place])


def _view(block: StandingBlock, place: int, view: int, good: int, total: int, allowed: float) -> ViewNumbers:
    rates = block.burn[view, :, place].tolist()
    return ViewNumbers(
        good=good,
        total=total,
        sli=good / total if total > 0 else None,
        budget_remaining=1 - (total - good) / allowed if total > 0 and allowed > 0 else None,
        burn_rates={name: None if np.isnan(rate) else rate for name, rate in zip(block.windows, rates, strict=True)},
    )


def _spent(block: StandingBlock, at: _At) -> str:
    kind = block.identities[at.place].period_kind
    period = reasons.period_words(kind, at.whole("period_start_us"), at.whole("period_end_us"))
    return reasons.spent(at.whole("contractual_total") - at.whole("contractual_good"), at.real("allowed"), period)


def _gone_in(at: _At, as_of_us: int) -> int | None:
    """None: not within the period, or gone already."""
    gone_us = at.whole("exhausted_us")
    return gone_us - as_of_us if gone_us > as_of_us else None


def _worded(block: StandingBlock, place: int, described: Mapping[str, Any], as_of_us: int, quiet_us: int | None) -> str:
    """The condition that explains an alert; empty where the breach itself, or nothing, does."""
    at = _At(block, place)
    view = str(described.get("view", "contractual"))
    if "factor" in described:
        index = CONTRACTUAL if view == "contractual" else EXPERIENCED
        long, short = str(described["long"]), str(described["short"])
        rates = [float(block.burn[index, block.windows.index(name), place]) for name in (long, short)]
        return reasons.burning(rates[0], rates[1], long, short, view, _gone_in(at, as_of_us))
    if "silent" in described:
        return reasons.silent(quiet_us)
    if "budgetRemaining" in described:
        contractual, experienced = view_numbers(block, place)
        remaining = (contractual if view == "contractual" else experienced).budget_remaining
        return reasons.left(remaining or 0.0, float(described["budgetRemaining"]), view)
    if "exhaustion" in described:
        return reasons.exhausted(view, _gone_in(at, as_of_us))
    return ""
