"""StatsD and DogStatsD: lines become deltas and values; the lines are those of their documentation."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.formats.samples import FRACTION, NOT_FINITE, TOO_LARGE
from consumers.formats.statsd import RELATIVE, SET, StatsD
from consumers.formats.unusable import Unusable
from tests.consumers.formats.mutations import judged
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

AT_US = 1_656_581_400_000_000


def read(text: str) -> list[tuple[str, dict[str, str], int, float | None]]:
    """Metric, labels, weight and value of each sample."""
    return [(each.metric, dict(each.labels), each.weight, each.value) for each in samples(StatsD(), text)]


def unfit(text: str) -> list[Unusable | None]:
    return [each.unfit for each in samples(StatsD(), text)]


@pytest.mark.parametrize(
    ("line", "weight"),
    [
        ("gorets:1|c", 1),
        ("gorets:0|c", 0),
        ("gorets:+2|c", 2),
        ("gorets:1|c|@0.1", 10),
        ("gorets:3|c|@0.1", 30),
        ("gorets:1|c|@0.3", 3),
        ("gorets:2|c|@1.0", 2),
        ("gorets:1.5|c|@0.5", 3),
    ],
)
def test_counters_are_deltas(line: str, weight: int) -> None:
    """A sampled one is an estimate: the nearest whole number."""
    assert read(line) == [("gorets", {}, weight, None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("gorets:-1|c", TOO_LARGE),
        ("gorets:-0.1|c|@0.5", TOO_LARGE),
        ("gorets:1e300|c|@0.000001", TOO_LARGE),
        ("gorets:inf|c|@0.5", TOO_LARGE),
        ("gorets:1e13|c", TOO_LARGE),
        ("gorets:0.5|c", FRACTION),
        ("load:1e999|g", NOT_FINITE),
        ("load:-inf|ms", NOT_FINITE),
        ("gaugor:-10|g", RELATIVE),
        ("gaugor:+4|g", RELATIVE),
        ("uniques:765|s", SET),
        ("uniques:a:b c|s|#x:y", SET),
    ],
)
def test_what_cannot_be_counted_does_not_spoil_the_rest(line: str, reason: Unusable) -> None:
    """Steps back, changes of gauges, sets, and what is beyond all bounds."""
    assert unfit(f"{line}\ngorets:1|c") == [reason, None]


def test_gauges_are_values() -> None:
    """Their rate says nothing about them."""
    assert read("gaugor:333|g\nfuel.level:0.5|g|@0.1") == [("gaugor", {}, 1, 333.0), ("fuel.level", {}, 1, 0.5)]


@pytest.mark.parametrize("kind", ["ms", "h", "d"])
def test_timers_histograms_and_distributions_are_values_for_each_occurrence(kind: str) -> None:
    """As many as the rate says, in the unit that was sent."""
    assert read(f"song.length:240|{kind}") == [("song.length", {}, 1, 240.0)]
    assert read(f"song.length:-240|{kind}|@0.5") == [("song.length", {}, 2, -240.0)]
    assert read(f"song.length:240|{kind}|@0.3") == [("song.length", {}, 3, 240.0)]


def test_values_may_be_packed() -> None:
    """Each is a sample; empty ones are none, nor is NaN."""
    assert read("page.views:1:2:32|d|@0.5|#a:b") == [("page.views", {"a": "b"}, 2, value) for value in (1.0, 2.0, 32.0)]
    assert read("page.views:1::2:|c") == [("page.views", {}, 1, None), ("page.views", {}, 2, None)]
    assert read("page.views:nan:2:NaN|h") == [("page.views", {}, 1, 2.0)]
    assert read("page.views:nan|g") == []


@pytest.mark.parametrize(
    ("extensions", "labels"),
    [
        ("|#country:china", {"country": "china"}),
        ("|#country:china,beta", {"country": "china", "beta": "true"}),
        ("|#url:http://a:80/,,x:", {"url": "http://a:80/"}),
        ("|#env:a,env:b", {"env": "b"}),
        ("|#a:b\u2028c d\x85", {"a": "b\u2028c d\x85"}),
        ("|#", {}),
        ("|", {}),
        ("|c:83c0a99c0a54c0c187f461c7980e9b57", {"container_id": "83c0a99c0a54c0c187f461c7980e9b57"}),
        ("|c:ci-83c0", {"container_id": "83c0"}),
        ("|c:in-42,cid-83c0", {"container_id": "83c0"}),
        ("|c:in-42", {}),
        ("|#container_id:mine|c:ci-83c0", {"container_id": "mine"}),
        ("|e:it-false,cn-nginx|card:low|h:no host|m:no message|#a:b", {"a": "b"}),
    ],
)
def test_tags_and_the_container_are_labels(extensions: str, labels: dict[str, str]) -> None:
    """A tag without a value is true; what is not known is passed over."""
    assert read(f"users.online:1|c{extensions}") == [("users.online", labels, 1, None)]


def test_a_line_may_say_its_time() -> None:
    """In seconds; the record's holds where it does not."""
    found = samples(StatsD(), "page.views:15|c|#env:dev|T1656581400\nload:0.5|g")

    assert told(found) == [
        ("page.views", {"env": "dev"}, AT_US, 15, None),
        ("load", {}, RECORD_US, 1, 0.5),
    ]


