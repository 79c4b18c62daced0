"""The native format: one JSON object, an array of them, or one a line.

Two paths give the same samples. `Wire` is what the hot loop decodes to: strict, without labels taken apart; whatever it
refuses goes to `read`, which takes everything the format allows and names exactly what is wrong with the rest.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, cast

import msgspec

from consumers.formats import times
from consumers.formats.samples import LARGEST_TOTAL, LARGEST_WEIGHT, Sample, counter, delta, state
from consumers.formats.series import (
    LONGEST_LABEL,
    LONGEST_NAME,
    MOST_LABELS,
    Series,
    checked_metric,
    label_text,
    storable,
)
from consumers.formats.times import EventTimes, TimeBounds
from consumers.formats.unusable import Unusable

LARGEST_VALUE: Final = 8 * 1024 * 1024
"""Bytes of one record. Kafka's own bound is on the compressed batch."""

Kind = Literal["event", "gauge", "delta"]
_KINDS: Final = ("event", "gauge", "delta", "counter", "state")
_STATES: Final[Mapping[object, bool]] = {"up": True, "down": False}


class Wire(msgspec.Struct, gc=False):
    """The fields that the hot loop uses, as strictly as the usual event has them. Nobody looks into other fields."""

    metric: str
    time: str | int | float | None = None
    labels: msgspec.Raw = msgspec.Raw(b"")
    service: str | None = None
    value: float = 1.0
    kind: Kind = "event"
    count: Annotated[int, msgspec.Meta(ge=0, le=LARGEST_WEIGHT)] = 1


class Loose(msgspec.Struct):
    """The same fields, whatever is in them."""

    metric: Any = None
    time: Any = None
    labels: Any = None
    service: Any = None
    value: Any = None
    kind: Any = None
    count: Any = None
    start: Any = None


def read(
    value: bytes, *, record_time_us: int, bounds: TimeBounds | None, event_times: EventTimes | None = None
) -> list[Sample]:
    """Every sample of a record. Raises Unusable: then nothing of the record counts. `bounds` None: whoever matches the
    samples looks at their times.
    """
    event_times = event_times or EventTimes()
    return [_sample(each, record_time_us, bounds, event_times) for each in _elements(value)]


def of_fields(fields: Mapping[str, object], record_time_us: int, event_times: EventTimes) -> Sample:
    """The sample of an event that came in another encoding than JSON. Raises Unusable."""
    return _sample(_loose(fields), record_time_us, None, event_times)


def labels_of(raw: bytes, service: str | None) -> dict[str, str]:
    """Labels from their JSON text, with the shorthand. Raises Unusable (bad_labels, not_utf8, too_deep)."""
    if not raw:
        return _labels(None, service)
    try:
        found = cast("object", msgspec.json.decode(raw))
    except UnicodeDecodeError as error:
        raise Unusable("not_utf8", "the labels are not UTF-8") from error
    except RecursionError as error:
        raise Unusable("too_deep", "the labels are nested too deeply") from error
    except msgspec.DecodeError as error:  # well-formed, since the record was: a number that is no number any more
        raise Unusable("bad_labels", "a label's value is too large a number") from error
    return _labels(found, service)


def delta_weight(value: float) -> int:
    """What a delta weighs. Raises Unusable (bad_value)."""
    return _whole("bad_value", "the value of a delta", value)


# ------------------------------------------------------------------------------------------------------- to elements


def _elements(value: bytes) -> list[Loose]:
    if not value.strip():
        raise Unusable("empty", "the record is empty")
    if len(value) > LARGEST_VALUE:
        raise Unusable("too_large", f"the record is larger than {LARGEST_VALUE:,} bytes")
    try:
        return _parsed(value)
    except RecursionError as error:
        raise Unusable("too_deep", "the JSON is nested too deeply") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _refusal(value, error) from error


_DECODER: Final = msgspec.json.Decoder(Loose | list[Loose])


def _parsed(value: bytes) -> list[Loose]:
    try:
        whole = _DECODER.decode(value)
    except msgspec.DecodeError:
        lines = _DECODER.decode_lines(value)
        events = [each for each in lines if isinstance(each, Loose)]
        if len(events) < len(lines):
            raise Unusable("not_an_object", "a line is not a JSON object") from None
        return events
    return [whole] if isinstance(whole, Loose) else whole


def _refusal(value: bytes, error: msgspec.DecodeError | UnicodeDecodeError) -> Unusable:
    """What is wrong with a record that the decoder does not take. Python's reader takes more (NaN, Infinity, numbers
    beyond all bounds): with it the reason names the field.
    """
    try:
        value.decode()
    except UnicodeDecodeError as place:
        return Unusable("not_utf8", f"byte {place.start} is not UTF-8")
    try:
        for each in _by_python(value):
            _sample(_loose(each), 0, None, EventTimes())
    except Unusable as reason:
        return reason
    except RecursionError:
        return Unusable("too_deep", "the JSON is nested too deeply")
    except ValueError:
        pass
    return Unusable("not_json", f"the record is not JSON{_where(error)}")


def _by_python(value: bytes) -> list[object]:
    try:
        whole: object = json.loads(value)
    except ValueError:
        return [json.loads(line) for line in value.splitlines() if line.strip()]
    return cast("list[object]", whole) if isinstance(whole, list) else [whole]


