"""What delivery needs: an outbox to claim from, targets by name, and a channel per target type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from evaluators.agreements import NotificationTarget


@dataclass(frozen=True, slots=True)
class Notification:
    """One claimed outbox row. `payload` is the page: {"type", "timestamp", "data"}; `waited_s` is since it was written."""

    id: int
    idempotency_key: str
    incident_id: str
    type: str
    target: str
    payload: Mapping[str, Any]
    attempts: int
    waited_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Sent:
    """The receiver took it."""


@dataclass(frozen=True, slots=True)
class Retry:
    """The receiver may take it later."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Rejected:
    """The receiver will never take it."""

    reason: str


Outcome = Sent | Retry | Rejected


class Channel(Protocol):
    """Sends one notification to one target; never raises for what a receiver does.

    What it raises all the same counts as Retry: one target must not stop the others.
    """

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome: ...


class Outbox(Protocol):
    """Rows waiting to be sent."""

    async def claim(
        self, worker: str, limit: int, *, per_target: int, taken: Mapping[str, int]
    ) -> Sequence[Notification]:
        """Up to `limit` due rows, and of one target up to `per_target` less what is `taken` there.

        Pages before tickets, fresh ones before those that failed, each incident's changes in order per target.
        """
        ...

    async def sent(self, notification: Notification, worker: str) -> bool:
        """Settle it. False where the claim had passed to another worker."""
        ...

    async def retry(self, notification: Notification, worker: str, reason: str, delay_s: float) -> bool: ...

    async def failed(self, notification: Notification, worker: str, reason: str) -> bool: ...

    async def give_back(self, worker: str) -> None:
        """End every claim of this worker, so that nobody waits for them to lapse."""
        ...


class Targets(Protocol):
    """Notification targets by name, in their newest version."""

    async def targets(self) -> Mapping[str, NotificationTarget]: ...
