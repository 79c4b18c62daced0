"""Which row of `series` a key counts in: its own while the indicator's bound admits it, else the indicator's `other`.

A group is admitted in the transaction that first counts in it, under the indicator's row lock. What is known is kept
in memory per indicator, bounded by its bound, and only after the transaction that wrote it has committed.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from consumers.ports import SeriesKey

OTHER_KEY = "other"
"""`label_key` of the rest; the keys of groups are JSON arrays or begin with `#`."""
OTHER_VALUE = "other"
KEY_BYTES = 1000  # an index row holds 2,700 bytes; a longer key is stored as its digest
VALUE_CHARACTERS = 200  # of a label's value as people see it

_INDICATORS = text(
    """
    SELECT id, group_by, group_bound FROM indicators WHERE id = ANY(CAST(:ids AS bigint[])) ORDER BY id FOR UPDATE
    """
)
_KNOWN = text("SELECT id, indicator_id, label_key FROM series WHERE indicator_id = ANY(CAST(:ids AS bigint[]))")
_ADMIT = text(
    """
    INSERT INTO series (indicator_id, labels, label_key, is_other)
    SELECT * FROM unnest(CAST(:indicators AS bigint[]), CAST(:labels AS jsonb[]), CAST(:keys AS text[]),
                         CAST(:others AS boolean[]))
    RETURNING id, indicator_id, label_key
    """
)


class UnknownIndicator(LookupError):
    """A key names an indicator that has no row: the definitions are not those of this database."""


@dataclass(slots=True)
class Groups:
    """The groups of one indicator that have a row. `full`: no further one is admitted."""

    ids: dict[str, int] = field(default_factory=dict[str, int])
    full: bool = False

    def find(self, key: str) -> int | None:
        """The row that the key counts in; None: its indicator has to be asked."""
        found = self.ids.get(key)
        return self.ids.get(OTHER_KEY) if found is None and self.full else found

    @property
    def admitted(self) -> int:
        """How many count towards the bound."""
        return len(self.ids) - (OTHER_KEY in self.ids)


Known = dict[int, Groups]

Fresh = dict[tuple[int, str], dict[str, str]]
"""Rows to be made: (indicator, key) -> labels."""


class Admission:
    """Rows of series by key, as of one revision of the definitions. Not for several tasks at once."""

    def __init__(self) -> None:
        self._known: Known = {}
        self._revision: int | None = None

    async def resolve(
        self, connection: AsyncConnection, keys: Collection[SeriesKey], revision: int
    ) -> tuple[dict[SeriesKey, int], Known]:
        """The row of each key, admitting what is new, and what to `keep` once the transaction has committed.

        Raises UnknownIndicator.
        """
        if revision != self._revision:  # a bound may have changed
            self._known, self._revision = {}, revision
        rows, missing = _look_up(keys, self._known)
        if not missing:
            return rows, {}
        learned = await _admit(connection, missing)
        found, lost = _look_up(missing, learned)
        assert not lost, "every missing key was admitted or counts in other"
        return rows | found, learned

    def keep(self, learned: Known) -> None:
        """Remember what a committed transaction learned."""
        self._known.update(learned)

    def forget(self) -> None:
        """Ask the database again for everything."""
        self._known = {}


def label_key(labels: Iterable[str]) -> str:
    """The identity of a group: canonical JSON of its label values, or a digest of that."""
    key = json.dumps(list(labels), separators=(",", ":"), ensure_ascii=True)
    if len(key) <= KEY_BYTES:
        return key
    return "#" + hashlib.blake2b(key.encode(), digest_size=20).hexdigest()


def shown(value: str) -> str:
    """A label's value as it is stored for people: what Postgres cannot hold is replaced, what is long is cut.

    Values that differ stay different: a changed one ends with a digest of the original.
    """
    clean = value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
    if clean == value and len(value) <= VALUE_CHARACTERS:
        return value
    digest = hashlib.blake2b(value.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
    return f"{clean[:VALUE_CHARACTERS]}~{digest}"


def _key(labels: tuple[str, ...]) -> str:
    """A group whose every value is `other` would bear the name of the rest: it counts there."""
    if labels and all(value == OTHER_VALUE for value in labels):
        return OTHER_KEY
    return label_key(labels)


def _look_up(keys: Collection[SeriesKey], known: Mapping[int, Groups]) -> tuple[dict[SeriesKey, int], list[SeriesKey]]:
    rows: dict[SeriesKey, int] = {}
    missing: list[SeriesKey] = []
    for key in keys:
        groups = known.get(key.indicator_id)
        row = None if groups is None else groups.find(_key(key.labels))
        if row is None:
            missing.append(key)
        else:
            rows[key] = row
    return rows, missing


async def _admit(connection: AsyncConnection, missing: Collection[SeriesKey]) -> Known:
    """Everything about the indicators of the missing keys, after a row was made for each that the bound admits."""
    ids = sorted({key.indicator_id for key in missing})
    indicators = {row.id: row for row in await connection.execute(_INDICATORS, {"ids": ids})}
    for absent in set(ids) - indicators.keys():
        raise UnknownIndicator(f"indicator {absent} has no row")
    learned: Known = {indicator: Groups() for indicator in ids}
    for row in await connection.execute(_KNOWN, {"ids": ids}):
        learned[row.indicator_id].ids[row.label_key] = row.id
    fresh = _planned(indicators, learned, missing)
    if fresh:
        await _insert(connection, fresh, learned)
    return learned


def _planned(indicators: Mapping[int, Any], known: Known, missing: Iterable[SeriesKey]) -> Fresh:
    """The rows that have to be made for these keys; `known` is told where no further one is admitted.

    One pass: thousands of groups may come at once, and the transaction is open.
    """
    fresh: Fresh = {}
    room = {owner: row.group_bound - known[owner].admitted for owner, row in indicators.items() if row.group_by}
    for key in missing:
        owner, name = key.indicator_id, _key(key.labels)
        if name in known[owner].ids or (owner, name) in fresh:
            continue
        if name != OTHER_KEY and owner in room:
            if room[owner] > 0:
                room[owner] -= 1
            else:
                known[owner].full, name = True, OTHER_KEY
        if name not in known[owner].ids and (owner, name) not in fresh:
            fresh[owner, name] = _labels(indicators[owner].group_by, key, name)
    return fresh


def _labels(group_by: Sequence[str], key: SeriesKey, name: str) -> dict[str, str]:
    """The labels of a row as people see them."""
    values = (OTHER_VALUE,) * len(group_by) if name == OTHER_KEY else key.labels
    return {label: shown(value) for label, value in zip(group_by, values, strict=True)}


async def _insert(connection: AsyncConnection, fresh: Fresh, learned: Known) -> None:
    made = await connection.execute(
        _ADMIT,
        {
            "indicators": [indicator for indicator, _ in fresh],
            "labels": [json.dumps(labels) for labels in fresh.values()],
            "keys": [name for _, name in fresh],
            "others": [name == OTHER_KEY for _, name in fresh],
        },
    )
    for row in made:
        learned[row.indicator_id].ids[row.label_key] = row.id
