"""From the database to the broadcast: what is different since the last look.

One feed serves all streams of a process. The database's notification wakes it; it also looks by itself each second,
because a notification can be lost and because a shard turns blind by doing nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
from datetime import datetime
from typing import Any, Final

import msgspec
import numpy as np
import structlog
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.incidents.models import IncidentEvent, IncidentItem
from service.api.objectives.models import ObjectiveItem
from service.api.ports import ApiDependencies
from service.api.stream.broadcast import RESET, Broadcast
from service.api.times import moment, rfc3339_or_none
from service.storage import incidents
from service.storage.database import cause, is_away
from service.storage.standings import Standings, StandingsStore

CHANNELS: Final = ("upheld_standings",)
LOOK_S: Final = 1.0
LEAST_BETWEEN_S: Final = 0.1
MOST_CHANGES: Final = 200
"""More at once (a catch-up, an outage) are told as one `reset`: reading everything anew is cheaper for both sides."""

_COLUMNS: Final = ("verdict", "data", "firing")
_RECENT = text(
    "SELECT incident_id, seq FROM incident_events WHERE recorded_at > clock_timestamp() - interval '10 minutes'"
)
_TOLD: Final = frozenset({"opened", "escalated", "acknowledged", "resolved", "withdrawn", "amended"})
_log = structlog.get_logger(__name__)

Change = tuple[str, int]


class Feed:
    """Publishes `verdict`, `incident`, `tick` and `reset` events."""

    def __init__(self, dependencies: ApiDependencies, store: StandingsStore, broadcast: Broadcast) -> None:
        self._dependencies = dependencies
        self._store = store
        self._broadcast = broadcast
        self._woken = asyncio.Event()
        self._standings: Standings | None = None
        self._seen: set[Change] | None = None
        self._away = False
        self._stopping = False

    async def run(self) -> None:
        """Until stopped."""
        listen = self._dependencies.listen
        listening = None if listen is None else asyncio.create_task(_listening(listen(CHANNELS, self._heard)))
        try:
            while not self._stopping:
                await self._look_safely()
                await self._pause()
        finally:
            if listening is not None:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    def stop(self) -> None:
        """Finish the look that is under way, then end."""
        self._stopping = True
        self._woken.set()

    def _heard(self, _channel: str, _payload: str) -> None:
        self._woken.set()

    async def _look_safely(self) -> None:
        self._woken.clear()
        try:
            await self.look()
            self._away = False
        except Exception as error:  # noqa: BLE001 - the stream must not end with one bad look, nor take the API along
            self._tell(error)

    async def _pause(self) -> None:
        if not self._stopping:
            await asyncio.sleep(LEAST_BETWEEN_S)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await self._woken.wait()

    def _tell(self, error: Exception) -> None:
        if not is_away(error):
            _log.error("The live stream could not be fed.", action="feed_failed", error=type(error).__name__)
        elif not self._away:
            _log.warning("The live stream waits for the database.", action="feed_waits", error=cause(error))
            self._away = True

    async def look(self) -> None:
        """Publish what is different since the last look; the first only remembers."""
        async with self._dependencies.engine.begin() as connection:
            standings = await self._store.current(connection)
            recent = {(row.incident_id, row.seq) for row in (await connection.execute(_RECENT)).all()}
            unseen = sorted(recent - self._seen) if self._seen is not None else []
            told = len(unseen) <= MOST_CHANGES
            changes = await _read(connection, unseen, self._dependencies.public_url) if told else []
        before, self._standings = self._standings, standings
        self._seen = recent
        if before is None:
            return
        moved = changed_rows(before, standings)
        if len(unseen) > MOST_CHANGES or len(moved) > MOST_CHANGES:
            self._broadcast.publish(RESET, b'{"reason":"many_changes"}')
            return
        self._publish(standings, moved, changes)
        if standings.version != before.version:
            tick = {"as_of": rfc3339_or_none(standings.latest_us), "blind": standings.blind}
            self._broadcast.publish("tick", msgspec.json.encode(tick))

    def _publish(self, standings: Standings, moved: list[int], changes: list[IncidentEvent]) -> None:
        for standing in standings.rows(moved):
            self._broadcast.publish("verdict", ObjectiveItem.of(standing).model_dump_json().encode())
        for change in changes:
            self._broadcast.publish("incident", change.model_dump_json().encode())


async def _listening(listening: Any) -> None:
    await listening


async def _read(connection: AsyncConnection, changes: list[Change], public_url: str) -> list[IncidentEvent]:
    """What is to be told of these steps, in the order in which they were recorded."""
    steps: list[tuple[datetime, int, IncidentEvent]] = []
    for incident_id in {incident_id for incident_id, _ in changes}:
        story = await incidents.one(connection, incident_id)
        for entry in story.timeline if story else ():
            if story and (incident_id, entry.seq) in changes and entry.type in _TOLD:
                data = IncidentItem.of(story.record, public_url)
                event = IncidentEvent(type=f"incident.{entry.type}", timestamp=moment(entry.recorded_at), data=data)
                steps.append((entry.recorded_at, entry.seq, event))
    return [event for *_, event in sorted(steps, key=lambda step: step[:2])]


def changed_rows(before: Standings, now: Standings) -> list[int]:
    """Rows of `now` whose verdict, data state or severity firing is another than before, or that are new."""
    if before is now:
        return []
    if before.order is now.order:
        differs = np.zeros(len(now), dtype=bool)
        for name in _COLUMNS:
            differs |= before.column(name) != now.column(name)
        return np.flatnonzero(differs).tolist()
    old = dict(_states(before))
    return [row for row, (series, state) in enumerate(_states(now)) if old.get(series) != state]


def _states(standings: Standings) -> list[tuple[int, tuple[int, ...]]]:
    columns: list[NDArray[Any]] = [standings.column(name) for name in _COLUMNS]
    states = zip(*(column.tolist() for column in columns), strict=True)
    return [(one.series_id, state) for one, state in zip(standings.order.identities, states, strict=True)]
