"""InfluxDB's line protocol: fields become values; the first lines are those of its reference."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.formats.influx import Influx
from consumers.formats.samples import NOT_FINITE
from consumers.formats.unusable import Unusable
from tests.consumers.formats.mutations import judged
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

WEATHER_US = 1_465_839_830_100_400


def values(text: str) -> list[tuple[str, float | None]]:
    """Metrics and values of a record."""
    return [(each.metric, each.value) for each in samples(Influx(), text)]


def labels(text: str) -> dict[str, str]:
    """The labels of a record's one sample."""
    (only,) = samples(Influx(), text)
    return dict(only.labels)


def test_each_field_is_a_value_of_a_metric_of_its_own() -> None:
    """With the point's tags and its time."""
    found = samples(
        Influx(), "weather,location=us-midwest,season=summer temperature=82,humidity=71 1465839830100400200"
    )

    tags = {"location": "us-midwest", "season": "summer"}
    assert told(found) == [
        ("weather_temperature", tags, WEATHER_US, 1, 82.0),
        ("weather_humidity", tags, WEATHER_US, 1, 71.0),
    ]


def test_a_record_holds_several_lines() -> None:
    """Blank ones and comments are none, however lines end."""
    text = "# measured by hand\n\nm f=1\r\n  \t\r\n  # f=2\n\tm f=3 \nm f=4"

    assert values(text) == [("m_f", 1.0), ("m_f", 3.0), ("m_f", 4.0)]


def test_a_record_may_be_comments_alone() -> None:
    """Nothing was measured."""
    assert samples(Influx(), "# nothing") == []


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("82", 82.0),
        ("-82.5", -82.5),
        ("+1", 1.0),
        (".5", 0.5),
        ("8.", 8.0),
        ("1e78", 1e78),
        ("-1.5E-3", -0.0015),
        ("1i", 1.0),
        ("-12485903i", -12485903.0),
        ("9223372036854775807i", 2.0**63),
        ("1u", 1.0),
        ("18446744073709551615u", 2.0**64),
        *[(text, 1.0) for text in ("t", "T", "true", "True", "TRUE")],
        *[(text, 0.0) for text in ("f", "F", "false", "False", "FALSE")],
    ],
)
def test_numbers_and_booleans_come_in_every_spelling(text: str, value: float) -> None:
    """Floats, integers, unsigned integers and booleans; alone and among others."""
    assert values(f"m f={text}") == [("m_f", value)]
    assert values(f"m f={text},g={text} 1465839830\n") == [("m_f", value), ("m_g", value)]


def test_texts_are_no_samples() -> None:
    """Whatever is in them: quotes, commas, line ends."""
    text = 'weather note="too \\"warm\\", = hot\n# no comment\\\\",temperature=82 1465839830100400200\nm f=1'

    assert values(text) == [("weather_temperature", 82.0), ("m_f", 1.0)]
    assert values('m note=""') == []


def test_nan_is_no_value() -> None:
    """Line protocol has no word for it, but some write Go's."""
    assert values("m f=NaN,g=-nan,h=1") == [("m_h", 1.0)]


@pytest.mark.parametrize("text", ["+Inf", "-inf", "1e999", "9" * 400 + "i"])
def test_what_is_beyond_all_bounds_is_a_sample_that_nobody_can_count(text: str) -> None:
    """It does not spoil the others."""
    large, small = samples(Influx(), f"m large={text},small=1")

    assert (large.unfit, small.unfit) == (NOT_FINITE, None)


