"""What the native format's tests share: an event as JSON text, and reading it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from consumers.formats.native import read
from consumers.formats.samples import Sample
from consumers.formats.times import EARLIEST_US, TimeBounds
from consumers.formats.unusable import Unusable

RECORD_US = 1_763_900_000_000_000
BOUNDS = TimeBounds(EARLIEST_US, RECORD_US + 600_000_000)


def packed(**fields: Any) -> bytes:
    """An event with a metric and these fields; None leaves the metric out."""
    event = {"metric": "latency", **fields}
    return json.dumps({name: value for name, value in event.items() if (name, value) != ("metric", None)}).encode()


def samples(value: bytes, record_time_us: int = RECORD_US) -> list[Sample]:
    """Every sample of a record."""
    return read(value, record_time_us=record_time_us, bounds=BOUNDS)


def sample(**fields: Any) -> Sample:
    """The one sample of an event with these fields."""
    (only,) = samples(packed(**fields))
    return only


def refusal(value: bytes) -> Unusable:
    """Why a record is not used."""
    with pytest.raises(Unusable) as refused:
        samples(value)
    return refused.value


def outcome(value: bytes) -> list[Sample] | Unusable:
    """The samples of a record, or why it has none."""
    try:
        return samples(value)
    except Unusable as reason:
        return reason
