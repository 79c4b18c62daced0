"""The outbox: notifications written with the tick that caused them, claimed by a conditional update.

A claim is a lease by the database's clock; a worker that dies leaves its rows to the next one. Within one incident and
target a later change waits until the earlier is settled, so that nobody reads "resolved" before "opened".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerting.ports import Notification
from service.storage.database import reaching

CLAIM_S = 30
"""Twice what a send is bounded to. Whatever a worker that died had claimed waits for so long."""

# Each step walks an index: the targets by skipping from one to the next, then of each the first rows that are due. A
# target that was away for a day may have 100,000 rows waiting, and a claim comes whenever a send ends.
# 'page' sorts before 'ticket'. A row that another worker settles meanwhile is judged anew when it is locked.
_CLAIM = text(
    """
    WITH RECURSIVE waiting(target) AS (
        (SELECT target FROM outbox WHERE state = 'pending' ORDER BY target LIMIT 1)
        UNION ALL
        SELECT (SELECT later.target FROM outbox AS later
                WHERE later.state = 'pending' AND later.target > waiting.target ORDER BY later.target LIMIT 1)
        FROM waiting WHERE waiting.target IS NOT NULL
    ), busy AS (
        SELECT * FROM unnest(CAST(:targets AS text[]), CAST(:taken AS integer[])) AS named(target, taken)
    ), chosen AS (
        SELECT first.id FROM waiting LEFT JOIN busy ON busy.target = waiting.target
        CROSS JOIN LATERAL (
            SELECT due.id, due.severity, due.attempts FROM outbox AS due
            WHERE due.target = waiting.target
              AND due.state = 'pending' AND due.next_attempt_at <= clock_timestamp()
              AND (due.claimed_until IS NULL OR due.claimed_until < clock_timestamp())
              AND NOT EXISTS (
                  SELECT FROM outbox AS earlier
                  WHERE earlier.incident_id = due.incident_id AND earlier.target = due.target
                    AND earlier.id < due.id AND earlier.state = 'pending')
            ORDER BY due.severity, due.attempts, due.id
            LIMIT greatest(:per_target - coalesce(busy.taken, 0), 0) FOR UPDATE SKIP LOCKED
        ) AS first
        ORDER BY first.severity, first.attempts, first.id
        LIMIT :most
    )
    UPDATE outbox SET claimed_by = :worker, claimed_until = clock_timestamp() + make_interval(secs => :claim_s)
    WHERE id IN (SELECT id FROM chosen)
    RETURNING id, idempotency_key, incident_id, type, target, payload, attempts, severity,
        CAST(extract(epoch FROM clock_timestamp() - created_at) AS double precision) AS waited_s
    """
)

_SETTLE = text(
    """
    UPDATE outbox SET state = :state, attempts = attempts + 1, last_error = :error, claimed_by = NULL,
        claimed_until = NULL, settled_at = CASE WHEN :state = 'pending' THEN NULL ELSE clock_timestamp() END,
        next_attempt_at = clock_timestamp() + make_interval(secs => :delay_s)
    WHERE id = :id AND state = 'pending' AND claimed_by = :worker
    """
)

_GIVE_BACK = text(
    "UPDATE outbox SET claimed_by = NULL, claimed_until = NULL WHERE state = 'pending' AND claimed_by = :worker"
)


class PostgresOutbox:
    """Implements `service.alerting.ports.Outbox`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(
        self, worker: str, limit: int, *, per_target: int, taken: Mapping[str, int]
    ) -> Sequence[Notification]:
        """Up to `limit` due rows, pages before tickets, fresh ones before those that failed. Raises DependencyAway."""
        values = {
            "worker": worker,
            "most": limit,
            "per_target": per_target,
            "targets": list(taken),
            "taken": list(taken.values()),
            "claim_s": float(CLAIM_S),
        }
        with reaching():
            async with self._engine.begin() as connection:
                rows = [dict(row) for row in (await connection.execute(_CLAIM, values)).mappings()]
        rows.sort(key=lambda row: (row["severity"] != "page", row["attempts"], row["id"]))
        return [Notification(**{name: value for name, value in row.items() if name != "severity"}) for row in rows]

    async def sent(self, notification: Notification, worker: str) -> bool:
        """Settle as taken by the receiver."""
        return await self._settle(notification, worker, "sent", None, 0.0)

    async def retry(self, notification: Notification, worker: str, reason: str, delay_s: float) -> bool:
        """Give the claim back and try again after the delay."""
        return await self._settle(notification, worker, "pending", reason, delay_s)

    async def failed(self, notification: Notification, worker: str, reason: str) -> bool:
        """Settle as never to be taken."""
        return await self._settle(notification, worker, "failed", reason, 0.0)

    async def give_back(self, worker: str) -> None:
        """End every claim of this worker."""
        with reaching():
            async with self._engine.begin() as connection:
                await connection.execute(_GIVE_BACK, {"worker": worker})

    async def _settle(
        self, notification: Notification, worker: str, state: str, error: str | None, delay_s: float
    ) -> bool:
        values = {"id": notification.id, "worker": worker, "state": state, "error": error, "delay_s": delay_s}
        with reaching():
            async with self._engine.begin() as connection:
                return (await connection.execute(_SETTLE, values)).rowcount == 1