def test_a_line_without_a_time_needs_a_record_with_one() -> None:
    """Or it would be counted anywhere."""
    with pytest.raises(Unusable) as refused:
        StatsD().read(payload("a:1|c|T1656581400\na:1|c", time_us=-1))

    assert str(refused.value) == "bad_time: line 2: neither the event nor its record has a time"


def test_a_record_holds_several_lines() -> None:
    """However they end; blank ones are none."""
    assert [name for name, *_ in read("\ngorets:1|c\r\n\n glork:320|ms \n\t\ngaugor:333|g\n")] == [
        "gorets",
        "glork",
        "gaugor",
    ]


def test_service_checks_are_values_of_their_name() -> None:
    """The status, from 0 (OK) to 3 (unknown)."""
    line = "_sc|Redis connection|2|d:1656581400|h:db1|#env:dev,redis|c:83c0|m:Timed out|d:never|#x:y"

    assert told(samples(StatsD(), line)) == [
        ("Redis connection", {"env": "dev", "redis": "true", "host": "db1", "container_id": "83c0"}, AT_US, 1, 2.0)
    ]
    assert read("_sc|up|0\n_sc|up|3|T1|newer") == [("up", {}, 1, 0.0), ("up", {}, 1, 3.0)]


def test_events_are_skipped() -> None:
    """They are for people to read."""
    text = "_e{21,36}:An exception occurred|Cannot parse CSV file from 10.0.0.17|t:warning|#err_type:bad_file"

    assert samples(StatsD(), text) == []
    assert len(samples(StatsD(), f"{text}\na:1|c")) == 1


def test_a_series_is_built_once() -> None:
    """Later lines with the same tags have the same one."""
    first, second, third = samples(StatsD(), "m:1|c|#a:b\nm:2|c|@0.5|#a:b\nm:2|c|#a:c")

    assert first.series is second.series
    assert first.series != third.series


METRIC = "a metric is name:value|type, of type c, g, ms, h, d or s"
CHECK = "a service check is _sc|name|status, with a status from 0 to 3"
VALUE = "a value is not a number"
RATE = "the sample rate must be a number above 0 and up to 1"
TIME = "the time must be whole seconds since the epoch"


