"""Traffic of a small company, for the demo: Poisson arrivals with a daily shape, lognormal latencies, failures.

Pure but for the random generator handed in. Events are native JSON bytes; history is one `delta` event per series and
minute, live traffic one event a request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import msgspec
import numpy as np

METRIC = "http_request_duration_seconds"
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
_PEAK_HOUR = 15  # UTC; the shape below has its greatest value here
_ERROR_STATUSES = ("500", "502", "503")
_SLOW_S = 0.85  # what a slow request of the history took; over the demo's latency bound
_FAST_S = 0.12
_TIME, _COUNT = 1234567890123456, 9876543210  # stand in a template for what differs from event to event


@dataclass(frozen=True, slots=True)
class Stream:
    """Requests of one service in one region. `rate` is the mean per second, over a day."""

    service: str
    region: str
    route: str
    rate: float
    failing: float = 0.0002
    refused: float = 0.0
    slow: float = 0.002
    median_s: float = 0.09
    weighted: bool = False
    """True: history as events with a value and a count, which threshold indicators can read; else as deltas."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A scripted disturbance, from `start_us` for `length_us`; `surge` multiplies arrivals (clients retry)."""

    service: str
    region: str | None
    start_us: int
    length_us: int
    failing: float
    surge: float = 1.0
    silent: bool = False

    def hits(self, stream: Stream, at_us: int) -> bool:
        """Whether it disturbs this stream at this time."""
        within = self.start_us <= at_us < self.start_us + self.length_us
        return within and self.service == stream.service and self.region in (None, stream.region)


STREAMS = (
    Stream("checkout", "eu", "/pay", 16.0),
    Stream("checkout", "us", "/pay", 11.0),
    Stream("checkout", "ap", "/pay", 6.0),
    Stream("search", "eu", "/search", 18.0, failing=0.0008, refused=0.012, weighted=True),
    Stream("search", "us", "/search", 12.0, failing=0.0008, refused=0.012, weighted=True),
    Stream("media", "eu", "/stream", 12.0, failing=0.00004),
    Stream("accounts", "eu", "/login", 7.0, failing=0.0001),
    Stream("accounts", "us", "/login", 5.0, failing=0.0001),
    Stream("reports", "eu", "/export", 1.5, failing=0.0003),
)


def daily_shape(at_us: int) -> float:
    """Share of the mean rate at this time: low at night, a fifth lower at weekends; the mean over a week is about 1."""
    at = datetime.fromtimestamp(at_us / 1_000_000, UTC)
    hour = at.hour + at.minute / 60
    swing = 1 + 0.45 * math.cos((hour - _PEAK_HOUR) / 24 * math.tau)
    return swing * (0.85 if at.weekday() >= 5 else 1.06)


def live(
    streams: tuple[Stream, ...],
    incidents: tuple[Incident, ...],
    from_us: int,
    to_us: int,
    random: np.random.Generator,
) -> Iterator[tuple[bytes, bytes]]:
    """(key, value) of the requests that arrive in [from_us, to_us), stream by stream, each in time order."""
    for stream in streams:
        hit = next((incident for incident in incidents if incident.hits(stream, from_us)), None)
        if hit and hit.silent:
            continue
        rate = stream.rate * daily_shape(from_us) * (hit.surge if hit else 1.0)
        count = int(random.poisson(rate * (to_us - from_us) / 1_000_000))
        times = np.sort(random.integers(from_us, to_us, count))
        latencies = random.lognormal(math.log(stream.median_s), 0.45, count)
        chances = random.random(count)
        failing = hit.failing if hit else stream.failing
        for at, latency, chance in zip(times.tolist(), latencies.tolist(), chances.tolist(), strict=True):
            status = _status(chance, failing, stream.refused)
            yield _key(stream), _event(stream, at, status, latency)


def history(
    streams: tuple[Stream, ...],
    incidents: tuple[Incident, ...],
    from_us: int,
    to_us: int,
    random: np.random.Generator,
    *,
    minutes_a_record: int = 15,
) -> Iterator[tuple[int, bytes]]:
    """The past in steps: (time reached, the record of that step), an array of all streams' minutes in order of time.

    One record for all: with one for each stream those of a partition would overlap in time, and the later ones be late.
    """
    for start in range(from_us, to_us, minutes_a_record * MINUTE_US):
        end = min(start + minutes_a_record * MINUTE_US, to_us)
        minutes = range(start, end, MINUTE_US)
        events = sorted(event for stream in streams for event in _minutes(stream, incidents, minutes, random))
        yield end, b"[" + b",".join(event for _, event in events) + b"]"


def _minutes(
    stream: Stream, incidents: tuple[Incident, ...], minutes: range, random: np.random.Generator
) -> Iterator[tuple[int, bytes]]:
    """(time, event) of one stream's minutes, drawn all at once."""
    hits = [next((incident for incident in incidents if incident.hits(stream, minute)), None) for minute in minutes]
    surges = np.array([0.0 if hit and hit.silent else hit.surge if hit else 1.0 for hit in hits])
    total = random.poisson(60 * stream.rate * daily_shape(minutes.start) * surges)
    failed = random.binomial(total, [hit.failing if hit else stream.failing for hit in hits])
    refused = random.binomial(total - failed, stream.refused)
    passed = total - failed - refused
    slow = random.binomial(passed, stream.slow if stream.weighted else 0.0)
    times = np.arange(minutes.start, minutes.stop, MINUTE_US) + random.integers(0, MINUTE_US, len(minutes))
    kinds = (
        ("200", _FAST_S, passed - slow),
        ("200", _SLOW_S, slow),
        ("503", _FAST_S, failed),
        ("429", _FAST_S, refused),
    )
    for status, value, counts in kinds:
        template = _template(stream, status, value)
        for at, count in zip(times.tolist(), counts.tolist(), strict=True):
            if count:
                yield at, template % (at, count)


@lru_cache
def _template(stream: Stream, status: str, value: float) -> bytes:
    """An event of the history that wants its time and its count: as a delta, or as `count` events of one value."""
    weighs: dict[str, object] = (
        {"value": value, "count": _COUNT} if stream.weighted else {"value": _COUNT, "kind": "delta"}
    )
    event = _encoded(stream, _TIME, status, weighs)
    return event.replace(b"%", b"%%").replace(b"%d" % _TIME, b"%d").replace(b"%d" % _COUNT, b"%d")


def _event(stream: Stream, at_us: int, status: str, latency: float) -> bytes:
    return _encoded(stream, at_us, status, {"value": round(latency, 4)})


def _encoded(stream: Stream, at_us: int, status: str, fields: Mapping[str, object]) -> bytes:
    return msgspec.json.encode(
        {
            "time": at_us,
            "metric": METRIC,
            "service": stream.service,
            "labels": {"region": stream.region, "route": stream.route, "status": status},
            **fields,
        }
    )


def _status(chance: float, failing: float, refused: float) -> str:
    if chance < failing:
        return _ERROR_STATUSES[int(chance * 1e9) % len(_ERROR_STATUSES)]
    return "429" if chance < failing + refused else "200"


def _key(stream: Stream) -> bytes:
    return f"{stream.service}/{stream.region}".encode()
