"""Lets expire what nobody has to read any more: beside the ticks, a bounded step at a time."""

from __future__ import annotations

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from service.storage import expiry
from service.storage.database import reaching

_log = structlog.get_logger(__name__)


class Expiry:
    """One process at a time is enough; several do no harm. `keep_entries_us`: how long the ledger is kept."""

    def __init__(self, database: AsyncEngine, keep_entries_us: int) -> None:
        self._database = database
        self._keep_entries_us = keep_entries_us

    async def step(self, clock_us: int) -> bool:
        """Each kind in a short transaction of its own; True where more may wait. Raises DependencyAway."""
        with reaching():
            async with self._database.begin() as connection:
                entries = await expiry.expire_entries(connection, clock_us - self._keep_entries_us)
            async with self._database.begin() as connection:
                notifications = await expiry.expire_notifications(connection)
            async with self._database.begin() as connection:
                epochs = await expiry.forget_epochs(connection)
        if epochs:
            _log.info("Epochs that are over were forgotten.", action="epochs_forgotten", epochs=epochs)
        return bool(entries or notifications)
