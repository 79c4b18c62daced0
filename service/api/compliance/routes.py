"""GET /compliance."""

from __future__ import annotations

from fastapi import APIRouter

from service.api.agreements import stored
from service.api.compliance.models import ComplianceItem
from service.api.compliance.summary import items
from service.api.listing import DEFAULT_LIMIT, Cursor, Limit, Page, cursor_of, key_of
from service.api.session import CurrentStandings, Transaction

router = APIRouter(prefix="/compliance", tags=["compliance"])


@router.get("", summary="Whether each agreement is kept")
async def list_compliance(
    connection: Transaction, standings: CurrentStandings, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[ComplianceItem]:
    """In the order of their names; an agreement that was applied and not evaluated yet is there too."""
    after: str = key_of(cursor, str) if cursor else ""
    found = await stored.names(connection, after=after, most=limit + 1)
    names = found[:limit]
    return Page[ComplianceItem](
        items=items(standings, names), next=cursor_of(names[-1]) if len(found) > limit else None
    )