@pytest.mark.parametrize(
    ("line", "code", "reason"),
    [
        ("gorets", "bad_line", METRIC),
        ("gorets:1", "bad_line", METRIC),
        ("gorets|c", "bad_line", METRIC),
        ("gorets:|c", "bad_line", METRIC),
        (":1|c", "bad_line", METRIC),
        ("gorets:1|", "bad_line", METRIC),
        ("gorets:1|x", "bad_line", METRIC),
        ("gorets:1|C", "bad_line", METRIC),
        ("_scx|a|1", "bad_line", METRIC),
        ("gorets:one|c", "bad_line", VALUE),
        ("gorets:1:x|c", "bad_line", VALUE),
        ("gorets:::|c", "bad_line", VALUE),
        ("gorets:1_0|c", "bad_line", VALUE),
        ("gorets:\u0661|c", "bad_line", VALUE),
        ("gorets:1 |c", "bad_line", VALUE),
        ("gorets:0x10|g", "bad_line", VALUE),
        *[(f"gorets:1|c|@{rate}", "bad_line", RATE) for rate in ("", "x", "0", "-1", "1.1", "nan", "inf", "1e-320")],
        *[(f"gorets:1|c|T{time}", "bad_time", TIME) for time in ("", "now", "-1", "1.5", "9" * 20, "\u0661")],
        ("_sc|", "bad_line", CHECK),
        ("_sc|up", "bad_line", CHECK),
        ("_sc||1", "bad_line", CHECK),
        ("_sc|up|4", "bad_line", CHECK),
        ("_sc|up|OK", "bad_line", CHECK),
        ("_sc|up|1|d:now", "bad_time", TIME),
        ("a\0b:1|c", "bad_metric", "the metric must be up to 512 characters of text, without NUL"),
        ("_sc|" + "a" * 600 + "|1", "bad_metric", "the metric must be up to 512 characters of text, without NUL"),
        ("a:1|c|#" + ",".join(f"t{number}" for number in range(130)), "bad_labels", "more than 128 labels"),
    ],
)
def test_a_broken_line_is_named(line: str, code: str, reason: str) -> None:
    """By its number and what is wrong with it; never by its text."""
    found = refusal(StatsD(), f"gorets:1|c\n\n{line}")

    assert (found.code, found.reason) == (code, f"line 3: {reason}")


@pytest.mark.parametrize(("value", "code"), [(b"", "empty"), (b" \r\n\n", "empty"), (b"a:1|c|#b:\xff", "not_utf8")])
def test_a_record_that_is_no_text_is_refused(value: bytes, code: str) -> None:
    """By a stable code."""
    assert refusal(StatsD(), value).code == code


GOOD = (
    b"page.views:1|c|@0.1|#country:china,beta|c:ci-83c0|T1656581400\nsong.length:240:234|h|@0.5\n"
    b"_sc|Redis connection|2|d:1656581400|h:db1|#env:dev|m:Timed out\n_e{1,1}:a|b\nuniques:765|s\nfuel:+0.5|g\n"
)


@examples(100)
@given(st.data())
def test_any_bytes_are_samples_or_a_reason(data: st.DataObject) -> None:
    """Cut off, with other bytes in it, or none of ours."""
    good = bytearray(GOOD)
    for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
        good[place] = data.draw(st.sampled_from(b":|@#,\n\0\xffe-9") | st.integers(0, 255))
    judged(StatsD(), data.draw(st.just(bytes(good[: data.draw(st.integers(0, len(good)))])) | st.binary(max_size=40)))


@examples(100)
@given(value=st.text(st.sampled_from("a:|@#,\n1.e-+cghdms T_{"), max_size=30).map(str.encode))
@example(value=b"a:" + b"1:" * 20_000 + b"1|d|@1e-12")
@example(value=b"a:1e308|c|@1e-12")
@example(value=b"a:" + b"9" * 100_000 + b"|d")
@example(value=b"a:1|c" + b"|" * 100_000)
def test_texts_much_like_lines_are_samples_or_a_reason(value: bytes) -> None:
    """In time that grows with their length alone."""
    judged(StatsD(), value)
