"""Values in buckets whose bounds grow by a constant factor, so that any of them is known to within 1 %.

The mapping is DDSketch's (Masson, Rim and Lee, 2019): bucket i holds values in (g^(i-1), g^i], g = (1 + a) / (1 - a), and
2 g^i / (g + 1) is within the share a of all of them. Negative values mirror it; zero, and what is nearer to it than 1e-12,
has a bucket of its own. Counts of buckets add up, whatever the order.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from evaluators.slots import Int64s

ACCURACY: Final = 0.01
_GAMMA: Final = (1 + ACCURACY) / (1 - ACCURACY)
_LOG_GAMMA: Final = math.log(_GAMMA)
_LEAST: Final = 1e-12
_OFFSET: Final = 1 << 20
"""Buckets of positive values are numbered around it: 1e308 and 1e-12 lie within 36,000 of it."""


def buckets(values: NDArray[np.float64]) -> Int64s:
    """The bucket of each value, rising with the values; they are finite."""
    size = np.abs(values)
    index = np.ceil(np.log(np.maximum(size, _LEAST)) / _LOG_GAMMA).astype(np.int64) + _OFFSET
    return np.where(size <= _LEAST, 0, np.where(values < 0, -index, index))


def estimates(index: Int64s) -> NDArray[np.float64]:
    """A value within 1 % of all that a bucket holds."""
    size = np.exp((np.abs(index) - _OFFSET) * _LOG_GAMMA) * 2 / (_GAMMA + 1)
    return np.where(index == 0, 0.0, np.sign(index) * size)
