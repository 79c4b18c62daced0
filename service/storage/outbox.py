"""The outbox: notifications written with the tick that caused them, claimed by a conditional update.

A claim is a lease by the database's clock; a worker that dies leaves its rows to the next one. Within one incident and
target a later change waits until the earlier is settled, so that nobody reads "resolved" before "opened".
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from service.alerting.ports import Notification
from service.storage.database import reaching

CLAIM_S = 60
"""Longer than any send is bounded to; a claim that lapses is taken by another worker."""

AT_ONCE = 8
"""Notifications of one target under way, over all workers: a target that hangs holds up its own pages only."""

_CLAIM = text(
    """
    WITH waiting AS (
        SELECT due.id, due.target, row_number() OVER (
            PARTITION BY due.target ORDER BY due.severity = 'page' DESC, due.attempts, due.id) AS place
        FROM outbox AS due
        WHERE due.state = 'pending' AND due.next_attempt_at <= clock_timestamp()
          AND (due.claimed_until IS NULL OR due.claimed_until < clock_timestamp())
          AND NOT EXISTS (
              SELECT FROM outbox AS earlier
              WHERE earlier.incident_id = due.incident_id AND earlier.target = due.target
                AND earlier.id < due.id AND earlier.state = 'pending')
    ), under_way AS (
        SELECT target, count(*) AS claimed FROM outbox
        WHERE state = 'pending' AND claimed_until >= clock_timestamp() GROUP BY target
    )
    UPDATE outbox SET claimed_by = :worker, claimed_until = clock_timestamp() + make_interval(secs => :claim_s)
    WHERE id IN (
        SELECT due.id FROM outbox AS due
        JOIN waiting ON waiting.id = due.id
        LEFT JOIN under_way ON under_way.target = due.target
        WHERE waiting.place + coalesce(under_way.claimed, 0) <= :at_once AND due.state = 'pending'
          AND (due.claimed_until IS NULL OR due.claimed_until < clock_timestamp())
        ORDER BY due.severity = 'page' DESC, due.attempts, due.id
        LIMIT :most FOR UPDATE OF due SKIP LOCKED)
    RETURNING id, idempotency_key, incident_id, type, target, payload, attempts, severity
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


class PostgresOutbox:
    """Implements `service.alerting.ports.Outbox`."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def claim(self, worker: str, limit: int) -> Sequence[Notification]:
        """Up to `limit` due rows, pages before tickets, fresh ones before those that failed. Raises DependencyAway."""
        values = {"worker": worker, "most": limit, "at_once": AT_ONCE, "claim_s": float(CLAIM_S)}
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

    async def _settle(
        self, notification: Notification, worker: str, state: str, error: str | None, delay_s: float
    ) -> bool:
        values = {"id": notification.id, "worker": worker, "state": state, "error": error, "delay_s": delay_s}
        with reaching():
            async with self._engine.begin() as connection:
                return (await connection.execute(_SETTLE, values)).rowcount == 1
