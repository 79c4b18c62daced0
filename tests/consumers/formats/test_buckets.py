"""Histograms as Prometheus writes them."""

from __future__ import annotations

import math

import pytest

from consumers.formats.buckets import bound_text, histogram
from consumers.formats.samples import delta
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
