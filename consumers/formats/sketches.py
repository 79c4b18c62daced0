"""Values of the bins of the Datadog agent's sketch, which Vector takes over as it is.

Specified by DataDog/datadog-agent, pkg/util/quantile, with its defaults: a relative error of 1/128, smallest value 1e-9.
"""

from __future__ import annotations

import math
from typing import Final

LARGEST_KEY: Final = 2**15 - 1
"""Of the bin for whatever is too large for any other."""

_GAMMA: Final = 1 + 2 / 128
_SMALLEST: Final = 1e-9
_BIAS: Final = 1 - math.floor(math.log(_SMALLEST) / math.log(_GAMMA))


def value_of(key: int, least: float | None, most: float | None) -> float:
    """The value that stands for a bin, no further out than the least and the most that came. Bin 0 is about zero; those
    with negative keys mirror the others.
    """
    size = abs(key)
    value = math.inf if size == LARGEST_KEY else _GAMMA ** (size - _BIAS) if size else 0.0
    value = math.copysign(value, key)
    if least is None or most is None or least > most:  # an empty sketch has them the other way about
        return value
    return min(max(value, least), most)