@pytest.mark.parametrize(
    ("text", "metric", "tags"),
    [
        (r"my\ Measure\,ment f=1", "my Measure,ment_f", {}),
        (r"m=n f=1", "m=n_f", {}),
        (r"m\=n f=1", r"m\=n_f", {}),
        (r"m f\ i\,e\=ld=1", "m_f i,e=ld", {}),
        (r"m,tag\ Key1=tag\,Value\=1,k\=2=v f=1", "m_f", {"tag Key1": "tag,Value=1", "k=2": "v"}),
        (r"m,path=C:\Temp,share=\\server\x f=1", "m_f", {"path": r"C:\Temp", "share": r"\\server\x"}),
        (r"m,a=b\\,c f=1", "m_f", {"a": r"b\,c"}),
        ('"m",a="b" "f"=1', '"m"_"f"', {"a": '"b"'}),
        ("m,a=b\u00a0c\u2028d f=1", "m_f", {"a": "b\u00a0c\u2028d"}),
        ("wetter,ort=k\u00f6ln f=1", "wetter_f", {"ort": "k\u00f6ln"}),
        ("m,a=b,a=c f=1", "m_f", {"a": "c"}),
    ],
)
def test_names_are_escaped(text: str, metric: str, tags: dict[str, str]) -> None:
    """A backslash stands for itself but before what it escapes; quotes are nothing special in names."""
    (only,) = samples(Influx(), text)

    assert (only.metric, only.labels) == (metric, tags)


@pytest.mark.parametrize(
    ("stamp", "time_us"),
    [
        (" 1465839830", 1_465_839_830_000_000),
        (" 1465839830100", 1_465_839_830_100_000),
        (" 1465839830100400", WEATHER_US),
        ("  1465839830100400200 ", WEATHER_US),
        (" 0000000000000000000", 0),
        (" -1465839830100400000", -WEATHER_US),
        ("", RECORD_US),
        (" ", RECORD_US),
        ("\r", RECORD_US),
    ],
)
def test_the_time_is_in_any_unit(stamp: str, time_us: int) -> None:
    """The protocol says it beside the text; here its size tells."""
    assert [each.time_us for each in samples(Influx(), f"m f=1{stamp}\nm f=2{stamp}")] == [time_us] * 2


def test_a_point_without_a_time_needs_a_record_with_one() -> None:
    """Or it would be counted anywhere."""
    with pytest.raises(Unusable) as refused:
        Influx().read(payload("m f=1 1465839830\nm f=1", time_us=-1))

    assert str(refused.value) == "bad_time: line 2: neither the event nor its record has a time"


def test_a_series_is_built_once() -> None:
    """Later points with the same tags have the same one."""
    first, second, third = samples(Influx(), "m,a=b f=1\nm,a=b f=2\nm,a=c f=2")

    assert first.series is second.series
    assert first.series != third.series


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (",a=b f=1", "a point begins with its measurement"),
        ("m", "tags are ,key=value and fields come after a space"),
        ("m,", "tags are ,key=value and fields come after a space"),
        ("m,a f=1", "tags are ,key=value and fields come after a space"),
        ("m,a= f=1", "tags are ,key=value and fields come after a space"),
        ("m,=b f=1", "tags are ,key=value and fields come after a space"),
        ("m,a=b=c f=1", "tags are ,key=value and fields come after a space"),
        ("m,a=b", "tags are ,key=value and fields come after a space"),
        ("m,a=b\\", "tags are ,key=value and fields come after a space"),
        ("m ", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m =1", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=word", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=tr", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=1.5i", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=-1u", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=1_000", "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=\u0661", "a field is key=value, with a number, a boolean or a quoted text"),
        ('m f="open', "a field is key=value, with a number, a boolean or a quoted text"),
        ("m f=1,", "a field that is none, or more than a time after the fields"),
        ("m f=1,g", "a field that is none, or more than a time after the fields"),
        ('m f="a"b', "a field that is none, or more than a time after the fields"),
        ("m f=1 soon", "a field that is none, or more than a time after the fields"),
        ("m f=1 1.5", "a field that is none, or more than a time after the fields"),
        ("m f=1 1 1", "a field that is none, or more than a time after the fields"),
        ("m f=1 " + "1" * 20, "a field that is none, or more than a time after the fields"),
    ],
)
def test_a_broken_line_is_named(line: str, reason: str) -> None:
    """By its number and what is wrong with it; never by its text."""
    found = refusal(Influx(), f"m f=1\n\n{line}")

    assert (found.code, found.reason) == ("bad_line", f"line 3: {reason}")


