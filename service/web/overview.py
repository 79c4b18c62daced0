"""What the overview shows: a headline of counts, and agreements with their objectives, groups folded where many."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from evaluators.standings import DataState, Standing, Verdict
from service.web import figures, wording
from service.web.ports import AppliedAgreement, StandingsNow

FOLD_BEYOND: Final = 5
"""An objective of more groups than this shows only those that need a look, and the worst of the others."""
LEAST_SHOWN: Final = 3
MOST_UNFOLDED: Final = 8
MOST_ROWS: Final = 400
"""Beyond this a page is no longer read but searched; the rest is found by its filters."""
VERDICT_NAMES: Final = ("breached", "at_risk", "met", "none")

_RANK: Final[Mapping[Verdict | None, int]] = {Verdict.BREACHED: 0, Verdict.AT_RISK: 1, None: 2, Verdict.MET: 3}


@dataclass(frozen=True, slots=True)
class Filters:
    """What a reader narrowed the page to; `opened` holds `agreement/objective` of folds that they opened."""

    text: str = ""
    verdict: str = ""
    agreement: str = ""
    opened: frozenset[str] = frozenset()

    @property
    def narrowed(self) -> bool:
        return bool(self.text or self.verdict or self.agreement)

    def match(self, row: Standing, agreement_title: str) -> bool:
        """Every word of the text occurs in the row's names, and verdict and agreement are the ones asked for."""
        identity = row.identity
        if self.agreement and identity.agreement != self.agreement:
            return False
        if self.verdict and verdict_name(row.verdict) != self.verdict:
            return False
        searched = search_text(row, agreement_title)
        return all(word in searched for word in self.text.lower().split())

    def url(self, *, verdict: str | None = None, opened: str | None = None) -> str:
        """The overview with one thing changed."""
        folds = self.opened if opened is None else self.opened ^ {opened}
        return figures.overview_url(
            q=self.text,
            agreement=self.agreement,
            verdict=self.verdict if verdict is None else verdict,
            open=" ".join(sorted(folds)),
        )


@dataclass(frozen=True, slots=True)
class Fold:
    """The groups of an objective that are not shown, or the way to fold them again."""

    key: str
    count: int
    words: str
    opened: bool


@dataclass(frozen=True, slots=True)
class ObjectiveRows:
    """One objective: a single row, or a head with its groups under it."""

    objective: str
    rows: tuple[Standing, ...]
    grouped: bool
    groups: int
    worst: Verdict | None
    words: str
    fold: Fold | None


@dataclass(frozen=True, slots=True)
class Section:
    """One agreement. `applied` None: its document is not there, its numbers still are."""

    name: str
    title: str
    applied: AppliedAgreement | None
    worst: Verdict | None
    objectives: tuple[ObjectiveRows, ...]


@dataclass(frozen=True, slots=True)
class Overview:
    sections: tuple[Section, ...]
    counts: Mapping[str, int]
    silent: int
    blind: int
    shown: int
    left_out: int
    headline: str


def verdict_name(verdict: Verdict | None) -> str:
    return verdict.value if verdict else "none"


def search_text(row: Standing, agreement_title: str) -> str:
    identity = row.identity
    names = (agreement_title, identity.agreement, identity.objective, identity.service or "")
    return " ".join((*names, figures.group_label(identity.labels), row.data.value)).lower()


