"""What the tests of all formats share: one record read by one reader."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from consumers.formats.catalogue import Reader
from consumers.formats.samples import Payload, Sample
from consumers.formats.times import EventTimes
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import RECORD_US


def payload(value: bytes | str, headers: Mapping[str, bytes] | None = None, time_us: int = RECORD_US) -> Payload:
    """A record, with its Kafka timestamp."""
    return Payload(value.encode() if isinstance(value, str) else value, time_us, EventTimes(), headers or {})


def samples(
    reader: Reader, value: bytes | str, headers: Mapping[str, bytes] | None = None, time_us: int = RECORD_US
) -> list[Sample]:
    """Every sample of a record."""
    found = reader.read(payload(value, headers, time_us))
    assert found is not None, "left to the native format"
    return list(found)


def refusal(reader: Reader, value: bytes | str, headers: Mapping[str, bytes] | None = None) -> Unusable:
    """Why a record is not used."""
    with pytest.raises(Unusable) as refused:
        reader.read(payload(value, headers))
    return refused.value


def told(found: list[Sample]) -> list[tuple[str, dict[str, str], int, int, float | None]]:
    """Samples as plain values: metric, labels, time in us, weight, value."""
    return [(each.metric, dict(each.labels), each.time_us, each.weight, each.value) for each in found]
