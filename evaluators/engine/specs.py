"""What goes into the engine and what comes out of it, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evaluators.agreements import Period
from evaluators.incidents import Incident, IncidentChange, VerdictChange
from evaluators.policies import ResolvedPolicy
from evaluators.standings import SeriesIdentity


@dataclass(frozen=True, slots=True)
class SeriesSpec:
    """One series (an objective, or one group of it) as its newest definition has it.

    Counts in [counts_from_us, counts_until_us) of event time are the agreement's; None: no end. `has_exclusions` is a
    hint that saves memory where it is False; excluded counts that come nevertheless are counted.
    """

    identity: SeriesIdentity
    period: Period
    policy: ResolvedPolicy
    counts_from_us: int
    counts_until_us: int | None = None
    notify: tuple[str, ...] = ()
    has_exclusions: bool = False


@dataclass(frozen=True, slots=True)
class Restatement:
    """Late data changed what was said of a series since `from_us`.

    `old` and `new` hold verdict, since_us, good, total, contractual_good, contractual_total and incidents (ids). The verdict
    changes of the same Advance are all that hold for the series after `from_us`: they replace what was recorded there.
    """

    series_id: int
    from_us: int
    old: Mapping[str, Any]
    new: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Advance:
    """What one call of `advance` did; changes in order of event time. `open_incidents` are all that are open now."""

    ticks: int
    incidents: tuple[IncidentChange, ...] = ()
    verdicts: tuple[VerdictChange, ...] = ()
    restated: tuple[Restatement, ...] = ()
    open_incidents: tuple[Incident, ...] = ()
