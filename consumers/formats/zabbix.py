"""Zabbix' item values, as its connector streams them and as it exports them in real time: one JSON object a line.

Specified in Zabbix' manual, appendix protocols, newline-delimited JSON export protocol (item values).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Final

import msgspec

from consumers.formats.native import time_of
from consumers.formats.objects import Objects
from consumers.formats.samples import Payload, Sample, gauge
from consumers.formats.series import Series, checked_metric, tolerated
from consumers.formats.unusable import Unusable

NUMERIC: Final = (0, 3)
"""Types of numbers: float, and unsigned of 64 bits. All others are texts: character, log, text, binary."""

OWN: Final = ("host", "host_name", "itemid", "groups")
"""Labels that are not item tags; a tag of such a name is written `tag_<name>`."""

_LATEST_CLOCK: Final = 10**11
_SECOND_NS: Final = 10**9


_Id = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class _Host(msgspec.Struct, gc=False):
    host: str | None = None
    name: str | None = None


class _Tag(msgspec.Struct, gc=False):
    tag: str
    value: str | None = None


class _Line(msgspec.Struct, gc=False):
    """What only trends and trigger events have is declared as well, to name them."""

    name: str | None = None
    kind: int | None = msgspec.field(default=None, name="type")
    value: Any = msgspec.UNSET
    clock: int | None = None
    ns: int | None = None
    host: _Host | str | None = None
    itemid: _Id | str | None = None
    groups: list[str] | None = None
    item_tags: list[_Tag] | None = None
    average: Any = msgspec.field(default=msgspec.UNSET, name="avg")


_OBJECTS: Final = Objects(
    msgspec.json.Decoder(_Line),
    msgspec.json.Decoder(list[_Line]),
    {
        "name": "bad_metric",
        "type": "bad_kind",
        "clock": "bad_time",
        "ns": "bad_time",
        "host": "bad_labels",
        "itemid": "bad_labels",
        "groups": "bad_labels",
        "item_tags": "bad_labels",
    },
)


class Zabbix:
    """Each value of a numeric item is a value of the metric that is the item's name."""

    def read(self, payload: Payload) -> Sequence[Sample]:
        """Raises Unusable (bad_kind, missing_metric, missing_value, bad_value, bad_time, and what is not JSON)."""
        return _OBJECTS.samples(payload, _samples)


def _samples(line: _Line, payload: Payload) -> Sequence[Sample]:
    if line.kind is None or (line.value is msgspec.UNSET and line.average is not msgspec.UNSET):
        raise Unusable("bad_kind", "the connector must send item values")
    if line.kind not in NUMERIC:
        return ()
    series = Series(checked_metric(line.name), tolerated(_labels(line)))
    return (gauge(series, _time_us(line, payload), _value(line.value)),)


def _value(found: object) -> float:
    if found is msgspec.UNSET:
        raise Unusable("missing_value", "the item has no value")
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unusable("bad_value", "value: a numeric item's must be a number")
    try:
        return float(found)
    except OverflowError as error:
        raise Unusable("bad_value", "value: the number is too large") from error


def _time_us(line: _Line, payload: Payload) -> int:
    """Seconds and nanoseconds: `clock` has one unit, and is not guessed."""
    if line.clock is None:
        return time_of(None, payload.time_us, payload.times)
    nanos = line.ns or 0
    if not (0 <= line.clock < _LATEST_CLOCK and 0 <= nanos < _SECOND_NS):
        raise Unusable("bad_time", "clock and ns are not seconds since the epoch and nanoseconds of a second")
    return line.clock * 1_000_000 + nanos // 1_000


# ------------------------------------------------------------------------------------------------------------- labels


def _labels(line: _Line) -> dict[str, str]:
    host = line.host if isinstance(line.host, _Host) else _Host(line.host)
    own = (host.host, host.name, line.itemid, ",".join(line.groups or ()))
    named = {name: str(value) for name, value in zip(OWN, own, strict=True) if value is not None}
    return named | _tags(line.item_tags or ())


def _tags(tags: Iterable[_Tag]) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for each in tags:
        name = f"tag_{each.tag}" if each.tag in OWN else each.tag
        values.setdefault(name, []).append(each.value or "true")
    return {name: ",".join(held) for name, held in values.items()}
