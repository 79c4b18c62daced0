"""From the standings of an agreement's objectives to whether it is kept. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from evaluators.moments import rfc3339
from evaluators.standings import DATA_STATES, VERDICTS, Standing, Verdict
from service.api.compliance.models import ComplianceItem, VerdictCounts
from service.storage.standings import Standings

NOT_EVALUATED = "not evaluated yet"


def worst_row(standings: Standings, rows: range) -> int:
    """The row with the worst verdict; among equals the one with the least budget left, then the first."""
    part = slice(rows.start, rows.stop)
    left = np.nan_to_num(standings.contractual_remaining[part], nan=np.inf)
    order = np.lexsort((left, -standings.column("verdict")[part].astype(np.int64)))
    return rows.start + int(order[0])


def items(standings: Standings, agreements: Sequence[str]) -> list[ComplianceItem]:
    """An item for each agreement, evaluated or not."""
    rows = {name: standings.order.of(name) for name in agreements}
    evaluated = [name for name in agreements if rows[name]]
    worst = dict(zip(evaluated, standings.rows([worst_row(standings, rows[name]) for name in evaluated]), strict=True))
    return [_item(standings, name, rows[name], worst) for name in agreements]


def _item(standings: Standings, name: str, rows: range, worst: Mapping[str, Standing]) -> ComplianceItem:
    part = slice(rows.start, rows.stop)
    verdicts = standings.column("verdict")[part]
    counts = {verdict.value: int((verdicts == index).sum()) for index, verdict in enumerate(VERDICTS)}
    objectives = VerdictCounts(uncounted=int((verdicts < 0).sum()), **counts)
    standing = worst.get(name)
    if standing is None:
        return ComplianceItem(
            agreement=name,
            compliant=None,
            verdict=None,
            data=None,
            worst_objective=None,
            group={},
            reason=NOT_EVALUATED,
            as_of=None,
            objectives=objectives,
        )
    return ComplianceItem(
        agreement=name,
        compliant=None if standing.verdict is None else standing.verdict is not Verdict.BREACHED,
        verdict=standing.verdict,
        data=DATA_STATES[int(standings.column("data")[part].max())],
        worst_objective=standing.identity.objective,
        group=standing.identity.group,
        reason=standing.reason,
        as_of=rfc3339(standing.as_of_us),
        objectives=objectives,
    )