def _loose(found: object) -> Loose:
    if not isinstance(found, dict):
        raise Unusable("not_an_object", "an event is not a JSON object")
    fields = cast("dict[str, object]", found)
    return Loose(*(fields.get(name) for name in Loose.__struct_fields__))


def _where(error: Exception) -> str:
    """The library's position, without anything of the payload."""
    _, found, place = str(error).rpartition("(byte ")
    return f" (byte {place}" if found else ""


# --------------------------------------------------------------------------------------------------------- to samples


def _sample(event: Loose, record_time_us: int, bounds: TimeBounds | None, event_times: EventTimes) -> Sample:
    metric = checked_metric(event.metric)
    kind = _kind(event.kind)
    labels = _labels(event.labels, event.service)
    count = _whole("bad_count", "count", _or(event.count, 1))
    time_us = time_of(event.time, record_time_us, event_times)
    if bounds is not None:
        bounds.check(time_us)
    series, found = Series(metric, labels), _or(event.value, 1)
    if kind == "state":
        return state(series, time_us, up=_up(found))
    if kind == "counter":
        total = _whole("bad_value", "the value of a counter", found, LARGEST_TOTAL)
        return counter(series, time_us, total, _start(event.start, event_times))
    value = _number(found)
    if kind == "delta":
        return delta(series, time_us, delta_weight(value))
    return Sample(series, time_us, count, value)


def _or(found: object, default: object) -> object:
    """Null is as good as missing: many emitters write every field."""
    return default if found is None else found


def _kind(found: object) -> Kind | Literal["counter", "state"]:
    if found is None:
        return "event"
    if found not in _KINDS:
        raise Unusable("bad_kind", "the kind must be event, gauge, delta, counter or state")
    return found


def _up(found: object) -> bool:
    if isinstance(found, str) and found in _STATES:
        return _STATES[found]
    if isinstance(found, str):
        raise Unusable("bad_value", 'the value of a state must be "up", "down", true, false or a number')
    return found if isinstance(found, bool) else _number(found) != 0


def time_of(found: object, record_time_us: int, event_times: EventTimes) -> int:
    """The event's own time, else its record's (negative: it has none). Raises Unusable (bad_time)."""
    if found is None:
        if record_time_us < 0:
            raise Unusable("bad_time", "neither the event nor its record has a time")
        return record_time_us
    if isinstance(found, str):
        return event_times.of_text(found)
    if isinstance(found, int | float) and not isinstance(found, bool):
        try:
            return times.of_number(found)
        except OverflowError as error:
            raise Unusable("bad_time", "the time is too large a number") from error
    raise Unusable("bad_time", "the time must be RFC 3339 text or a number")


def _start(found: object, event_times: EventTimes) -> int:
    """When a counter began; zero where nothing is said. Raises Unusable (bad_time)."""
    if found is None:
        return 0
    try:
        return time_of(found, -1, event_times)
    except Unusable as error:
        raise Unusable(error.code, f"start: {error.reason}") from error


def _number(found: object) -> float:
    if isinstance(found, bool) or not isinstance(found, int | float):
        raise Unusable("bad_value", "the value must be a number")
    try:
        number = float(found)
    except OverflowError as error:
        raise Unusable("bad_value", "the value is too large a number") from error
    if not math.isfinite(number):
        raise Unusable("bad_value", "the value must be finite, not NaN or infinite")
    return number


def _whole(code: Literal["bad_count", "bad_value"], what: str, found: object, most: int = LARGEST_WEIGHT) -> int:
    if isinstance(found, bool) or not isinstance(found, int | float) or not 0 <= found <= most:
        raise Unusable(code, f"{what} must be a whole number from 0 to {most:,}")
    if found != int(found):
        raise Unusable(code, f"{what} must be a whole number: fractions of an occurrence cannot be counted")
    return int(found)


def _labels(found: object, service: object) -> dict[str, str]:
    if found is None:
        found = {}
    if not isinstance(found, dict):
        raise Unusable("bad_labels", "the labels must be an object")
    raw = cast("dict[str, object]", found)
    if len(raw) > MOST_LABELS:
        raise Unusable("bad_labels", f"more than {MOST_LABELS} labels")
    labels = {_name(name): _label(value) for name, value in raw.items()}
    if service is not None and labels.setdefault("service", _label(service)) != _label(service):
        raise Unusable("bad_labels", "service is given twice, with different values")
    return labels


def _name(name: str) -> str:
    if not name or name == "__name__" or len(name) > LONGEST_NAME or not storable(name):
        raise Unusable("bad_labels", "a label's name is empty, too long, reserved, or no text")
    return name


def _label(value: object) -> str:
    if isinstance(value, int) or (isinstance(value, float) and math.isfinite(value)):
        value = label_text(value)
    if not isinstance(value, str):
        raise Unusable("bad_labels", "a label's value must be a string, a number or a boolean")
    if len(value) > LONGEST_LABEL or not storable(value):
        raise Unusable("bad_labels", f"a label's value must be up to {LONGEST_LABEL} characters of text, without NUL")
    return value
