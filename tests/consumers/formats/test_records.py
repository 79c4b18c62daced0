"""A record's value to events: one object, an array, or one a line; and bytes that are none of these."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.formats import native
from consumers.formats.unusable import Unusable
from tests.consumers.formats.native_events import BOUNDS, outcome, packed, refusal, samples

A, B = packed(metric="a"), packed(metric="b")


@pytest.mark.parametrize(
    ("value", "metrics"),
    [
        (A, ["a"]),
        (b" \n" + A + b"\t\n", ["a"]),
        (b"[" + A + b"," + B + b"]", ["a", "b"]),
        (b" [" + A + b"]", ["a"]),
        (b"[]", []),
        (A + b"\n" + B, ["a", "b"]),
        (A + b"\r\n" + B + b"\r\n", ["a", "b"]),
        (A + b"\n\n  \n" + B + b"\n", ["a", "b"]),
        (A.replace(b": ", b":\n"), ["a"]),
    ],
    ids=["one", "blanks", "array", "blank array", "empty array", "lines", "CRLF", "blank lines", "over lines"],
)
def test_a_record_holds_an_event_or_an_array_or_one_a_line(value: bytes, metrics: list[str]) -> None:
    """In the order in which they come."""
    assert [each.metric for each in samples(value)] == metrics


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"\xff", "not_utf8"),
        (b'{"metric": "caf\xe9"}', "not_utf8"),
        (b'{"metric": "a", "labels": {"city": "\xff"}}', "not_utf8"),
        (b'{"metric": "a", "kind": "\xff"}', "not_utf8"),
        (b"metric=latency", "not_json"),
        (b"\x00\x00\x00\x00\x01\x02", "not_json"),
        (b'{"metric": "a"', "not_json"),
        (b'{"metric": "a"},', "not_json"),
        (A + b"\n{", "not_json"),
        (b'{"metric": "a", "note": NaN}', "not_json"),
        (b"\xef\xbb\xbf" + A, "not_json"),
        (b'{"metric": "\\ud83d', "not_json"),
        (b"null", "not_an_object"),
        (b"1", "not_an_object"),
        (b'"text"', "not_an_object"),
        (b"[1]", "not_an_object"),
        (b"[[]]", "not_an_object"),
        (A + b"\n[" + B + b"]", "not_an_object"),
        (A + b"\n1", "not_an_object"),
        (b"[" + A + b",null]", "not_an_object"),
        (b"[" * 100_000 + b"]" * 100_000, "too_deep"),
        (b'{"a":' * 100_000, "too_deep"),
        (b'{"metric": "a", "labels": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "too_deep"),
    ],
)
def test_bytes_that_are_no_events_are_refused_by_a_stable_code(value: bytes, code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(value).code == code


def test_a_record_that_is_not_json_says_where_it_ends_to_be() -> None:
    """The place helps to find it in the record."""
    assert refusal(b'{"metric": latency}').reason == "the record is not JSON (byte 11)"


def test_a_record_that_is_not_utf_8_says_where() -> None:
    """The place, never the text."""
    assert refusal(b'{"metric": "ab\xff"}').reason == "byte 14 is not UTF-8"


def test_a_record_that_is_too_large_is_refused_unread(monkeypatch: pytest.MonkeyPatch) -> None:
    """A compressed batch may hold a record far beyond what the broker's own bound says."""
    monkeypatch.setattr(native, "LARGEST_VALUE", len(A))

    assert [each.metric for each in samples(A)] == ["a"]
    assert refusal(A + b" ").code == "too_large"


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (b'{"metric": "a", "value": NaN}', "bad_value"),
        (b'{"metric": "a",\n "value": 1e999}', "bad_value"),
        (b'[{"metric": "a"}, {"metric": "a", "value": -Infinity}]', "bad_value"),
        (A + b'\n{"metric": "a", "value": Infinity}', "bad_value"),
        (b'{"metric": "a", "count": 1e999}', "bad_count"),
        (b'{"metric": "a", "labels": {"x": NaN}}', "bad_labels"),
        (b'{"metric": "a", "time": NaN}', "bad_time"),
        (b'[{"metric": "a", "time": -1e25}, {"metric": "a", "value": NaN}]', "bad_value"),
    ],
)
def test_numbers_that_json_does_not_know_are_named_by_their_field(value: bytes, code: str) -> None:
    """Python, JavaScript and others write NaN and Infinity; whoever sends them should see which field it was."""
    assert refusal(value).code == code


def test_fields_that_are_not_ours_may_hold_anything() -> None:
    """Emitters add their own, and nobody looks into them."""
    value = b'{"metric": "a", "note": {"deep": [1e999, "\xff", null]}, "id": 7}'

    assert [each.metric for each in samples(value)] == ["a"]


def test_a_record_counts_whole_or_not_at_all() -> None:
    """A half of it that counts could not be mended by sending it again."""
    value = b"\n".join([A, packed(value="high"), B])

    assert refusal(value).code == "bad_value"


near_json = st.recursive(
    st.sampled_from(["1", "-0", "1e999", "NaN", "null", "true", '"a"', '"\\ud800"', "9" * 5_000, "", '"']),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda many: "[" + ",".join(many) + "]"),
        st.dictionaries(
            st.sampled_from(["metric", "time", "labels", "value", "kind", "count", "x"]), inner, max_size=4
        ).map(lambda many: "{" + ",".join(f'"{name}":{value}' for name, value in many.items()) + "}"),
        st.lists(inner, max_size=3).map("\n".join),
    ),
    max_leaves=8,
).map(str.encode)


@given(value=st.one_of(st.binary(max_size=60), near_json))
@example(value=b"[" * 3_000)
@example(value=b'{"metric": "a", "time": ' + b"9" * 400 + b"}")
def test_no_bytes_raise_anything_but_unusable(value: bytes) -> None:
    """Whatever is on the topic, the worker lives."""
    found = outcome(value)

    if isinstance(found, Unusable):
        assert found.reason
    else:
        assert all(BOUNDS.earliest_us <= each.time_us <= BOUNDS.latest_us for each in found)


@given(value=st.binary(min_size=12, max_size=40))
def test_a_reason_holds_no_text_of_the_payload(value: bytes) -> None:
    """Reasons go to logs and headers, where personal data must not."""
    found = outcome(b'{"metric": "a", "labels": ' + value + b"}")

    assert value.decode("latin-1") not in str(found)
