"""How many examples a property is tried with: as many as it says, or a share of them where time is short."""

from __future__ import annotations

import os
from typing import Any, Final

from hypothesis import settings

SHARE: Final = float(os.environ.get("UPHELD_TEST_EXAMPLES", "1"))
USUAL: Final = 100  # Hypothesis's own default
FEWEST: Final = 5


def examples(count: int = USUAL, **more: Any) -> settings:
    """Settings of a property. `UPHELD_TEST_EXAMPLES` is the share of `count` that is tried."""
    return settings(max_examples=max(FEWEST, round(count * SHARE)), **more)
