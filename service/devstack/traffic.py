"""Traffic of a small company, for the demo: Poisson arrivals with a daily shape, lognormal latencies, failures.

Pure but for the random generator handed in. Events are native JSON bytes; history is one `delta` event per series and
minute, live traffic one event a request.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec
import numpy as np

METRIC = "http_request_duration_seconds"
MINUTE_US = 60_000_000
DAY_US = 86_400_000_000
_PEAK_HOUR = 15  # UTC; the shape below has its greatest value here
_ERROR_STATUSES = ("500", "502", "503")
_SLOW_S = 0.85  # what a slow request of the history took; over the demo's latency bound
_FAST_S = 0.12


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
) -> Iterator[tuple[int, list[tuple[bytes, bytes]]]]:
    """The past in steps: (time reached, records of that step). A record is an array of one stream's minutes."""
    for start in range(from_us, to_us, minutes_a_record * MINUTE_US):
        end = min(start + minutes_a_record * MINUTE_US, to_us)
        minutes = range(start, end, MINUTE_US)
        records: list[tuple[bytes, bytes]] = []
        for stream in streams:
            events = [event for minute in minutes for event in _minute(stream, incidents, minute, random)]
            if events:
                records.append((_key(stream), b"[" + b",".join(events) + b"]"))
        yield end, records


def _minute(
    stream: Stream, incidents: tuple[Incident, ...], minute_us: int, random: np.random.Generator
) -> Iterator[bytes]:
    hit = next((incident for incident in incidents if incident.hits(stream, minute_us)), None)
    if hit and hit.silent:
        return
    total = int(random.poisson(60 * stream.rate * daily_shape(minute_us) * (hit.surge if hit else 1.0)))
    failed = int(random.binomial(total, hit.failing if hit else stream.failing))
    refused = int(random.binomial(total - failed, stream.refused)) if stream.refused else 0
    passed = total - failed - refused
    at = minute_us + int(random.integers(0, MINUTE_US))
    if not stream.weighted:
        yield from _deltas(stream, at, passed, failed, refused)
        return
    slow = int(random.binomial(passed, stream.slow))
    for status, value, count in (("200", _FAST_S, passed - slow), ("200", _SLOW_S, slow)):
        if count:
            yield _event(stream, at, status, value, count)
    for status, count in (("503", failed), ("429", refused)):
        if count:
            yield _event(stream, at, status, _FAST_S, count)


def _deltas(stream: Stream, at_us: int, passed: int, failed: int, refused: int) -> Iterator[bytes]:
    for status, count in (("200", passed), ("503", failed), ("429", refused)):
        if count:
            yield _encoded(stream, at_us, status, {"value": count, "kind": "delta"})


def _event(stream: Stream, at_us: int, status: str, latency: float, count: int = 1) -> bytes:
    fields: dict[str, float | int] = {"value": round(latency, 4)}
    if count > 1:
        fields["count"] = count
    return _encoded(stream, at_us, status, fields)


def _encoded(stream: Stream, at_us: int, status: str, fields: dict[str, float | int] | dict[str, object]) -> bytes:
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
