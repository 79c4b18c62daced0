"""The documents as values: agreements, alert policies, notification targets.

`evaluators.documents` reads them from YAML; everything else in the project sees only these classes. Times are int
microseconds since the epoch (UTC), durations are int microseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from evaluators.selectors import Selector

Severity = Literal["page", "ticket"]
View = Literal["contractual", "experienced"]
Comparison = Literal["lt", "lte", "gt", "gte"]
CalendarUnit = Literal["day", "week", "month", "quarter", "year"]


class AgreementType(StrEnum):
    """SLA with a customer, OLA between internal teams, UC with a supplier."""

    SLA = "SLA"
    OLA = "OLA"
    UC = "UC"


@dataclass(frozen=True, slots=True)
class Party:
    """Provider or customer."""

    name: str
    contact: str | None = None


@dataclass(frozen=True, slots=True)
class RatioIndicator:
    """Share of good among total; exactly one of `good` and `bad` is given."""

    total: Selector
    good: Selector | None = None
    bad: Selector | None = None


@dataclass(frozen=True, slots=True)
class ThresholdIndicator:
    """A sample is good when `value op bound` holds."""

    metric: Selector
    op: Comparison
    bound: float


@dataclass(frozen=True, slots=True)
class HistogramIndicator:
    """Share of what a histogram counts at or under `bound`; `metric` is the histogram's own name, without `_bucket`."""

    metric: Selector
    bound: float


@dataclass(frozen=True, slots=True)
class QuantileIndicator:
    """A slice of time is good when its `q`-quantile (0 to 1) satisfies `quantile op bound`."""

    metric: Selector
    q: float
    op: Comparison
    bound: float
    window_us: int


Quorum = Literal["any", "majority", "all"]


@dataclass(frozen=True, slots=True)
class UptimeIndicator:
    """Share of known time that was up. A probe's state holds until its next one, at most `stale_after_us`, then it is
    unknown. With several probes (series of `state`), it is up when `quorum` of those that are known say so.
    """

    state: Selector
    stale_after_us: int
    quorum: Quorum = "majority"


@dataclass(frozen=True, slots=True)
class ThroughputIndicator:
    """A slice of time is good when `occurrences per second op per_second` holds."""

    metric: Selector
    op: Comparison
    per_second: float
    window_us: int


@dataclass(frozen=True, slots=True)
class FreshnessIndicator:
    """Share of time, since the first sample, in which the newest sample was at most `max_gap_us` old."""

    metric: Selector
    max_gap_us: int


@dataclass(frozen=True, slots=True)
class ResponseIndicator:
    """Of the pairs that the label `key` joins: share closed within a time since opened, pauses left out."""

    opened: Selector
    closed: Selector
    key: str
    op: Literal["lt", "lte"]
    within_us: int
    paused: Selector | None = None
    resumed: Selector | None = None


Indicator = (
    RatioIndicator
    | ThresholdIndicator
    | HistogramIndicator
    | QuantileIndicator
    | UptimeIndicator
    | ThroughputIndicator
    | FreshnessIndicator
    | ResponseIndicator
)


EmptySlices = Literal["ignored", "good", "bad"]
"""What a slice of time in which nothing was counted is, between the first sample and the tick."""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """The budget counts occurrences (or time, where the indicator measures time)."""


@dataclass(frozen=True, slots=True)
class Timeslices:
    """The budget counts slices of time; one is good when its share of good is `target` or more (OpenSLO)."""

    target: float
    window_us: int
    empty: EmptySlices = "ignored"


@dataclass(frozen=True, slots=True)
class RatioTimeslices:
    """The budget counts slices of time, each by its share of good (OpenSLO): all weigh the same, busy or not."""

    window_us: int
    empty: EmptySlices = "ignored"


Budgeting = Occurrences | Timeslices | RatioTimeslices


@dataclass(frozen=True, slots=True)
class RollingPeriod:
    """The last `length_us` before the tick."""

    length_us: int


@dataclass(frozen=True, slots=True)
class CalendarPeriod:
    """The calendar unit around the tick, in the agreement's time zone (an IANA name)."""

    unit: CalendarUnit
    time_zone: str


Period = RollingPeriod | CalendarPeriod


@dataclass(frozen=True, slots=True)
class BurnRateCondition:
    """Both windows burn at `factor` or above. The factor is relative to the budget (1 - target)."""

    long_us: int
    short_us: int
    factor: float
    severity: Severity
    view: View = "contractual"


@dataclass(frozen=True, slots=True)
class BudgetShareCondition:
    """A burn-rate condition written by the share of the period's budget that `long_us` may spend at most.

    Its factor depends on the objective's period, so it stands in policies only; `policies.resolve` turns it into a
    BurnRateCondition.
    """

    long_us: int
    short_us: int
    share: float
    severity: Severity
    view: View = "contractual"


@dataclass(frozen=True, slots=True)
class SilentCondition:
    """No sample counted for `after_us` of event time."""

    after_us: int
    severity: Severity


@dataclass(frozen=True, slots=True)
class BudgetRemainingCondition:
    """The share of budget left is below `below`."""

    below: float
    severity: Severity
    view: View = "contractual"


@dataclass(frozen=True, slots=True)
class ExhaustionCondition:
    """The forecast says that the budget will be gone within `within_us`."""

    within_us: int
    severity: Severity
    view: View = "contractual"


Condition = BurnRateCondition | SilentCondition | BudgetRemainingCondition | ExhaustionCondition


@dataclass(frozen=True, slots=True)
class Minimum:
    """Low-traffic gate of burn-rate conditions, on their long window."""

    events: int = 100
    failures: int = 5


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """Any condition fires; `notify` None means the agreement's own targets."""

    name: str
    conditions: tuple[Condition | BudgetShareCondition, ...]
    minimum: Minimum = field(default_factory=Minimum)
    notify: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Objective:
    """A target over a period. `alerts` names policies; ("burn-rate",) is the built-in default."""

    name: str
    indicator: Indicator
    target: float
    period: Period
    service: str | None
    group_by: tuple[str, ...] = ()
    group_bound: int = 1000
    alerts: tuple[str, ...] = ("burn-rate",)
    runbook: str | None = None
    display_name: str | None = None
    budgeting: Budgeting = Occurrences()


@dataclass(frozen=True, slots=True)
class LabelExclusion:
    """Samples that match do not count in the contractual view (neither good nor total)."""

    name: str
    cause: str
    where: Selector


@dataclass(frozen=True, slots=True)
class Agreement:
    """One version of one agreement document. `effective_until_us` None: open end."""

    name: str
    display_name: str
    type: AgreementType
    provider: Party
    customer: Party
    effective_from_us: int
    effective_until_us: int | None
    time_zone: str
    objectives: tuple[Objective, ...]
    notify: tuple[str, ...]
    exclusions: tuple[LabelExclusion, ...] = ()
    service: str | None = None
    description: str | None = None


TargetType = Literal["webhook", "alertmanager"]


@dataclass(frozen=True, slots=True)
class NotificationTarget:
    """Where pages go. `secret_env` names the environment variable that holds the signing secret."""

    name: str
    type: TargetType
    url: str
    secret_env: str | None = None


Document = Agreement | AlertPolicy | NotificationTarget
