"""What the counts say at each tick: budgets, burn rates, conditions, verdicts; and the numbers behind any one of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from evaluators.agreements import (
    BudgetRemainingCondition,
    BurnRateCondition,
    CalendarPeriod,
    Condition,
    ExhaustionCondition,
    SilentCondition,
)
from evaluators.engine.budgets import (
    CLOSE,
    Bools,
    Budget,
    Course,
    Float64s,
    budget,
    burning,
    enough,
    gone_after,
)
from evaluators.engine.conditions import (
    BREACH_BIT,
    CONDITION_SHIFT,
    FORECAST_WINDOW,
    RETIRED_BIT,
    SILENT_BIT,
    Plan,
)
from evaluators.engine.timeline import NEVER, Counted, live_for
from evaluators.slots import Int64s
from evaluators.standings import Verdict

CONTRACTUAL, EXPERIENCED = 0, 1
ENDLESS: Final = 1 << 62
_NO_VERDICT, _MET, _AT_RISK, _BREACHED = range(4)
VERDICT_OF: Final = (None, Verdict.MET, Verdict.AT_RISK, Verdict.BREACHED)


@dataclass(frozen=True, slots=True)
class Terms:
    """What is agreed for the series of a block, arrays of [series].

    `retires_after_us`: how long after its last sample a group is no longer spoken of; ENDLESS for what is no group.
    """

    budgets: Float64s
    born_us: Int64s
    watched_from_us: Int64s
    counts_from_us: Int64s
    counts_until_us: Int64s
    retires_after_us: Int64s

    def take(self, columns: Int64s) -> Terms:
        return Terms(
            self.budgets[columns],
            self.born_us[columns],
            self.watched_from_us[columns],
            self.counts_from_us[columns],
            self.counts_until_us[columns],
            self.retires_after_us[columns],
        )


@dataclass(slots=True)
class Judgement:
    """Lazily computed, once each; `codes` [ticks, series] say what changed (see conditions).

    `hold_from_us`: from this tick on somebody's data is missing. What is silent then may be what we do not see, so no
    silence grows any longer; one that was long enough before stays.
    """

    plan: Plan
    counted: Counted
    terms: Terms
    slot_us: int
    hold_from_us: int | None = None
    held_back: Bools | None = None  # set by `codes`: the low-traffic gate alone keeps a condition from holding
    _budgets: dict[int, Budget] = field(default_factory=dict[int, Budget])

    @property
    def views(self) -> tuple[int, ...]:
        """Without exclusions both views are the same."""
        return (CONTRACTUAL, EXPERIENCED) if len(self.counted.period) == 4 else (CONTRACTUAL,)

    def counts(self, sums: Int64s, view: int) -> tuple[Int64s, Int64s]:
        """Failures and total of one view from sums of shape [kinds, ...]."""
        if len(sums) == 4 and view == CONTRACTUAL:
            return sums[0] - sums[2], sums[1] - sums[3]
        return sums[0], sums[1]

    def window(self, place: int, view: int) -> tuple[Int64s, Int64s]:
        return self.counts(self.counted.windows[place], view)

    def budget(self, view: int) -> Budget:
        """Of the period, at each tick."""
        view = view if view in self.views else CONTRACTUAL
        if view not in self._budgets:
            failures, total = self.counts(self.counted.period, view)
            previous = None if self.counted.previous is None else self.counts(self.counted.previous, view)[1]
            terms = self.terms
            self._budgets[view] = budget(
                self.counted,
                terms.born_us,
                terms.budgets,
                self.plan.period,
                failures,
                total,
                previous,
                self._more(view, total) if self.counted.earlier else 0.0,
            )
        return self._budgets[view]

    def codes(self) -> Int64s:
        """Verdict, data state and what holds, in one number for each tick and series."""
        ticks = self.counted.ticks[:, None]
        terms = self.terms
        quiet_us = self._seen_until(ticks) - self.counted.last_us
        ours = (ticks > terms.counts_from_us) & (ticks - self.slot_us < terms.counts_until_us)
        held = np.zeros(quiet_us.shape, dtype=np.int64)
        self.held_back = np.zeros(quiet_us.shape, dtype=np.bool_)
        at_risk = np.zeros(quiet_us.shape, dtype=np.bool_)
        for place, condition in enumerate(self.plan.conditions):
            holds = self._holds(condition, ticks)
            held |= holds.astype(np.int64) << (place + CONDITION_SHIFT)
            if not isinstance(condition, SilentCondition):
                at_risk |= holds
        promise = self.budget(CONTRACTUAL)
        at_risk |= promise.gone | self._short_of_time()
        verdict = np.where(promise.breached, _BREACHED, np.where(at_risk, _AT_RISK, _MET))
        verdict = np.where(promise.counted & ours, verdict, _NO_VERDICT)
        held |= np.where(promise.breached, BREACH_BIT, 0)
        held[~ours] = 0
        self.held_back &= ours
        silent = np.where(quiet_us >= live_for(self.slot_us), SILENT_BIT, 0)
        codes = held | verdict | silent
        if (terms.retires_after_us < ENDLESS).any():
            gone = (quiet_us >= terms.retires_after_us) & ~never(self.counted.last_us)
            codes[gone] = RETIRED_BIT | SILENT_BIT
        return codes

    def gone_at(self, view: int, at: tuple[Int64s, Int64s]) -> Int64s:
        """When the budget will be gone at the 6 h burn, for points (ticks, series); -1: not within the period."""
        out = np.full(len(at[0]), -1, dtype=np.int64)
        risky = np.flatnonzero(self._burns_away(view)[at])
        if not len(risky):
            return out
        points = (at[0][risky], at[1][risky])
        after = self._gone_after(view, points)
        until = self.counted.ticks[points[0]] + np.where(np.isfinite(after), after, 0).astype(np.int64)
        within = np.isfinite(after) & (until <= self._horizon(points[0]))
        out[risky] = np.where(within, until, -1)
        return out

    # ------------------------------------------------------------------------------------------------------- inside

    def _holds(self, condition: Condition, ticks: Int64s) -> Bools:
        match condition:
            case BurnRateCondition():
                return self._burns(condition)
            case SilentCondition():
                heard = np.maximum(self.counted.last_us, self.terms.watched_from_us)
                return self._seen_until(ticks) - heard >= condition.after_us
            case BudgetRemainingCondition():
                promise = self.budget(view_of(condition))
                return promise.counted & (promise.allowed - promise.spent < condition.below * promise.allowed)
            case _:
                return self._exhausts(condition)

    def _seen_until(self, ticks: Int64s) -> Int64s:
        return ticks if self.hold_from_us is None else np.minimum(ticks, self.hold_from_us)

    def _burns(self, condition: BurnRateCondition) -> Bools:
        view = view_of(condition)
        rate = condition.factor * self.terms.budgets
        failures, total = self.window(self.plan.place(condition.long_us, self.slot_us), view)
        over = burning(failures, total, rate)
        if not over.any():
            return over
        over &= burning(*self.window(self.plan.place(condition.short_us, self.slot_us), view), rate)
        minimum = self.plan.minimum
        passed = enough(failures, total, rate, minimum.events, minimum.failures, over)
        assert self.held_back is not None
        self.held_back |= over & ~passed
        return passed

    def _burns_away(self, view: int) -> Bools:
        """The 6 h burn is above 1, on enough evidence (the gate of burn-rate conditions): only then is there a forecast."""
        failures, total = self.window(self.plan.forecast_window, view)
        rate = self.terms.budgets
        over = (total > 0) & (failures > rate * total * (1 + CLOSE))
        minimum = self.plan.minimum
        return enough(failures, total, rate, minimum.events, minimum.failures, over) if over.any() else over

    def _short_of_time(self) -> Bools:
        """By the forecast the contractual budget will be gone within the period."""
        risky = self._burns_away(CONTRACTUAL)
        if not isinstance(self.plan.period, CalendarPeriod) or not risky.any():
            return risky  # a rolling period is gone within its length at any burn above 1
        at = _points(risky)
        short = np.zeros_like(risky)
        short[at] = self.gone_at(CONTRACTUAL, at) >= 0
        return short

    def _exhausts(self, condition: ExhaustionCondition) -> Bools:
        at = _points(self._burns_away(view_of(condition)))
        holds = np.zeros((len(self.counted.ticks), len(self.terms.budgets)), dtype=np.bool_)
        if len(at[0]):
            gone = self.gone_at(view_of(condition), at)
            holds[at] = (gone >= 0) & (gone - self.counted.ticks[at[0]] <= condition.within_us)
        return holds

    def _horizon(self, at: Int64s) -> Int64s:
        if isinstance(self.plan.period, CalendarPeriod):
            return self.counted.period_end_us[at]
        return self.counted.ticks[at] + self.plan.period.length_us

    def _gone_after(self, view: int, at: tuple[Int64s, Int64s]) -> Float64s:
        tick, series = at
        budgets = self.terms.budgets[series]
        promise = self.budget(view)
        lengths, excess = self._excess(view, at, budgets)
        failures, total = (counts[at] for counts in self.window(self.plan.forecast_window, view))
        seen = np.minimum(self.counted.ticks[tick] - self.terms.born_us[series], FORECAST_WINDOW)
        return gone_after(
            Course(
                lengths=lengths,
                excess=excess,
                left=(promise.allowed - promise.spent)[at],
                failures=failures,
                excess_recent=failures - budgets * total,
                seen_us=seen,
                projected=promise.projected[at],
            ),
            self.plan.period,
        )

    def _more(self, view: int, total: Int64s) -> Float64s:
        """What earlier targets allow beyond the newest, of a window up to the tick that counted `total`."""
        left_out = self.counts(self.counted.period, view)[1] - total
        more = np.zeros(total.shape)
        for each in self.counted.earlier:
            more += each.extra * np.maximum(self.counts(each.before, view)[1] - left_out, 0)
        return more

    def _excess(self, view: int, at: tuple[Int64s, Int64s], budgets: Float64s) -> tuple[tuple[int, ...], Float64s]:
        """Failures beyond the budget over each window up to the period."""
        period = self.plan.period
        if isinstance(period, CalendarPeriod):
            return (), np.zeros((0, len(at[0])))
        places = [place for place, length in enumerate(self.plan.lengths) if length <= period.length_us]
        sums = [self.window(place, view) for place in places]
        excess = np.array([failures[at] - budgets * total[at] for failures, total in sums])
        if self.counted.earlier:
            excess -= np.array([self._more(view, total)[at] for _, total in sums])
        return tuple(self.plan.lengths[place] for place in places), excess


def view_of(condition: BurnRateCondition | BudgetRemainingCondition | ExhaustionCondition) -> int:
    return CONTRACTUAL if condition.view == "contractual" else EXPERIENCED


def burn_rates(failures: Int64s, total: Int64s, budgets: Float64s) -> Float64s:
    """Error ratio over budget; NaN where nothing was counted."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(total > 0, failures / total / budgets, np.nan)


def never(times_us: NDArray[Any]) -> Bools:
    return times_us <= NEVER


def _points(chosen: Bools) -> tuple[Int64s, Int64s]:
    """Ticks and series where a [ticks, series] mask is set."""
    ticks, series = np.nonzero(chosen)
    return ticks, series
