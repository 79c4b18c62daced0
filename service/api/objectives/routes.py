"""GET /objectives, /objectives/{agreement}/{objective} and their history."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from fastapi import APIRouter, Query

from evaluators.standings import DATA_STATES, VERDICTS, DataState, Verdict
from service.api.agreements import stored
from service.api.listing import DEFAULT_LIMIT, Cursor, Limit, Page, cursor_of, key_of
from service.api.objectives.models import ObjectiveItem
from service.api.problems import not_found
from service.api.session import CurrentStandings, Transaction
from service.storage.standings import Rows, SortKey, Standings

router = APIRouter(prefix="/objectives", tags=["objectives"])

VerdictFilter = Annotated[Verdict | Literal["null"] | None, Query(description="`null`: nothing was counted yet.")]


@router.get("", summary="Where every objective stands, one item per group")
async def list_objectives(
    standings: CurrentStandings,
    agreement: str | None = None,
    verdict: VerdictFilter = None,
    data: DataState | None = None,
    service: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ObjectiveItem]:
    """In the order of agreement, objective and group."""
    wanted = standings.order.of(agreement) if agreement is not None else range(len(standings))
    mask = np.zeros(len(standings), dtype=bool)
    start = standings.order.after(key_of(cursor, SortKey)) if cursor else 0
    mask[max(wanted.start, start) : wanted.stop] = True
    if verdict is not None:
        mask &= standings.column("verdict") == (-1 if verdict == "null" else VERDICTS.index(verdict))
    if data is not None:
        mask &= standings.column("data") == DATA_STATES.index(data)
    if service is not None:
        mask &= standings.order.services == service
    return _page(standings, np.flatnonzero(mask), limit)


@router.get("/{agreement}/{objective}", summary="Where one objective stands, one item per group")
async def get_objective(
    connection: Transaction,
    standings: CurrentStandings,
    agreement: str,
    objective: str,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[ObjectiveItem]:
    """No items: it is defined, and not evaluated yet or none of its groups was seen."""
    wanted = standings.order.of(agreement, objective)
    if not wanted and not await stored.defines(connection, agreement, objective):
        raise not_found(f"objective {objective!r} of an agreement {agreement!r}")
    start = standings.order.after(key_of(cursor, SortKey)) if cursor else 0
    return _page(standings, np.arange(max(wanted.start, start), wanted.stop), limit)


def _page(standings: Standings, rows: Rows, limit: int) -> Page[ObjectiveItem]:
    chosen = rows[:limit]
    more = len(rows) > limit
    return Page[ObjectiveItem](
        items=[ObjectiveItem.of(standing) for standing in standings.rows(chosen)],
        next=cursor_of(standings.order.keys[int(chosen[-1])]) if more else None,
    )
