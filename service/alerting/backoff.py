"""When to try a notification again: decided purely, from the attempts so far and what the receiver asked for."""

from __future__ import annotations

FIRST_DELAY_S = 1.0
GREATEST_DELAY_S = 300.0
GIVE_UP_AFTER_S = 86_400.0
"""Since it was written: whoever reads a page a day late has learnt of the trouble otherwise."""

LEAST_ATTEMPTS = 10
"""A row that waited for a delivery that was down, or behind many others, has its tries too: some ten minutes of them."""

JITTER = 0.2
"""Share of the delay that is random, so that many waiting rows do not come back as one wave."""


def given_up(attempts: int, waited_s: float) -> bool:
    """Whether a row that has failed `attempts` times, `waited_s` after it was written, is not tried again."""
    return attempts >= LEAST_ATTEMPTS and waited_s >= GIVE_UP_AFTER_S


def delay_s(attempts: int, chance: float, retry_after_s: float | None = None) -> float:
    """Seconds until the next try after `attempts` failed ones; `chance` in [0, 1) spreads it.

    A receiver's Retry-After is honoured up to the greatest delay.
    """
    doubled = FIRST_DELAY_S * 2.0 ** min(max(attempts - 1, 0), 32)
    wanted = min(max(doubled, retry_after_s or 0.0), GREATEST_DELAY_S)
    return wanted * (1 - JITTER + 2 * JITTER * chance)
