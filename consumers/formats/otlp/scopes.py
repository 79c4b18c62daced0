"""Series of one resource and scope, each built once: what points repeat is looked up by its bytes, never taken apart."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable
from typing import Final

from consumers.formats.otlp.naming import labels_of
from consumers.formats.series import Series, checked_metric, tolerated

MOST_SERIES: Final = 100_000
"""Remembered by one reader; then all are forgotten, which costs building each once more."""

Pairs = Iterable[tuple[str, str]]
"""Attributes: their names as OpenTelemetry has them, and their values as text."""


class Family:
    """Series of one metric in one scope, by the attributes of their points."""

    __slots__ = ("_scope", "_series", "metric")

    def __init__(self, scope: Scope, metric: str) -> None:
        self.metric = metric
        self._scope = scope
        self._series: dict[Hashable, Series] = {}

    def series(self, attributes: Hashable, **more: str) -> Series:
        """`attributes` as they came; `more` are labels beside them (`le`, `quantile`). Raises Unusable (bad_labels)."""
        key = (attributes, *more.values()) if more else attributes
        known = self._series.get(key)
        if known is None:
            known = self._series[key] = self._scope.series(self.metric, attributes, more)
        return known


class Scope:
    """A resource with one of its instrumentation scopes."""

    def __init__(self, scopes: Scopes, labels: dict[str, str]) -> None:
        self._scopes = scopes
        self._labels = labels
        self._families: dict[str, Family] = {}

    def family(self, metric: str) -> Family:
        """Raises Unusable (missing_metric, bad_metric)."""
        known = self._families.get(metric)
        if known is None:
            known = self._families[metric] = Family(self, checked_metric(metric))
        return known

    def series(self, metric: str, attributes: Hashable, more: dict[str, str]) -> Series:
        """Built anew."""
        self._scopes.built += 1
        own = labels_of(self._scopes.pairs(attributes))
        return Series(metric, tolerated({**self._labels, **own, **more}))


class Scopes:
    """All that a reader remembers. `pairs` takes attributes apart, in whatever form the reader keeps them."""

    def __init__(self, pairs: Callable[[Hashable], Pairs]) -> None:
        self.pairs = pairs
        self.built = 0
        self._known: dict[Hashable, Scope] = {}

    def scope(self, key: Hashable, labels: Callable[[], dict[str, str]]) -> Scope:
        """The scope of this key, made of `labels` at its first sight."""
        if self.built > MOST_SERIES:
            self._known.clear()
            self.built = 0
        known = self._known.get(key)
        if known is None:
            self.built += 1
            known = self._known[key] = Scope(self, labels())
        return known


def scope_labels(resource: Pairs, scope: Pairs, name: str, version: str) -> dict[str, str]:
    """`job` and `instance` as Prometheus has them, `service` as Upheld does, and every attribute by its own name."""
    found = dict(resource)
    labels = labels_of(found.items())
    service, namespace = found.get("service.name", ""), found.get("service.namespace", "")
    job = f"{namespace}/{service}" if namespace and service else service
    for label, value in (("service", service), ("job", job), ("instance", found.get("service.instance.id", ""))):
        if value:
            labels.setdefault(label, value)
    labels.update({f"otel_scope_{label}": value for label, value in labels_of(scope).items()})
    labels.update({f"otel_scope_{label}": value for label, value in (("name", name), ("version", version)) if value})
    return labels


def as_text(value: object) -> str:
    """An attribute's value as the specification has it for systems that know text alone: nested ones become JSON."""
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, separators=(",", ":"))
