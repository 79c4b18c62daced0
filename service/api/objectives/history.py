"""GET /objectives/{agreement}/{objective}/history."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import numpy as np
from fastapi import APIRouter, Query, Request
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from evaluators import durations
from evaluators.moments import rfc3339
from evaluators.rollup import told_apart
from evaluators.standings import DataState, Standing, Verdict
from service.api.agreements import stored
from service.api.objectives.models import BlindSpanModel, History, HistoryPoint
from service.api.problems import Problem, invalid, not_found
from service.api.session import CurrentStandings, Transaction
from service.api.times import parse
from service.storage import blind_spans
from service.storage.blind_spans import BlindSpan
from service.storage.history import BadSpan, Counts, HistoryStore
from service.storage.history import History as Counted
from service.storage.standings import Standings

router = APIRouter(prefix="/objectives", tags=["objectives"])

POINTS: Final = 500
"""About as many as a plot has pixels for; a longer span gets longer steps where none were asked for."""

STEPS_US: Final = tuple(
    durations.parse(step) for step in ("10s", "30s", "1m", "5m", "15m", "30m", "1h", "3h", "6h", "12h", "1d", "7d")
)
_LATEST_US: Final = 1 << 52  # the year 2112: sums with durations stay far inside 64 bits


class Span(BaseModel):
    """What part of a history, and how fine."""

    group: list[str] = Field([], description="The group, `label=value` for each label; needed where there are several.")
    from_: str | None = Field(None, alias="from", max_length=64, description="Default: the period's start.")
    to: str | None = Field(None, max_length=64, description="Default: the last tick.")
    step: str | None = Field(
        None,
        max_length=64,
        description="Such as 1m; default: some 500 points. What is older than two days is kept by minute, than 13 months by 15m.",
    )
    view: Literal["contractual", "experienced"] = "contractual"


@router.get("/{agreement}/{objective}/history", summary="What became of one objective over time")
async def get_history(
    request: Request,
    connection: Transaction,
    standings: CurrentStandings,
    agreement: str,
    objective: str,
    span: Annotated[Span, Query()],
) -> History:
    """Steps lie on multiples of their length, so that the first and the last may reach over `from` and `to`."""
    row = await _row(connection, standings, agreement, objective, span.group)
    to_us = _moment("to", span.to, row.as_of_us)
    from_us = _moment("from", span.from_, min(row.period_start_us, to_us - durations.HOUR))
    step_us = _step(span.step, from_us, to_us, row.as_of_us)
    history: HistoryStore = request.app.state.history
    unseen = await blind_spans.between(connection, from_us // step_us * step_us, -(-to_us // step_us) * step_us)
    try:
        counted = await history.load(row.identity.series_id, from_us, to_us, step_us)
    except BadSpan as error:
        raise Problem(422, f"This history cannot be given: {error}.") from None
    return History(
        items=_points(counted, counted.contractual if span.view == "contractual" else counted.experienced, unseen),
        blind=[_blind(one) for one in unseen],
        next=None,
        agreement=agreement,
        objective=objective,
        group=row.identity.group,
        view=span.view,
        step=durations.format(step_us),
    )


async def _row(
    connection: Transaction, standings: Standings, agreement: str, objective: str, group: list[str]
) -> Standing:
    rows = standings.order.of(agreement, objective)
    if not rows:
        if await stored.defines(connection, agreement, objective):
            raise Problem(404, f"Nothing of objective {objective!r} of agreement {agreement!r} was evaluated yet.")
        raise not_found(f"objective {objective!r} of an agreement {agreement!r}")
    asked = tuple(sorted((name, value) for name, _, value in (one.partition("=") for one in group)))
    if not asked and len(rows) > 1:
        raise invalid("query", "group", "This objective has several groups; choose one, as in group=region=eu.")
    chosen = [row for row in rows if not asked or tuple(sorted(standings.order.identities[row].labels)) == asked]
    if not chosen:
        raise not_found(f"group {', '.join(group)!r} of objective {objective!r}")
    return standings.rows(chosen)[0]


def _moment(name: str, written: str | None, default: int) -> int:
    if written is None:
        return default
    try:
        time_us = parse(written)
    except ValueError as error:
        raise invalid("query", name, str(error)) from None
    if not 0 <= time_us < _LATEST_US:
        raise invalid("query", name, "expected a time from 1970 to 2100")
    return time_us


def _step(written: str | None, from_us: int, to_us: int, tick_us: int) -> int:
    if written is None:
        long_enough = (step for step in STEPS_US if step * POINTS >= to_us - from_us)
        return next((step for step in long_enough if told_apart(step, from_us, tick_us, STEPS_US[0])), STEPS_US[-1])
    try:
        return durations.parse(written)
    except durations.DurationError as error:
        raise invalid("query", "step", str(error)) from None


def _blind(span: BlindSpan) -> BlindSpanModel:
    return BlindSpanModel.model_validate(
        {
            "from": None if span.from_us is None else rfc3339(span.from_us),
            "to": rfc3339(span.until_us),
            "topic": span.topic,
            "partition": span.partition,
            "records": span.records,
        }
    )


def _points(counted: Counted, view: Counts, unseen: Sequence[BlindSpan]) -> list[HistoryPoint]:
    rows = zip(
        counted.time_us.tolist(),
        view.good.tolist(),
        view.total.tolist(),
        view.budget_remaining.tolist(),
        counted.verdicts,
        _blind_steps(counted, unseen).tolist(),
        strict=True,
    )
    return [
        HistoryPoint(
            time=rfc3339(time_us),
            good=good,
            total=total,
            sli=good / total if total else None,
            budget_remaining=None if remaining != remaining else remaining,  # noqa: PLR0124 - NaN
            verdict=None if verdict is None else Verdict(verdict),
            data=DataState.BLIND if blind else DataState.LIVE if total else DataState.SILENT,
        )
        for time_us, good, total, remaining, verdict, blind in rows
    ]


def _blind_steps(counted: Counted, unseen: Sequence[BlindSpan]) -> NDArray[np.bool_]:
    blind = np.zeros(len(counted), dtype=bool)
    for span in unseen:
        blind |= span.touches(counted.time_us, counted.time_us + counted.step_us)
    return blind
