"""Outbox rows as a tick writes them, and as they are stored."""

from __future__ import annotations

from typing import Any

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage.tables import outbox


def row(incident: str, seq: int, *, severity: str = "page", target: str = "oncall") -> dict[str, Any]:
    return {
        "idempotency_key": f"{incident}.{seq}.{target}",
        "incident_id": incident,
        "type": "incident.opened" if seq == 1 else "incident.resolved",
        "severity": severity,
        "target": target,
        "payload": {"type": "incident.opened", "timestamp": "2026-11-23T15:41:27Z", "data": {"id": incident}},
    }


async def put(engine: AsyncEngine, incident: str, seq: int, *, severity: str = "page", target: str = "oncall") -> None:
    async with engine.begin() as connection:
        await connection.execute(insert(outbox).values(row(incident, seq, severity=severity, target=target)))


async def rows(engine: AsyncEngine) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(one) for one in (await connection.execute(select(outbox).order_by(outbox.c.id))).mappings()]
