"""Where a sample belongs: a metric and its labels, within bounds that every format keeps."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Final

from consumers.formats.unusable import Unusable

LONGEST_METRIC: Final = 512
LONGEST_NAME: Final = 256
LONGEST_LABEL: Final = 4_096
MOST_LABELS: Final = 128
_WHOLE_BELOW: Final = 1e15  # above it a float is no exact number of units


class Series:
    """A metric and its labels. Equal ones are one; the hash is worked out once, since millions of look-ups use it."""

    __slots__ = ("_hash", "labels", "metric")

    def __init__(self, metric: str, labels: Mapping[str, str]) -> None:
        self.metric = metric
        self.labels = labels
        self._hash = hash((metric, frozenset(labels.items())))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        return isinstance(other, Series) and self.metric == other.metric and self.labels == other.labels

    def __repr__(self) -> str:
        return f"Series({self.metric!r}, {self.labels!r})"

    @property
    def size(self) -> int:
        """Characters of its labels: what remembering it costs."""
        return sum(len(name) + len(value) for name, value in self.labels.items())


def checked_metric(metric: object) -> str:
    """Raises Unusable (missing_metric, bad_metric)."""
    if metric is None or metric == "":
        raise Unusable("missing_metric", "the event has no metric")
    if not isinstance(metric, str):
        raise Unusable("bad_metric", "the metric must be a string")
    if len(metric) > LONGEST_METRIC or not storable(metric):
        raise Unusable("bad_metric", f"the metric must be up to {LONGEST_METRIC} characters of text, without NUL")
    return metric


def tolerated(labels: Mapping[str, str]) -> dict[str, str]:
    """Labels of an emitter that knows nothing of our bounds: what is too long is cut, what no database takes is
    replaced, empty values are as good as missing (Prometheus). Raises Unusable (bad_labels) for more than MOST_LABELS.
    """
    if len(labels) > MOST_LABELS:
        raise Unusable("bad_labels", f"more than {MOST_LABELS} labels")
    return {
        _cut(name, LONGEST_NAME): _cut(value, LONGEST_LABEL)
        for name, value in labels.items()
        if name and value and name != "__name__"
    }


def label_text(value: str | float | bool) -> str:
    """A label's value as text: 200 for 200 and 200.0, `true` for true. Raises Unusable (bad_labels)."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and math.isfinite(value):
        value = int(value) if value.is_integer() and abs(value) < _WHOLE_BELOW else repr(value)
    try:
        return str(value)
    except ValueError as error:  # Python refuses to write thousands of digits
        raise Unusable("bad_labels", "a label's value is too large a number") from error


def storable(text: str) -> bool:
    """Neither NUL nor half a surrogate pair: no database takes them as text, and one would hold up all the rest."""
    if "\0" in text:
        return False
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def _cut(text: str, longest: int) -> str:
    text = text[:longest]
    if storable(text):
        return text
    return "".join("\ufffd" if each == "\0" or "\ud800" <= each <= "\udfff" else each for each in text)
