"""What the API needs of the outside beside the database, and the bundle in which the wiring hands everything over."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from sqlalchemy.ext.asyncio import AsyncEngine

from service.api.tokens import TokenFile
from service.telemetry import Telemetry

METRICS_WINDOWS: Final = ("5m", "1h", "6h", "3d", "period")

ReadyCheck = Callable[[], Awaitable[str | None]]
"""None when ready, otherwise what is missing, in words."""


class EventSink(Protocol):
    """Takes event records to the topic. Raises LogUnavailable (or DependencyAway) when the broker is away."""

    async def send(self, values: Sequence[bytes]) -> None:
        """Returns when every record is safe."""
        ...


Heard = Callable[[str, str], None]
Listen = Callable[[Sequence[str], Heard], Awaitable[None]]
"""Listens to channels of the database until cancelled, calling `heard(channel, payload)`: wake-ups, never content."""


@dataclass(frozen=True, slots=True)
class ApiDependencies:
    """Everything that an application needs, explicitly.

    `loopback` says that the application is bound to this machine only. Without `listen`, the live stream polls each
    second. `checks` are what /readyz asks beside the database.
    """

    engine: AsyncEngine
    clock: Callable[[], int]
    telemetry: Telemetry = field(default_factory=Telemetry)
    events: EventSink | None = None
    tokens: TokenFile | None = None
    loopback: bool = True
    require_token_for_reads: bool = False
    public_url: str = "http://127.0.0.1:8080"
    metrics_windows: tuple[str, ...] = METRICS_WINDOWS
    listen: Listen | None = None
    checks: Mapping[str, ReadyCheck] = field(default_factory=dict[str, ReadyCheck])
    future_bound_us: int = 600_000_000
