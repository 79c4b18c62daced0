"""Which indicators a sample feeds, decided once per distinct (metric, labels).

A `Target` is what a sample with these labels does: the routes into series, and the cuts that its value is compared
with. Everything is brought to one comparison, `value <= cut`, so that the hot loop knows no operators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from consumers import routing
from consumers.ports import MatchRule
from consumers.routing import Between, Reads, Route
from evaluators.points import Kind

BYTES_KEPT: Final = 64 * 1024 * 1024
"""Of distinct (metric, labels) remembered, about; then all are forgotten, which costs one more match each."""
_BYTES_EACH: Final = 256
"""Of one of them, and of each of its routes, beside the text."""


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """What samples of one (metric, labels) feed. `edges`: event times at which their definitions change."""

    routes: tuple[Route, ...]
    cuts: tuple[float, ...]
    edges: tuple[int, ...]
    between: tuple[Between, ...] = ()
    """Bounds within a bucket; routes count them on after the cuts."""

    @property
    def carries(self) -> bool:
        return any(route.carry is not None for route in self.routes)

    @property
    def counts(self) -> bool:
        return any(route.carry is None for route in self.routes)

    @property
    def weighs(self) -> bool:
        """Whether it matters what its samples say, and not alone that they came."""
        return any(route.carry is None or route.carry.kind is not Kind.SEEN for route in self.routes)


UNMATCHED: Final = Target((), (), ())


class Matcher:
    """Rules of one revision of the definitions. Bounded: forgets what it knows when it knows too much."""

    def __init__(self, rules: Sequence[MatchRule]) -> None:
        self._anywhere: list[MatchRule] = []
        self._by_metric: dict[str, list[MatchRule]] = {}
        for rule in rules:
            self._file(rule)
        self._targets: dict[tuple[str, frozenset[tuple[str, str]], Reads], Target] = {}
        self._bytes = 0

    def target(self, metric: str, labels: Mapping[str, str], reads: Reads) -> Target:
        """What samples that are read so do."""
        rules = self._by_metric.get(metric, self._anywhere)
        if not rules:
            return UNMATCHED
        key = (metric, frozenset(labels.items()), reads)
        known = self._targets.get(key)
        if known is None:
            known = self._targets[key] = target_of(rules, metric, labels, reads)
            self._bytes += _BYTES_EACH * (1 + len(known.routes)) + sum(len(n) + len(v) for n, v in labels.items())
            if self._bytes > BYTES_KEPT:
                self._targets.clear()
                self._bytes = 0
        return known

    def _file(self, rule: MatchRule) -> None:
        """Under every metric that it can read; under all of them if it does not pin one."""
        metrics = {selector.metric for selector in routing.selectors(rule.indicator)}
        if None in metrics:
            self._anywhere.append(rule)
            for filed in self._by_metric.values():
                filed.append(rule)
            return
        for metric in metrics:
            assert metric is not None
            self._by_metric.setdefault(metric, list(self._anywhere)).append(rule)


def target_of(rules: Sequence[MatchRule], metric: str, labels: Mapping[str, str], reads: Reads) -> Target:
    found = [each for rule in rules if (each := routing.route_of(rule, metric, labels, reads)) is not None]
    if not found:
        return UNMATCHED
    cuts = tuple(dict.fromkeys(cut for _, cut in found if isinstance(cut, float)))
    between = tuple(dict.fromkeys(cut for _, cut in found if isinstance(cut, Between)))
    places: dict[float | Between | None, int | None] = {None: None}
    places.update({cut: place for place, cut in enumerate((*cuts, *between))})
    routes = tuple(replace(route, cut=places[cut]) for route, cut in found)
    edges = {edge for route in routes for edge in (route.from_us, route.until_us) if edge is not None}
    return Target(routes, cuts, tuple(sorted(edges)), between)
