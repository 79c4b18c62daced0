"""Histograms as Prometheus writes them: `_bucket` by upper bound, each with all that is below, and `_count`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from consumers.formats.samples import Sample
from consumers.formats.series import Series
from consumers.formats.unusable import Unusable

_POSITIONAL_FROM: Final = 1e-4
_POSITIONAL_BELOW: Final = 1e6


def bound_text(bound: float) -> str:
    """A bound or a quantile as Prometheus' clients write it (Go's format `g`): 0.005, 1, 1e+06, +Inf."""
    if not math.isfinite(bound):
        return "NaN" if math.isnan(bound) else "+Inf" if bound > 0 else "-Inf"
    text = repr(float(bound)).removesuffix(".0")
    if not bound or _POSITIONAL_FROM <= abs(bound) < _POSITIONAL_BELOW:
        return text
    mantissa, _, exponent = text.partition("e")
    if exponent:
        return f"{mantissa.removesuffix('.0')}e{int(exponent):+03d}"
    sign, whole, fraction = _parts(mantissa)
    rest = (whole[1:] + fraction).rstrip("0")
    return f"{sign}{whole[0]}{'.' if rest else ''}{rest}e{len(whole) - 1:+03d}"


def _parts(positional: str) -> tuple[str, str, str]:
    whole, _, fraction = positional.removeprefix("-").partition(".")
    return "-" if positional.startswith("-") else "", whole, fraction


def accumulated(buckets: Iterable[tuple[float, int]]) -> Iterator[tuple[float, int, tuple[float, int]]]:
    """Of each bucket (upper bound, its own count): the bound, all at or under it, and the same two of the bucket before.

    As Prometheus has it, the first one begins at zero where its bound is above zero. Buckets of one bound are one: counted
    one by one, what lies under it would count twice. Raises Unusable (bad_value) where the bounds do not rise.
    """
    before, held = (-math.inf, 0), None
    for bound, count in buckets:
        if held is None:
            before, held = (0.0 if bound > 0 else -math.inf, 0), (bound, count)
        elif bound > held[0]:
            yield *held, before
            before, held = held, (bound, held[1] + count)
        elif bound == held[0]:
            held = (bound, held[1] + count)
        else:
            raise Unusable("bad_value", "the bounds of a histogram do not rise")
    if held is not None:
        yield *held, before


def histogram(
    metric: str,
    labels: Mapping[str, str],
    time_us: int,
    bounds: Sequence[float],
    counts: Sequence[int],
    of: Callable[..., Sample],
) -> list[Sample]:
    """`counts` are those of each bucket alone; the last one may have no bound. `of` makes a sample of a count."""
    edges = zip((*bounds, *((math.inf,) if len(counts) > len(bounds) else ())), counts, strict=True)
    samples = [
        of(Series(f"{metric}_bucket", {**labels, "le": bound_text(bound)}), time_us, below, 0, before)
        for bound, below, before in accumulated(edges)
    ]
    samples.append(of(Series(f"{metric}_count", labels), time_us, sum(counts)))
    return samples
