"""What documents must agree on with each other: names, and alerts that can fire and reach somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from evaluators import calendars, policies
from evaluators.agreements import (
    Agreement,
    AlertPolicy,
    Document,
    NotificationTarget,
    Objective,
    RatioIndicator,
    ResponseIndicator,
    UptimeIndicator,
)
from evaluators.documents import slice_checks
from evaluators.documents.fields import closest
from evaluators.documents.loading import Sourced
from evaluators.documents.problems import Level, Problem
from evaluators.documents.tree import Place, shown
from evaluators.policies import DEFAULT_POLICY, MOST_CONDITIONS
from evaluators.selectors import Selector


@dataclass(frozen=True, slots=True)
class Known:
    """What is in force beside the documents that are checked; those replace what has their name."""

    policies: Mapping[str, AlertPolicy] = field(default_factory=dict[str, AlertPolicy])
    targets: frozenset[str] = frozenset()


NOTHING_KNOWN: Final = Known()


def check(documents: Sequence[Sourced[Document]], known: Known = NOTHING_KNOWN) -> tuple[Problem, ...]:
    """Problems between documents, in their order; each document is valid by itself."""
    own = [each.document for each in documents]
    surroundings = Known(
        policies={**known.policies, **{each.name: each for each in own if isinstance(each, AlertPolicy)}},
        targets=known.targets | {each.name for each in own if isinstance(each, NotificationTarget)},
    )
    problems = list(_twice(documents))
    for each in documents:
        if isinstance(each.document, Agreement):
            problems += _agreement_problems(each, each.document, surroundings)
        elif isinstance(each.document, AlertPolicy):
            problems += _unknown_targets(each, each.document.notify or (), surroundings)
    return tuple(problems)


def _problem(at: Sourced[Document], path: str, message: str, mend: str = "", level: Level = "error") -> Problem:
    place = at.places.get(path, Place(at.line, 1))
    return Problem(at.file, place.line, place.column, path, message, mend, level)


def _twice(documents: Sequence[Sourced[Document]]) -> Iterator[Problem]:
    first: dict[tuple[str, str], Sourced[Document]] = {}
    for each in documents:
        earlier = first.setdefault((each.kind, each.name), each)
        if earlier is not each:
            message = f"a second {each.kind} is called {shown(each.name)}"
            yield _problem(each, "metadata.name", message, f"the first is at {earlier.file}:{earlier.line}")


def _agreement_problems(at: Sourced[Document], agreement: Agreement, known: Known) -> Iterator[Problem]:
    yield from _unknown_targets(at, agreement.notify, known)
    for index, objective in enumerate(agreement.objectives):
        path = f"spec.objectives[{index}]"
        yield from _alert_problems(at, path, agreement, objective, known)
        yield from _pinned_groups(at, path, objective)
        yield from _groups_of_one(at, path, objective)
        yield from _small_budget(at, path, objective)


def _unknown_targets(at: Sourced[Document], names: Sequence[str], known: Known) -> Iterator[Problem]:
    for index, name in enumerate(names):
        if name not in known.targets:
            meant = closest(name, known.targets)
            mend = f"did you mean {meant}?" if meant else f"add a document of kind NotificationTarget called {name}"
            yield _problem(at, f"spec.notify[{index}]", f"no notification target is called {shown(name)}", mend)


def _alert_problems(
    at: Sourced[Document], path: str, agreement: Agreement, objective: Objective, known: Known
) -> Iterator[Problem]:
    resolvable = True
    for index, name in enumerate(objective.alerts):
        here = f"{path}.alerts[{index}]"
        if name in known.policies:
            yield from _unfireable(at, here, objective, known.policies[name])
        elif name != DEFAULT_POLICY:
            resolvable = False
            meant = closest(name, [*known.policies, DEFAULT_POLICY])
            mend = f"did you mean {meant}?" if meant else f"{DEFAULT_POLICY} is built in"
            yield _problem(at, here, f"no alert policy is called {shown(name)}", mend)
    if resolvable:
        yield from _unheard(at, path, agreement, objective, known)
        yield from _differing_minimums(at, path, objective, known)
        yield from _too_many(at, path, objective, known)
        yield from _coarse_slices(at, path, objective, known)


def _unfireable(at: Sourced[Document], path: str, objective: Objective, policy: AlertPolicy) -> Iterator[Problem]:
    period_us = calendars.nominal_length(objective.period)
    for number, condition in enumerate(policy.conditions, 1):
        fault = policies.fault(condition, objective.target, period_us)
        if fault:
            yield _problem(
                at, path, f"condition {number} of {shown(policy.name)} does not suit this objective: {fault}"
            )


def _unheard(
    at: Sourced[Document], path: str, agreement: Agreement, objective: Objective, known: Known
) -> Iterator[Problem]:
    period_us = calendars.nominal_length(objective.period)
    _, heard = policies.resolve(objective, known.policies, period_us, slot_us=1, notify=agreement.notify)
    if not heard:
        yield _problem(at, path, "its alerts reach no target", "name one under notify in the agreement's spec")


def _differing_minimums(at: Sourced[Document], path: str, objective: Objective, known: Known) -> Iterator[Problem]:
    period_us = calendars.nominal_length(objective.period)
    default = policies.default_policy(objective.target, period_us)
    minimums = {known.policies.get(name, default).minimum for name in objective.alerts}
    if len(minimums) > 1:
        message = "its alert policies have different minimums: the least of each number counts"
        yield _problem(at, f"{path}.alerts", message, "give them the same", "warning")


def _too_many(at: Sourced[Document], path: str, objective: Objective, known: Known) -> Iterator[Problem]:
    period_us = calendars.nominal_length(objective.period)
    policy, _ = policies.resolve(objective, known.policies, period_us, slot_us=1, notify=())
    if len(policy.conditions) > MOST_CONDITIONS:
        message = (
            f"its alert policies have {len(policy.conditions)} conditions: at most {MOST_CONDITIONS} are evaluated"
        )
        yield _problem(at, f"{path}.alerts", message, "name fewer policies")


def _coarse_slices(at: Sourced[Document], path: str, objective: Objective, known: Known) -> Iterator[Problem]:
    period_us = calendars.nominal_length(objective.period)
    policy, _ = policies.resolve(objective, known.policies, period_us, slot_us=1, notify=())
    for message, mend in slice_checks.blurred_alerts(objective, policy):
        yield _problem(at, f"{path}.alerts", message, mend, "warning")


def _small_budget(at: Sourced[Document], path: str, objective: Objective) -> Iterator[Problem]:
    for message, mend in slice_checks.small_budget(objective):
        yield _problem(at, f"{path}.target", message, mend, "warning")


def _pinned_groups(at: Sourced[Document], path: str, objective: Objective) -> Iterator[Problem]:
    pinned = _grouped(objective).pinned()
    for index, label in enumerate(objective.group_by):
        if label in pinned:
            message = f"label {label} is always {shown(pinned[label])} here, which makes one group"
            yield _problem(at, f"{path}.groupBy[{index}]", message, "leave it out, or out of the selector", "warning")


def _grouped(objective: Objective) -> Selector:
    """The selector whose samples every group has."""
    match objective.indicator:
        case RatioIndicator(total=selector) | UptimeIndicator(state=selector) | ResponseIndicator(opened=selector):
            return selector
        case indicator:
            return indicator.metric


def _groups_of_one(at: Sourced[Document], path: str, objective: Objective) -> Iterator[Problem]:
    indicator = objective.indicator
    if isinstance(indicator, ResponseIndicator) and indicator.key in objective.group_by:
        here = f"{path}.groupBy[{objective.group_by.index(indicator.key)}]"
        message = f"label {indicator.key} is the key of each pair, which makes a group of every pair"
        yield _problem(at, here, message, "leave it out: the key joins pairs in any group", "warning")
