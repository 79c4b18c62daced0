"""Histograms as Prometheus writes them."""

from __future__ import annotations

import math

import pytest

from consumers.formats.buckets import accumulated, bound_text, histogram
from consumers.formats.samples import delta
from consumers.formats.unusable import Unusable
from tests.consumers.formats.readers import told


@pytest.mark.parametrize(
    ("bound", "text"),
    [
        (0, "0"),
        (0.005, "0.005"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (1.25e-7, "1.25e-07"),
        (1, "1"),
        (2.5, "2.5"),
        (10, "10"),
        (999_999.5, "999999.5"),
        (1_000_000, "1e+06"),
        (-1_234_567.5, "-1.2345675e+06"),
        (1e16, "1e+16"),
        (1.5e21, "1.5e+21"),
        (1e100, "1e+100"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_a_bound_is_written_as_prometheus_clients_write_it(bound: float, text: str) -> None:
    """Go's format g: exponents from a million on, and below a ten-thousandth."""
    assert bound_text(bound) == text


@pytest.mark.parametrize("bounds", [(0.1, 1.0), (0.1, 1.0, math.inf)])
def test_each_bucket_holds_all_that_is_below_its_bound(bounds: tuple[float, ...]) -> None:
    """The last one all there is, whether or not its bound was said."""
    found = told(histogram("latency", {"app": "web"}, 7, bounds, (1, 0, 2), delta))

    assert found == [
        ("latency_bucket", {"app": "web", "le": "0.1"}, 7, 1, None),
        ("latency_bucket", {"app": "web", "le": "1"}, 7, 1, None),
        ("latency_bucket", {"app": "web", "le": "+Inf"}, 7, 3, None),
        ("latency_count", {"app": "web"}, 7, 3, None),
    ]


def test_buckets_accumulate_with_the_one_before_each() -> None:
    """The first begins at zero where its bound is above it; those of one bound are one; of none there is none."""
    assert list(accumulated([(0.5, 1), (1.0, 2), (1.0, 3)])) == [(0.5, 1, (0.0, 0)), (1.0, 6, (0.5, 1))]
    assert list(accumulated([(-1.0, 1), (1.0, 2)])) == [(-1.0, 1, (-math.inf, 0)), (1.0, 3, (-1.0, 1))]
    assert list(accumulated([])) == []


@pytest.mark.parametrize("bounds", [(1.0, 0.5), (math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0)])
def test_bounds_that_do_not_rise_are_refused(bounds: tuple[float, float]) -> None:
    """Nobody can say what lies at or under which."""
    with pytest.raises(Unusable) as refused:
        list(accumulated([(bound, 1) for bound in bounds]))

    assert refused.value.code == "bad_value"
