"""What goes wrong in the demo, and when: past incidents that left their mark, and a play that begins at once.

The play's times count from the moment the address is printed. It repeats, so that a screen left open stays alive.
"""

from __future__ import annotations

from service.devstack.traffic import DAY_US, Incident, daily_shape

_SECOND_US = 1_000_000
_MINUTE_US = 60 * _SECOND_US
_HOUR_US = 60 * _MINUTE_US

CYCLE_US = 30 * _MINUTE_US
"""The play begins again after this long; the outages of one cycle are over well before the next."""


def past(now_us: int) -> tuple[Incident, ...]:
    """Incidents within the history that ends at `now_us`."""
    stutter_us = now_us - 8 * _HOUR_US
    return (
        # A bad deployment nine days ago: half of checkout's European budget went in forty minutes.
        Incident("checkout", "eu", now_us - 9 * DAY_US, 40 * _MINUTE_US, failing=0.42),
        Incident("checkout", "us", now_us - 21 * DAY_US, 12 * _MINUTE_US, failing=0.25),
        # The media supplier stuttered this morning and spent 70 % of a day's budget, whatever the hour.
        Incident("media", "eu", stutter_us, 16 * _MINUTE_US, failing=0.067 / daily_shape(stutter_us)),
        Incident("search", "eu", now_us - 4 * DAY_US, 25 * _MINUTE_US, failing=0.06),
        Incident("accounts", None, now_us - 16 * DAY_US, 9 * _MINUTE_US, failing=0.5),
        _quiet(now_us - 12 * _MINUTE_US, 12 * _MINUTE_US),
    )


def waiting(now_us: int) -> tuple[Incident, ...]:
    """While the past is caught up with: the exporter stays quiet, all else is well."""
    return (_quiet(now_us - _HOUR_US, 2 * _HOUR_US),)


def play(begin_us: int) -> tuple[Incident, ...]:
    """One cycle of live incidents, for a play that begins at `begin_us`."""
    return (
        # Checkout in Europe fails nearly wholly; clients retry. Burns above 14.4x within a minute: a page, at risk.
        Incident("checkout", "eu", begin_us + 5 * _SECOND_US, 150 * _SECOND_US, failing=0.92, surge=3.0),
        # Media spends what was left of its day: breached.
        Incident("media", "eu", begin_us + 8 * _SECOND_US, 100 * _SECOND_US, failing=0.55, surge=2.0),
        _quiet(begin_us - _MINUTE_US, 16 * _MINUTE_US),
        # Search slows down a little later, and recovers by itself.
        Incident("search", "us", begin_us + 6 * _MINUTE_US, 3 * _MINUTE_US, failing=0.12),
    )


def running(begin_us: int, now_us: int) -> tuple[Incident, ...]:
    """The incidents of the cycle that `now_us` falls into."""
    if now_us < begin_us:
        return ()
    return play(begin_us + (now_us - begin_us) // CYCLE_US * CYCLE_US)


def _quiet(start_us: int, length_us: int) -> Incident:
    """The report exporter stops sending: silent, which is neither met nor broken, and a ticket after ten minutes."""
    return Incident("reports", None, start_us, length_us, failing=0.0, silent=True)