@pytest.mark.parametrize(
    ("value", "code", "reason"),
    [
        (b"", "empty", "the record is empty"),
        (b" \r\n", "empty", "the record is empty"),
        (b"m f=\xff", "not_utf8", "byte 4 is not UTF-8"),
        (b"m f=1\na\0b f=1", "bad_metric", "line 2: the metric must be up to 512 characters of text, without NUL"),
        (
            b"m " + b"f" * 600 + b"=1",
            "bad_metric",
            "line 1: the metric must be up to 512 characters of text, without NUL",
        ),
        (
            b"m" + b"".join(b",t%d=x" % number for number in range(129)) + b' f="text"',
            "bad_labels",
            "line 1: more than 128 labels",
        ),
    ],
)
def test_a_record_that_is_no_points_is_refused(value: bytes, code: str, reason: str) -> None:
    """By a stable code."""
    found = refusal(Influx(), value)

    assert (found.code, found.reason) == (code, reason)


def test_labels_are_within_bounds() -> None:
    """What no database takes is replaced, what is too long is cut."""
    assert labels("m,a=b\0c,long=" + "x" * 5_000 + " f=1") == {"a": "b\ufffdc", "long": "x" * 4_096}


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\\\t\n\v\f\r\0"), min_size=1, max_size=8)


def escaped(text: str, marks: str) -> str:
    return "".join(f"\\{each}" if each in marks else each for each in text)


@examples(100)
@given(
    measurement=names.filter(lambda name: not name.startswith("#")),
    tags=st.dictionaries(names.filter(lambda name: name != "__name__"), names, max_size=3),
    fields=st.dictionaries(names, st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=3),
    time_us=st.integers(10**14, 10**17 - 1),
)
def test_what_is_written_is_read(
    measurement: str, tags: dict[str, str], fields: dict[str, float], time_us: int
) -> None:
    """Whatever is in names."""
    head = escaped(measurement, ", ") + "".join(f",{escaped(k, ',= ')}={escaped(v, ',= ')}" for k, v in tags.items())
    body = ",".join(f'{escaped(key, ",= ")}={value!r},x="\\"\n"' for key, value in fields.items())

    found = samples(Influx(), f"{head} {body} {time_us}\n{head} {body} {time_us}")

    assert told(found) == [(f"{measurement}_{key}", tags, time_us, 1, value) for key, value in fields.items()] * 2


GOOD = (
    b'# by hand\nweather,location=us-midwest,a\\ b=c temperature=82i,note="a \\"b\n",ok=t 1465839830100400200\n'
    b"m f=1.5e3,g=2u\n"
)


@examples(100)
@given(st.data())
def test_any_bytes_are_samples_or_a_reason(data: st.DataObject) -> None:
    """Cut off, with other bytes in it, or none of ours."""
    good = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
        good[place] = data.draw(st.sampled_from(b'\\,= "\n\t\r#i\0\xff1') | st.integers(0, 255))
    judged(Influx(), data.draw(st.just(bytes(good[: data.draw(st.integers(0, len(good)))])) | st.binary(max_size=40)))


@examples(100)
@given(value=st.text(st.sampled_from('m,=\\ "\n\t\r#1.eiutf-'), max_size=30).map(str.encode))
@example(value=b"m," + b"\\" * 100_000)
@example(value=b'm f="' + b"\\" * 100_001)
@example(value=b"\\," * 100_000)
@example(value=b"m" + b",a=b" * 50_000 + b" f=1" + b",f=1" * 50_000 + b",")
@example(value=b"#" * 200_000 + b"\n" * 200_000)
def test_texts_much_like_lines_are_samples_or_a_reason(value: bytes) -> None:
    """In time that grows with their length alone."""
    judged(Influx(), value)
