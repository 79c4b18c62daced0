"""OpenTelemetry's names as Prometheus writes them.

Rules: "Prometheus and OpenMetrics Compatibility" of the OpenTelemetry specification, in the strategy that Prometheus and
the Collector use by default (underscores, with suffixes of unit and type).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, Literal

Kind = Literal["gauge", "counter", "other"]

_UNITS: Final = {
    "d": "days",
    "h": "hours",
    "min": "minutes",
    "s": "seconds",
    "ms": "milliseconds",
    "us": "microseconds",
    "ns": "nanoseconds",
    "By": "bytes",
    "KiBy": "kibibytes",
    "MiBy": "mebibytes",
    "GiBy": "gibibytes",
    "TiBy": "tibibytes",
    "KBy": "kilobytes",
    "MBy": "megabytes",
    "GBy": "gigabytes",
    "TBy": "terabytes",
    "m": "meters",
    "V": "volts",
    "A": "amperes",
    "J": "joules",
    "W": "watts",
    "g": "grams",
    "Cel": "celsius",
    "Hz": "hertz",
    "%": "percent",
}
_PER: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day", "w": "week", "mo": "month", "y": "year"}
_NAME: Final = re.compile(r"[A-Za-z0-9:]+")
_WORD: Final = re.compile(r"[A-Za-z0-9]+")
_NO_LABEL: Final = re.compile(r"[^A-Za-z0-9_]")
_REMEMBERED: Final = 4_096


@lru_cache(_REMEMBERED)
def metric_name(name: str, unit: str, kind: Kind) -> str:
    """`http.server.request.duration` in `s` is `http_server_request_duration_seconds`; empty where nothing is left."""
    words = _NAME.findall(name)
    for suffix in _suffixes(unit):
        if suffix not in words:
            words.append(suffix)
    if kind == "counter":
        words = [*(word for word in words if word != "total"), "total"]
    if kind == "gauge" and unit == "1":
        words = [*(word for word in words if word != "ratio"), "ratio"]
    if not _NAME.search(name):
        return ""
    joined = "_".join(words)
    return f"_{joined}" if joined[0].isdigit() else joined


@lru_cache(_REMEMBERED)
def label_name(name: str) -> str:
    """`http.route` is `http_route`; empty where nothing is left."""
    label = _NO_LABEL.sub("_", name)
    if label[:1].isdigit():
        return f"key_{label}"
    if label.startswith("_") and not label.startswith("__"):
        return f"key{label}"
    return label


def labels_of(attributes: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Attributes as labels. Several that come to one name are joined by `;`, in the order of their own names."""
    labels: dict[str, str] = {}
    for name, value in sorted(attributes):
        label = label_name(name)
        if label:
            labels[label] = f"{labels[label]};{value}" if label in labels else value
    return labels


def _suffixes(unit: str) -> list[str]:
    """Of a unit in UCUM: `By` is `bytes`, `m/s` is `meters` and `per_second`; annotations in braces say nothing."""
    main, _, per = unit.strip().partition("/")
    found: list[str] = []
    if main.strip() and "{" not in main and main.strip() != "1":
        found.append(_UNITS.get(main.strip()) or "_".join(_WORD.findall(main)))
    if per.strip() and "{" not in per:
        found += ["per", _PER.get(per.strip()) or "_".join(_WORD.findall(per))]
    return [each for each in found if each]