def overview(now: StandingsNow, agreements: Sequence[AppliedAgreement], filters: Filters) -> Overview:
    """Arranges the standings; the headline always counts all of them, whatever the filters hide."""
    applied = {one.agreement.name: one for one in agreements}
    counts = Counter(verdict_name(row.verdict) for row in now.rows)
    data = Counter(row.data for row in now.rows)
    matching: dict[str, list[Standing]] = {}
    for row in now.rows:
        if filters.match(row, _title(row.identity.agreement, applied)):
            matching.setdefault(row.identity.agreement, []).append(row)
    sections: list[Section] = []
    room = MOST_ROWS
    for name in sorted(matching):
        section = _section(name, matching[name], applied, filters, room)
        room -= sum(len(objective.rows) for objective in section.objectives)
        sections.append(section)
        if room <= 0:
            break
    placed = {section.name for section in sections}
    return Overview(
        tuple(sections),
        {name: counts[name] for name in VERDICT_NAMES},
        data[DataState.SILENT],
        data[DataState.BLIND],
        sum(len(matching[name]) for name in placed),
        sum(len(rows) for name, rows in matching.items() if name not in placed),
        headline(counts),
    )


def headline(counts: Mapping[str, int]) -> str:
    """`1 breached, 2 at risk, 14 met`."""
    parts = [f"{counts[name]:,} {wording.IN_A_COUNT[name]}" for name in VERDICT_NAMES if counts.get(name)]
    return ", ".join(parts) or "Nothing counted yet"


def worst_first(rows: Iterable[Standing]) -> list[Standing]:
    """Breached, at risk, without verdict, met; within each the least budget first, then by group."""
    return sorted(rows, key=_need)


def worst(rows: Iterable[Standing]) -> Verdict | None:
    return min((row.verdict for row in rows), key=lambda verdict: _RANK[verdict], default=None)


def _need(row: Standing) -> tuple[int, float, tuple[tuple[str, str], ...]]:
    left = row.contractual.budget_remaining
    return _RANK[row.verdict], 1.0 if left is None else left, row.identity.labels


def _title(name: str, applied: Mapping[str, AppliedAgreement]) -> str:
    return applied[name].agreement.display_name if name in applied else name


def _section(
    name: str, rows: Sequence[Standing], applied: Mapping[str, AppliedAgreement], filters: Filters, room: int
) -> Section:
    document = applied.get(name)
    objectives = tuple(_objectives(name, rows, document, filters, room))
    return Section(name, _title(name, applied), document, worst(rows), objectives)


def _objectives(
    agreement: str, rows: Sequence[Standing], document: AppliedAgreement | None, filters: Filters, room: int
) -> Iterator[ObjectiveRows]:
    by_name: dict[str, list[Standing]] = {}
    for row in rows:
        by_name.setdefault(row.identity.objective, []).append(row)
    written = [objective.name for objective in document.agreement.objectives] if document else []
    places = {name: place for place, name in enumerate(written)}
    for name in sorted(by_name, key=lambda name: (places.get(name, len(places)), name)):
        objective = _objective(agreement, name, by_name[name], filters, max(room, LEAST_SHOWN))
        room -= len(objective.rows)
        yield objective


def _objective(agreement: str, name: str, rows: Sequence[Standing], filters: Filters, room: int) -> ObjectiveRows:
    grouped = any(row.identity.labels for row in rows)
    key = f"{agreement}/{name}"
    opened = key in filters.opened or bool(filters.text)
    by_group = sorted(rows, key=lambda row: row.identity.labels)
    shown, fold = by_group, None
    if len(rows) > FOLD_BEYOND:
        shown = worst_first(rows)[: min(room, len(rows) if opened else _how_many(rows))]
        seen = {row.identity.series_id for row in shown}
        hidden = [row for row in rows if row.identity.series_id not in seen]
        if hidden or key in filters.opened:
            fold = Fold(key, len(hidden), count_words(hidden), opened=not hidden)
    return ObjectiveRows(name, tuple(shown), grouped, len(rows), worst(rows), count_words(rows), fold)


def _how_many(rows: Sequence[Standing]) -> int:
    needy = sum(row.verdict is not Verdict.MET or row.data is not DataState.LIVE for row in rows)
    return max(LEAST_SHOWN, min(needy, MOST_UNFOLDED))


def count_words(rows: Iterable[Standing]) -> str:
    counts = Counter(verdict_name(row.verdict) for row in rows)
    return headline(counts) if counts else ""
