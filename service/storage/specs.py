"""What a shard evaluates: a SeriesSpec for each series of the agreements in force, from definitions and admitted groups."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from evaluators import calendars, policies
from evaluators.agreements import Agreement, AlertPolicy, CalendarPeriod, Objective
from evaluators.engine.specs import SeriesSpec
from evaluators.fingerprints import indicator_fingerprint
from evaluators.measures.measuring import Definition
from evaluators.measures.specs import Measure, measure_of
from evaluators.standings import SeriesIdentity
from service.storage.database import reaching
from service.storage.definitions import in_force
from service.storage.documents import StoredDocument, StoredDocuments

_INSTALLATION = text("SELECT slot_us, revision FROM installation")
_SERIES = text(
    """
    SELECT series.id, series.labels, indicators.agreement, indicators.objective, indicators.fingerprint,
           indicators.group_by, indicators.shard
    FROM series JOIN indicators ON indicators.id = series.indicator_id
    WHERE CAST(:shard AS integer) IS NULL OR indicators.shard = :shard
    ORDER BY series.id
    """
)


@dataclass(frozen=True, slots=True)
class Specs:
    """What to evaluate at a tick, by the definitions' `revision`.

    `changes_at_us` is the first event time after the tick from which another version is in force: ask again once a tick
    has reached it. `shard_of` names the shard of every series row, also of those that are not evaluated now.
    """

    revision: int
    specs: tuple[SeriesSpec, ...]
    changes_at_us: int | None
    shard_of: Mapping[int, int]
    measures: Mapping[int, Definition] = field(default_factory=dict[int, Definition])
    """Of the series in `specs`: since when they count, and what is measured of them."""


class SpecsStore:
    """Reads them; each version of a document is read once."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._documents = StoredDocuments()

    async def load(self, shard: int | None, at_us: int | None) -> Specs:
        """Of one shard, or of all (None), at the tick `at_us`; None: by the newest version of each agreement.

        An agreement whose first version is not in force yet counts from when it is. Raises DependencyAway.
        """
        with reaching():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
                found = await self.read(connection, shard, at_us)
                await connection.rollback()
                return found

    async def read(self, connection: AsyncConnection, shard: int | None, at_us: int | None) -> Specs:
        """As `load`, within a transaction of the caller's."""
        installation = (await connection.execute(_INSTALLATION)).one()
        stored = await self._documents.all(connection, ["Agreement", "AlertPolicy"])
        rows = list(await connection.execute(_SERIES, {"shard": shard}))
        chosen = _in_force_at(stored, at_us)
        here = {row.agreement for row in rows}  # the shard's: what the others hold costs nothing
        by_indicator: dict[tuple[str, str, str], list[Any]] = {}
        for row in rows:
            by_indicator.setdefault((row.agreement, row.objective, row.fingerprint), []).append(row)
        known = {
            each.name: each.document
            for versions in chosen
            for each in versions[-1:]
            if isinstance(each.document, AlertPolicy)
        }
        specs = [
            each
            for versions in chosen
            if isinstance(versions[-1].document, Agreement) and versions[-1].name in here
            for each in _specs(versions, known, by_indicator, installation.slot_us)
        ]
        return Specs(
            revision=installation.revision,
            specs=tuple(spec for spec, _ in specs),
            measures={
                spec.identity.series_id: Definition(spec.counts_from_us, spec.counts_until_us, measure)
                for spec, measure in specs
            },
            changes_at_us=_next_change(stored, at_us),
            shard_of={row.id: row.shard for row in rows},
        )


def _in_force_at(stored: Sequence[StoredDocument], at_us: int | None) -> list[list[StoredDocument]]:
    """Of each document its versions up to the one in force at the tick; the first alone where none is yet."""
    found: dict[tuple[str, str], list[StoredDocument]] = {}
    for each, until_us in in_force(stored):
        versions = found.setdefault((each.kind, each.name), [])
        replaced = until_us is not None and until_us <= each.in_force_from_us
        if versions and replaced:
            continue  # never in force: the next came from the same time on
        if not versions or at_us is None or each.in_force_from_us <= at_us:
            versions.append(each)
    return list(found.values())


def _next_change(stored: Sequence[StoredDocument], at_us: int | None) -> int | None:
    if at_us is None:
        return None
    return min((each.in_force_from_us for each in stored if each.in_force_from_us > at_us), default=None)


def _specs(
    versions: Sequence[StoredDocument],
    known: Mapping[str, AlertPolicy],
    rows: Mapping[tuple[str, str, str], Sequence[Any]],
    slot_us: int,
) -> Iterator[tuple[SeriesSpec, Measure | None]]:
    agreement = versions[-1].document
    assert isinstance(agreement, Agreement)
    for objective in agreement.objectives:
        period_us = calendars.nominal_length(objective.period)
        policy, notify = policies.resolve(objective, known, period_us, slot_us=slot_us, notify=agreement.notify)
        counts_from_us = max(begun_us(versions, objective), agreement.effective_from_us)
        measure = measure_of(objective)
        for row in rows.get((agreement.name, objective.name, indicator_fingerprint(objective)), ()):
            spec = SeriesSpec(
                identity=_identity(row, agreement, objective, versions[-1].version),
                period=objective.period,
                policy=policy,
                counts_from_us=counts_from_us,
                counts_until_us=agreement.effective_until_us,
                notify=notify,
                has_exclusions=bool(agreement.exclusions),
            )
            yield spec, measure


def begun_us(versions: Sequence[StoredDocument], objective: Objective) -> int:
    """Since when the objective has counted the same without a break: a new indicator starts its windows anew."""
    fingerprint = indicator_fingerprint(objective)
    begun = versions[-1].in_force_from_us
    for each in reversed(versions):
        agreement = each.document
        assert isinstance(agreement, Agreement)
        then = next((one for one in agreement.objectives if one.name == objective.name), None)
        if then is None or indicator_fingerprint(then) != fingerprint:
            break
        begun = each.in_force_from_us
    return begun


def _identity(row: Any, agreement: Agreement, objective: Objective, version: int) -> SeriesIdentity:
    return SeriesIdentity(
        series_id=row.id,
        agreement=agreement.name,
        objective=objective.name,
        service=objective.service or agreement.service,
        labels=tuple((label, row.labels[label]) for label in row.group_by),
        version=version,
        target=objective.target,
        period_kind="calendar" if isinstance(objective.period, CalendarPeriod) else "rolling",
        runbook=objective.runbook,
    )
