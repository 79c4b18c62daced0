"""What is promised: documents put in force, and what ingest matches by. Implements `consumers.ports.DefinitionsSource`.

`apply` locks the installation's row FOR UPDATE, and ingest locks it FOR SHARE while it commits: a sample is matched by
the definition that is in force at its event time, or its span is read again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final, cast

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from consumers.errors import LedgerUnavailable
from consumers.ports import Definitions, MatchRule
from evaluators.agreements import Agreement, AlertPolicy, Document, NotificationTarget, Objective
from evaluators.documents import Known, Problem, Sourced, check, kind_of
from evaluators.fingerprints import indicator_fingerprint
from evaluators.moments import rfc3339
from service.errors import CheckFailed
from service.storage.admission import label_key
from service.storage.database import cause, is_away, reaching
from service.storage.documents import SourcedDocument, StoredDocument, StoredDocuments, canonical, newest_rows, storable

CHANNEL: Final = "upheld_definitions"

_INSTALLATION = "SELECT slot_us, shards, revision FROM installation"
_LOCK_INSTALLATION = text(f"{_INSTALLATION} FOR UPDATE")
_READ_INSTALLATION = text(_INSTALLATION)
_NEWEST_EVENT = text("SELECT max(max_event_us) FROM partition_offsets")
_INSERT_DOCUMENT = text(
    """
    INSERT INTO documents (kind, name, version, source, spec, in_force_from_us, applied_by)
    VALUES (:kind, :name, :version, :source, CAST(:spec AS jsonb), :in_force_from_us, :applied_by)
    """
)
_UPSERT_INDICATOR = text(
    """
    INSERT INTO indicators (agreement, objective, fingerprint, group_by, group_bound, shard)
    VALUES (:agreement, :objective, :fingerprint, CAST(:group_by AS text[]), :group_bound, :shard)
    ON CONFLICT (agreement, objective, fingerprint) DO UPDATE SET group_bound = excluded.group_bound
    RETURNING id
    """
)
_INSERT_UNGROUPED = text(
    """
    INSERT INTO series (indicator_id, labels, label_key) VALUES (:indicator_id, '{}', :label_key)
    ON CONFLICT (indicator_id, label_key) DO NOTHING
    """
)
_BUMP_REVISION = text(
    """
    WITH bumped AS (UPDATE installation SET revision = revision + 1)
    SELECT pg_notify('upheld_definitions', '')
    """
)
_INDICATORS = text("SELECT id, agreement, objective, fingerprint, group_by FROM indicators")


@dataclass(frozen=True, slots=True)
class Applied:
    """What became of one document. `from_us`: since when `version` is in force; `note`: what people should know."""

    kind: str
    name: str
    version: int
    changed: bool
    from_us: int
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Moment:
    """When an `apply` happens: the slot length, the default start, and the newest event that was read."""

    slot_us: int
    default_us: int
    newest_event_us: int | None
    asked_us: int | None

    @property
    def from_us(self) -> int:
        """Start of what is applied, on a slot's edge: a slot is counted by one version."""
        return self.default_us if self.asked_us is None else -(-self.asked_us // self.slot_us) * self.slot_us


class InvalidDefinitions(CheckFailed):
    """Documents that cannot be put in force beside those that are; `problems` holds every reason."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = tuple(problems)


class DefinitionsStore:
    """Documents, versions and what follows from them."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._documents = StoredDocuments()

    async def apply(
        self, documents: Sequence[SourcedDocument], *, by: str, from_us: int | None, now_us: int
    ) -> list[Applied]:
        """Put them in force, all or none, and say of each what was done; one that says the same makes no new version.

        Without `from_us` they are in force from the first slot after now and after every event that was read. Raises
        InvalidDefinitions, CheckFailed, DependencyAway.
        """
        _refuse_unusable(documents)
        with reaching():
            async with self._engine.begin() as connection:
                installation = (await connection.execute(_LOCK_INSTALLATION)).one()
                newest = {(row.kind, row.name): row for row in await newest_rows(connection)}
                changed = {_identity(each): each for each in documents if _changes(each, newest.get(_identity(each)))}
                await self._refuse_invalid(changed, newest)
                moment = await _moment(connection, installation.slot_us, from_us, now_us)
                done: list[Applied] = []
                for each in documents:
                    before = newest.get(_identity(each))
                    if _identity(each) in changed:
                        done.append(await _store(connection, each, before, moment, by, installation.shards))
                    else:
                        done.append(_unchanged(before))
                if changed:
                    await connection.execute(_BUMP_REVISION)
                return done

    async def load(self) -> Definitions:
        """What ingest matches by, as of one revision. Raises LedgerUnavailable, UnreadableDocument."""
        with _unavailable():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")  # one snapshot
                installation = (await connection.execute(_READ_INSTALLATION)).one()
                stored = await self._documents.all(connection, ["Agreement"])
                indicators = {
                    (row.agreement, row.objective, row.fingerprint): row
                    for row in await connection.execute(_INDICATORS)
                }
                await connection.rollback()
        return Definitions(installation.revision, installation.slot_us, tuple(_rules(stored, indicators)))

    async def agreements(self) -> list[StoredDocument]:
        """The newest version of each agreement, by name. Raises DependencyAway."""
        return await self._newest("Agreement")

    async def versions(self, name: str, kind: str = "Agreement") -> list[StoredDocument]:
        """Every version of one document, oldest first. Raises DependencyAway."""
        with reaching():
            async with self._engine.begin() as connection:
                return await self._documents.versions(connection, kind, name)

    async def documents(self) -> list[StoredDocument]:
        """The newest version of every document, by kind and name. Raises DependencyAway."""
        with reaching():
            async with self._engine.begin() as connection:
                return await self._documents.newest(connection)

    async def policies(self) -> dict[str, AlertPolicy]:
        """The newest version of each alert policy. Raises DependencyAway."""
        newest = [each.document for each in await self._newest("AlertPolicy")]
        return {each.name: each for each in newest if isinstance(each, AlertPolicy)}

    async def targets(self) -> dict[str, NotificationTarget]:
        """The newest version of each notification target. Raises DependencyAway."""
        newest = [each.document for each in await self._newest("NotificationTarget")]
        return {each.name: each for each in newest if isinstance(each, NotificationTarget)}

    async def _refuse_invalid(
        self, changed: Mapping[tuple[str, str], SourcedDocument], newest: Mapping[tuple[str, str], Any]
    ) -> None:
        """Check what changes beside all that stays, and a changed policy under the agreements that use it."""
        policy_changes = any(isinstance(each.document, AlertPolicy) for each in changed.values())
        staying = await self._documents.read(
            row
            for identity, row in newest.items()
            if identity not in changed and (row.kind != "Agreement" or policy_changes)
        )
        known = Known(
            policies={each.name: each.document for each in staying if isinstance(each.document, AlertPolicy)},
            targets=frozenset(each.name for each in staying if isinstance(each.document, NotificationTarget)),
        )
        asked = [_sourced(each) for each in changed.values()]
        asked += [_sourced(each) for each in staying if isinstance(each.document, Agreement)]
        problems = [problem for problem in check(asked, known) if problem.level == "error"]
        if problems:
            raise InvalidDefinitions(problems)

    async def _newest(self, kind: str) -> list[StoredDocument]:
        with reaching():
            async with self._engine.begin() as connection:
                return await self._documents.newest(connection, [kind])


def shard_of(agreement: str, shards: int) -> int:
    """The shard of an agreement, for ever: all its objectives are evaluated together."""
    digest = hashlib.blake2b(agreement.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % shards


def _identity(each: SourcedDocument) -> tuple[str, str]:
    return kind_of(each.document), each.document.name


def _changes(each: SourcedDocument, before: Any) -> bool:
    return before is None or canonical(each.spec) != canonical(before.spec)


def _refuse_unusable(documents: Sequence[SourcedDocument]) -> None:
    seen: set[tuple[str, str]] = set()
    for each in documents:
        kind, name = _identity(each)
        if (kind, name) in seen:
            raise CheckFailed(f"{kind} {name} is there twice: keep one")
        seen.add((kind, name))
        if not storable(each.spec) or not storable(each.source):
            raise CheckFailed(f"{kind} {name} holds a character that cannot be stored (NUL or half a surrogate pair)")


def _sourced(each: SourcedDocument) -> Sourced[Document]:
    """For `check`, which names file and line: of what is stored already, kind and name."""
    if isinstance(each, Sourced):
        return cast("Sourced[Document]", each)
    kind, name = _identity(each)
    return Sourced(each.document, each.source, each.spec, f"{kind} {name}", 1)


async def _moment(connection: AsyncConnection, slot_us: int, asked_us: int | None, now_us: int) -> _Moment:
    newest_event_us = (await connection.execute(_NEWEST_EVENT)).scalar_one()
    last = max(now_us, newest_event_us if newest_event_us is not None else now_us)
    return _Moment(slot_us, (last // slot_us + 1) * slot_us, newest_event_us, asked_us)


async def _store(
    connection: AsyncConnection,
    each: SourcedDocument,
    before: Any,
    moment: _Moment,
    by: str,
    shards: int,
) -> Applied:
    """Write the next version of one document, and the rows that its objectives count in."""
    kind, name = _identity(each)
    if before is not None and moment.from_us < before.in_force_from_us:
        raise CheckFailed(
            f"{kind} {name}: version {before.version} is in force from {rfc3339(before.in_force_from_us)}; "
            f"the next cannot be from {rfc3339(moment.from_us)}: name that time or a later one"
        )
    version = 1 if before is None else before.version + 1
    await connection.execute(
        _INSERT_DOCUMENT,
        {
            "kind": kind,
            "name": name,
            "version": version,
            "source": each.source,
            "spec": canonical(each.spec),
            "in_force_from_us": moment.from_us,
            "applied_by": by,
        },
    )
    if isinstance(each.document, Agreement):
        for objective in each.document.objectives:
            await _prepare(connection, name, objective, shard_of(name, shards))
    return Applied(kind, name, version, changed=True, from_us=moment.from_us, note=_note(kind, moment))


def _note(kind: str, moment: _Moment) -> str | None:
    newest = moment.newest_event_us
    if kind != "Agreement" or newest is None or newest < moment.from_us:
        return None
    return (
        f"events up to {rfc3339(newest)} have been read already: those since {rfc3339(moment.from_us)} are not "
        "counted again"
    )


async def _prepare(connection: AsyncConnection, agreement: str, objective: Objective, shard: int) -> None:
    """The row that an objective's slots belong to, and its series where it has no groups."""
    indicator = await connection.execute(
        _UPSERT_INDICATOR,
        {
            "agreement": agreement,
            "objective": objective.name,
            "fingerprint": indicator_fingerprint(objective),
            "group_by": list(objective.group_by),
            "group_bound": objective.group_bound,
            "shard": shard,
        },
    )
    if not objective.group_by:
        await connection.execute(
            _INSERT_UNGROUPED, {"indicator_id": indicator.scalar_one(), "label_key": label_key(())}
        )


def _unchanged(before: Any) -> Applied:
    return Applied(before.kind, before.name, before.version, changed=False, from_us=before.in_force_from_us)


def _rules(stored: Iterable[StoredDocument], indicators: Mapping[tuple[str, str, str], Any]) -> list[MatchRule]:
    """A rule per objective and version; versions that count alike are one rule over both spans."""
    rules: dict[tuple[int, int], MatchRule] = {}  # (indicator, end of the span) -> rule
    for each, until_us in in_force(stored):
        agreement = each.document
        if not isinstance(agreement, Agreement):
            continue
        start = max(each.in_force_from_us, agreement.effective_from_us)
        ends = [end for end in (until_us, agreement.effective_until_us) if end is not None]
        end = min(ends, default=None)
        if end is not None and end <= start:
            continue
        for objective in agreement.objectives:
            row = indicators[agreement.name, objective.name, indicator_fingerprint(objective)]
            rule = MatchRule(
                indicator_id=row.id,
                agreement=agreement.name,
                objective=objective.name,
                from_us=start,
                until_us=end,
                indicator=objective.indicator,
                group_by=tuple(row.group_by),  # in the order of the row: label keys are in that order
                exclusions=agreement.exclusions,
            )
            before = rules.get((row.id, start))
            if before is not None and before.exclusions == rule.exclusions:
                del rules[row.id, start]
                rule = replace(rule, from_us=before.from_us)
            rules[row.id, -1 if end is None else end] = rule
    return list(rules.values())


def in_force(stored: Iterable[StoredDocument]) -> list[tuple[StoredDocument, int | None]]:
    """Each version with the end of its time in force; ordered by kind, name and version as they come."""
    found = list(stored)
    following = [*found[1:], None][: len(found)]
    return [
        (
            each,
            after.in_force_from_us
            if after is not None and (after.kind, after.name) == (each.kind, each.name)
            else None,
        )
        for each, after in zip(found, following, strict=True)
    ]


@contextmanager
def _unavailable() -> Generator[None]:
    try:
        yield
    except Exception as error:
        if is_away(error):
            raise LedgerUnavailable(f"the definitions could not be loaded: {cause(error)}") from error
        raise
