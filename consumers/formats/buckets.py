"""Histograms as Prometheus writes them: `_bucket` by upper bound, each with all that is below, and `_count`."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from consumers.formats.samples import Sample
from consumers.formats.series import Series


def bound_text(bound: float) -> str:
    """A bound or a quantile as Go writes it: 0.005, 1, 1e+06, +Inf."""
    if math.isinf(bound):
        return "+Inf" if bound > 0 else "-Inf"
    text = repr(float(bound))
    mantissa, _, exponent = text.partition("e")
    if not exponent and abs(bound) >= 1e21:
        return text
    mantissa = mantissa.removesuffix(".0")
    return f"{mantissa}e{int(exponent):+03d}" if exponent else mantissa


def histogram(
    metric: str,
    labels: Mapping[str, str],
    time_us: int,
    bounds: Sequence[float],
    counts: Sequence[int],
    of: Callable[[Series, int, float], Sample],
) -> list[Sample]:
    """`counts` are those of each bucket alone; the last one may have no bound. `of` makes a sample of a count."""
    below, samples = 0, list[Sample]()
    for bound, count in zip((*bounds, *((math.inf,) if len(counts) > len(bounds) else ())), counts, strict=True):
        below += count
        samples.append(of(Series(f"{metric}_bucket", {**labels, "le": bound_text(bound)}), time_us, below))
    samples.append(of(Series(f"{metric}_count", labels), time_us, below))
    return samples
