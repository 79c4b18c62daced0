"""GET /restatements."""

from __future__ import annotations

from typing import Any, Final

from fastapi import APIRouter
from sqlalchemy import RowMapping, text

from evaluators.moments import rfc3339
from service.api.listing import DEFAULT_LIMIT, Cursor, Limit, Page, cursor_of, key_of
from service.api.problems import invalid
from service.api.restatements.models import RestatementItem
from service.api.session import Transaction
from service.api.times import moment

router = APIRouter(prefix="/restatements", tags=["restatements"])

_GREATEST: Final = (1 << 63) - 1
_LISTED: Final = text(
    """
    SELECT restatements.*, series.labels FROM restatements
    LEFT JOIN series ON series.id = restatements.series_id
    WHERE restatements.id < :before
      AND (CAST(:agreement AS text) IS NULL OR agreement = :agreement)
      AND (CAST(:objective AS text) IS NULL OR objective = :objective)
    ORDER BY restatements.id DESC LIMIT :most
    """
)


@router.get("", summary="What changed after the fact, newest first")
async def list_restatements(
    connection: Transaction,
    agreement: str | None = None,
    objective: str | None = None,
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> Page[RestatementItem]:
    """Numbers that were shown before and are others now."""
    before: int = key_of(cursor, int) if cursor else _GREATEST
    if not 0 < before <= _GREATEST:
        raise invalid("query", "cursor", "Not a cursor of this list: take `next` as it was given.")
    wanted: dict[str, Any] = {"before": before, "agreement": agreement, "objective": objective, "most": limit + 1}
    rows = (await connection.execute(_LISTED, wanted)).mappings().all()
    items = [_item(row) for row in rows[:limit]]
    return Page[RestatementItem](items=items, next=cursor_of(items[-1].id) if len(rows) > limit else None)


def _item(row: RowMapping) -> RestatementItem:
    return RestatementItem.model_validate(
        {
            "id": row["id"],
            "agreement": row["agreement"],
            "objective": row["objective"],
            "group": row["labels"] or {},
            "from": rfc3339(row["from_us"]),
            "cause": row["cause"],
            "old": row["old"],
            "new": row["new"],
            "author": row["author"],
            "recorded_at": moment(row["recorded_at"]),
        }
    )
