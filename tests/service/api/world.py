"""Writes what the evaluator commits: standings, incidents, restatements; with the packing code that it uses."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from evaluators.incidents import Incident, incident_id
from evaluators.standings import BLOCK_COLUMNS, SeriesIdentity, StandingBlock, StandingTable
from service.storage import incidents

SECOND = 1_000_000
NOW_US = 1_795_707_013_000_000  # 2026-11-26T15:30:13Z
AS_OF_US = NOW_US - 3 * SECOND
WINDOWS = ("5m", "1h", "6h", "3d")
CONDITION = {"long": "1h", "short": "5m", "factor": 14.4, "view": "contractual", "severity": "page"}
NUMBERS = {"none": -1, "met": 0, "at_risk": 1, "breached": 2}
DATA = {"live": 0, "silent": 1, "blind": 2}


@dataclass(frozen=True)
class Row:
    """One series as a test wants it."""

    agreement: str = "checkout-gold"
    objective: str = "availability"
    group: Mapping[str, str] = field(default_factory=dict)
    service: str | None = "checkout"
    series_id: int = 1
    target: float = 0.999
    version: int = 1
    verdict: str = "met"
    data: str = "live"
    firing: str | None = None
    good: int = 997_000
    total: int = 998_700
    contractual_good: int = 997_000
    contractual_total: int = 997_700
    burn: Sequence[float] = (0.5, 0.4, 0.3, 0.2)

    def identity(self) -> SeriesIdentity:
        """Its name as the engine writes it."""
        labels = tuple(self.group.items())
        return SeriesIdentity(
            self.series_id, self.agreement, self.objective, self.service, labels, self.version, self.target, "rolling"
        )

    def columns(self) -> dict[str, float]:
        """Its value in each column of a block."""
        budget = 1 - self.target
        return {
            "verdict": NUMBERS[self.verdict],
            "data": DATA[self.data],
            "firing": {None: -1, "ticket": 0, "page": 1}[self.firing],
            "last_us": AS_OF_US - SECOND,
            "since_us": AS_OF_US - 600 * SECOND,
            "period_start_us": AS_OF_US - 30 * 86_400 * SECOND,
            "period_end_us": AS_OF_US,
            "projected": 0,
            "allowed": budget * self.contractual_total,
            "good": self.good,
            "total": self.total,
            "contractual_good": self.contractual_good,
            "contractual_total": self.contractual_total,
            "experienced_allowed": budget * self.total,
            "coverage": 0.998,
            "exhausted_us": -1,
            "condition": 0 if self.firing else -1,
            "held_back": 0,
        }


def table_of(rows: Sequence[Row], *, as_of_us: int = AS_OF_US, blind: str | None = None) -> StandingTable:
    """One block of all rows."""
    values = [row.columns() for row in rows]
    columns = {name: np.array([one[name] for one in values], dtype="<" + kind) for name, kind in BLOCK_COLUMNS.items()}
    burn = np.array([[row.burn for row in rows]] * 2, dtype=np.float64).transpose(0, 2, 1).copy()
    burn = burn.reshape(2, len(WINDOWS), len(rows))
    block = StandingBlock(tuple(row.identity() for row in rows), WINDOWS, (CONDITION,), columns, burn)
    return StandingTable(as_of_us, (block,), blind)


class World:
    """The database as the other parts leave it."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._seq = 0

    async def stand(self, *rows: Row, shard: int = 0, age_s: float = 0, table: StandingTable | None = None) -> None:
        """Commit a tick of one shard."""
        self._seq += 1
        table = table or table_of(rows)
        identities = table.pack_identities()
        values = {
            "shard": shard,
            "tick_seq": self._seq,
            "identities": identities,
            "identities_hash": hashlib.sha256(identities).hexdigest(),
            "columns": table.pack_columns(),
            "as_of_us": table.as_of_us,
            "age_s": age_s,
        }
        await self.run(
            """
            INSERT INTO standings (shard, tick_seq, identities, identities_hash, columns, as_of_us, written_at)
            VALUES (:shard, :tick_seq, :identities, :identities_hash, :columns, :as_of_us,
                    clock_timestamp() - make_interval(secs => CAST(:age_s AS double precision)))
            ON CONFLICT (shard) DO UPDATE SET tick_seq = excluded.tick_seq, identities = excluded.identities,
                identities_hash = excluded.identities_hash, columns = excluded.columns, as_of_us = excluded.as_of_us,
                written_at = excluded.written_at
            """,
            **values,
        )
        await self.run("SELECT pg_notify('upheld_standings', '')")

    async def document(
        self, name: str, *, version: int = 1, kind: str = "Agreement", source: str = "kind: Agreement\n"
    ) -> None:
        """Apply a document, without its consequences."""
        await self.run(
            """
            INSERT INTO documents (kind, name, version, source, spec, in_force_from_us, applied_by)
            VALUES (:kind, :name, :version, :source, CAST(:spec AS jsonb), :from_us, 'alice')
            """,
            kind=kind,
            name=name,
            version=version,
            source=source,
            spec=msgspec.json.encode({"kind": kind, "metadata": {"name": name}}).decode(),
            from_us=AS_OF_US + version,
        )

    async def incident(self, detected_us: int = AS_OF_US, state: str = "open", **changed: Any) -> Incident:
        """Record an incident as opened (and resolved)."""
        about = {"agreement": "checkout-gold", "objective": "availability", "labels": (("region", "eu"),)} | changed
        incident = Incident(
            id=incident_id(about["agreement"], about["objective"], about["labels"], detected_us),
            started_us=detected_us - 70 * SECOND,
            detected_us=detected_us,
            resolved_us=detected_us + 300 * SECOND if state == "resolved" else None,
            **{
                "series_id": 1,
                "service": "checkout",
                "severity": "page",
                "reason": "burning 14.9x over 1h and 16.2x over 5m (contractual)",
                "condition": CONDITION,
                "burn_rates": {"1h": 14.9, "5m": 16.2},
                "budget_remaining": 0.298,
                "notify": ("oncall",),
            }
            | about,
        )
        async with self._engine.begin() as connection:
            await incidents.record(connection, 0, [incidents.Recorded(incident, state, incident.severity)])
            await incidents.add_events(
                connection,
                [incidents.NewEvent(incident.id, 1, "opened", detected_us, {"severity": incident.severity})],
            )
        return incident

    async def run(self, statement: str, **values: Any) -> list[Any]:
        """One statement, committed."""
        async with self._engine.begin() as connection:
            result = await connection.execute(text(statement), values)
            return list(result.all()) if result.returns_rows else []
