"""GET /agreements, /agreements/{name} and /versions; PUT /agreements/{name}."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Query, Request, Response

from evaluators.documents import Loaded, load
from evaluators.documents import Problem as Fault
from evaluators.moments import rfc3339
from service.api.access import requires
from service.api.agreements import stored
from service.api.agreements.models import (
    SOURCE_EXAMPLE,
    AgreementDetail,
    AgreementItem,
    Applied,
    AppliedItem,
    VersionDetail,
)
from service.api.compliance.summary import items as compliance_items
from service.api.listing import DEFAULT_LIMIT, Cursor, Limit, Page, cursor_of, key_of
from service.api.problems import FieldError, Problem, invalid, not_found
from service.api.session import CurrentStandings, Deps, Transaction
from service.api.times import parse
from service.api.tokens import Principal, Role
from service.errors import CheckFailed
from service.storage.definitions import DefinitionsStore, InvalidDefinitions

router = APIRouter(prefix="/agreements", tags=["agreements"])

_NO_VERSION: Final = (1 << 31) - 1
Owner = Annotated[Principal, Depends(requires(Role.OWNER))]
_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "The agreement as YAML; alert policies and notification targets may stand beside it.",
    "content": {"application/yaml": {"schema": {"type": "string"}, "example": SOURCE_EXAMPLE}},
}


@router.get("", summary="Agreements, and whether each is kept")
async def list_agreements(
    connection: Transaction, standings: CurrentStandings, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[AgreementItem]:
    """The newest version of each, in the order of their names."""
    after: str = key_of(cursor, str) if cursor else ""
    names = await stored.names(connection, after=after, most=limit + 1)
    rows = await stored.newest(connection, names[:limit])
    kept = compliance_items(standings, [row["name"] for row in rows])
    items = [stored.item(row, compliance) for row, compliance in zip(rows, kept, strict=True)]
    return Page[AgreementItem](items=items, next=cursor_of(names[limit - 1]) if len(names) > limit else None)


@router.get("/{name}", summary="One agreement with its document")
async def get_agreement(connection: Transaction, standings: CurrentStandings, name: str) -> AgreementDetail:
    """The newest version; it may be in force only from a later time on."""
    rows = await stored.newest(connection, [name])
    if not rows:
        raise not_found(f"agreement {name!r}")
    return stored.detail(rows[0], compliance_items(standings, [name])[0])


@router.get("/{name}/versions", summary="Every version of an agreement, newest first")
async def list_versions(
    connection: Transaction, name: str, limit: Limit = DEFAULT_LIMIT, cursor: Cursor = None
) -> Page[VersionDetail]:
    """A version is in force until the next one's time."""
    before: int = key_of(cursor, int) if cursor else _NO_VERSION
    if not 0 < before <= _NO_VERSION:
        raise invalid("query", "cursor", "Not a cursor of this list: take `next` as it was given.")
    rows = await stored.versions(connection, name, before=before, most=limit + 1)
    if not rows and cursor is None:
        raise not_found(f"agreement {name!r}")
    items = [stored.version_detail(row) for row in rows[:limit]]
    return Page[VersionDetail](items=items, next=cursor_of(items[-1].version) if len(rows) > limit else None)


@router.put("/{name}", summary="Put a new version of an agreement in force", openapi_extra={"requestBody": _BODY})
async def put_agreement(
    request: Request,
    response: Response,
    deps: Deps,
    name: str,
    who: Owner,
    from_: Annotated[str | None, Query(alias="from", description="In force from; default: the next slot.")] = None,
) -> Applied:
    """Needs the role `owner`. 201: the agreement is new; 200: it has a new version, or is as it was."""
    loaded = await _loaded(await request.body())
    agreements = [each.name for each in loaded.documents if each.kind == "Agreement"]
    if agreements != [name]:
        raise Problem(422, f"The body must hold one agreement, and its metadata.name must be {name!r}.")
    from_us = _time(from_)
    try:
        done = await DefinitionsStore(deps.engine).apply(
            loaded.documents, by=who.name, from_us=from_us, now_us=deps.clock()
        )
    except InvalidDefinitions as error:
        raise _invalid(error.problems) from None
    except CheckFailed as error:
        raise Problem(409, str(error)) from None
    items = [
        AppliedItem(
            kind=one.kind,
            name=one.name,
            version=one.version,
            changed=one.changed,
            in_force_from=rfc3339(one.from_us),
            note=one.note,
        )
        for one in done
    ]
    created = any(item.kind == "Agreement" and item.changed and item.version == 1 for item in items)
    response.status_code = 201 if created else 200
    return Applied(items=items, warnings=[_words(each) for each in loaded.problems])


async def _loaded(body: bytes) -> Loaded:
    try:
        written = body.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Problem(422, f"The body is not UTF-8 (byte {error.start}).") from None
    loaded = await asyncio.to_thread(load, written, "body")
    if loaded.failed:
        raise _invalid(loaded.problems)
    return loaded


def _invalid(faults: tuple[Fault, ...]) -> Problem:
    errors = [
        FieldError(location="body", field=each.path, detail=_words(each)) for each in faults if each.level == "error"
    ]
    return Problem(422, "The documents are not valid.", errors=errors)


def _words(fault: Fault) -> str:
    mend = f" ({fault.mend})" if fault.mend else ""
    return f"line {fault.line}, column {fault.column}: {fault.message}{mend}"


def _time(written: str | None) -> int | None:
    try:
        return None if written is None else parse(written)
    except ValueError as error:
        raise invalid("query", "from", str(error)) from None
