"""GET /healthz: this process answers. GET /readyz: what it needs answers too, or which does not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Final

import structlog
from fastapi import APIRouter
from sqlalchemy import text
from starlette.responses import JSONResponse

from service.api.session import Deps
from service.storage.database import cause

router = APIRouter(tags=["operations"])
_CHECK_WITHIN_S: Final = 3.0
_log = structlog.get_logger(__name__)


@router.get("/healthz", summary="This process answers")
async def healthz() -> dict[str, str]:
    """Asks nobody else."""
    return {"status": "ok"}


@router.get(
    "/readyz",
    summary="Whatever this process needs answers",
    responses={503: {"description": "Something is away; the body says what.", "content": {"application/json": {}}}},
)
async def readyz(deps: Deps) -> JSONResponse:
    """`status` is `ok` or `waiting`; a dependency that is away stands beside it, with why."""

    async def database() -> str | None:
        async with deps.engine.connect() as connection:
            await connection.execute(text("SELECT 1 FROM installation"))
        return None

    checks = {"database": database, **deps.checks}
    answers = await asyncio.gather(*(_answer(name, check()) for name, check in checks.items()))
    missing = {name: reason for name, reason in zip(checks, answers, strict=True) if reason}
    return JSONResponse({"status": "waiting" if missing else "ok", **missing}, 503 if missing else 200)


async def _answer(name: str, check: Awaitable[str | None]) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_WITHIN_S):
            return await check
    except Exception as error:  # noqa: BLE001 - whatever it is, the answer is that it is away
        _log.warning("A dependency does not answer.", action="not_ready", dependency=name, error=cause(error))
        return "does not answer"
