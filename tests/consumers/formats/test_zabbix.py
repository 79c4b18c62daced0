"""Zabbix' item values, one a line."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.zabbix import Zabbix
from tests.consumers.formats.mutations import judged, mutated
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import refusal, samples, told
from tests.examples import examples

LOAD = {
    "host": {"host": "Host B", "name": "Host B visible"},
    "groups": ["Group X", "Group Y"],
    "item_tags": [{"tag": "component", "value": "cpu"}, {"tag": "foo", "value": ""}],
    "itemid": 4,
    "name": "CPU load",
    "clock": 1_795_449_001,
    "ns": 830_000_999,
    "value": 0.1,
    "type": 0,
}
LOG = {**LOAD, "timestamp": 1_795_449_001, "source": "", "severity": 0, "eventid": 0, "value": "a message", "type": 2}
TREND = {
    **{name: LOAD[name] for name in LOAD if name not in ("value", "ns")},
    "count": 60,
    "min": 1,
    "avg": 1,
    "max": 1,
}
PROBLEM = {
    "clock": 1_795_449_001,
    "ns": 123_456_789,
    "value": 1,
    "eventid": 42,
    "name": "Either Zabbix agent is unreachable on Host B or pollers are too busy on Zabbix Server",
    "severity": 3,
    "hosts": [{"host": "Host B", "name": "Host B visible"}],
    "groups": ["Group X"],
    "tags": [{"tag": "availability", "value": ""}],
}
RECOVERY = {"clock": 1_795_449_001, "ns": 987_654_321, "value": 0, "eventid": 43, "p_eventid": 42}


def line(**fields: Any) -> str:
    """An item's value with these fields; a field that is None is left out."""
    return json.dumps({name: value for name, value in {**LOAD, **fields}.items() if value is not None})


def labels(**fields: Any) -> dict[str, str]:
    """Those of the one sample of such a line."""
    (found,) = samples(Zabbix(), line(**fields))
    return dict(found.labels)


def test_a_line_is_a_value_of_the_item() -> None:
    """The metric is the item's name as it is; a tag without a value is true."""
    expected = {
        "host": "Host B",
        "host_name": "Host B visible",
        "itemid": "4",
        "groups": "Group X,Group Y",
        "component": "cpu",
        "foo": "true",
    }
    assert told(samples(Zabbix(), line())) == [("CPU load", expected, 1_795_449_001_830_000, 1, 0.1)]


@pytest.mark.parametrize("glue", ["{}\n{}\n", "[{},{}]"])
def test_a_record_holds_many_lines(glue: str) -> None:
    """A connector sends many values at once; what carries them to the topic may make an array of them."""
    value = glue.replace("{}", line(), 1).replace("{}", line(name="Нагрузка"), 1)

    assert [each.metric for each in samples(Zabbix(), value)] == ["CPU load", "Нагрузка"]


def test_unsigned_numbers_have_all_of_their_range() -> None:
    """Beyond 2^53 they are as exact as a float is."""
    (found,) = samples(Zabbix(), line(value=2**64 - 1, type=3))

    assert (found.value, found.unfit) == (float(2**64), None)


@pytest.mark.parametrize("kind", [1, 2, 4, 5])
def test_texts_are_skipped(kind: int) -> None:
    """Character, log, text and binary items are no numbers, and come with the rest."""
    value = f"{json.dumps({**LOG, 'type': kind})}\n{line()}"

    assert [each.value for each in samples(Zabbix(), value)] == [0.1]


def test_tags_do_not_hide_what_is_known_of_the_item() -> None:
    """A tag of such a name is told apart; the same tag twice has both values."""
    tags = [("host", "other"), ("env", "a"), ("env", "b"), ("env", None), ("itemid", "9"), ("tag_host", "last")]
    found = labels(item_tags=[{"tag": tag, "value": value} for tag, value in tags])

    assert found["host"] == "Host B"
    assert found["itemid"] == "4"
    assert found["tag_host"] == "other,last"
    assert found["tag_itemid"] == "9"
    assert found["env"] == "a,b,true"


def test_what_is_not_known_of_the_item_is_no_label() -> None:
    """Old versions name the host alone, and have no tags."""
    assert labels(host="Host B", groups=None, item_tags=None, itemid=None) == {"host": "Host B"}
    assert labels(host=None, groups=[], item_tags=[], itemid="7") == {"itemid": "7"}


def test_a_line_without_a_clock_has_its_record_s_time() -> None:
    """As in every format; without nanoseconds it is the second's begin."""
    assert [each.time_us for each in samples(Zabbix(), line(clock=None))] == [RECORD_US]
    assert [each.time_us for each in samples(Zabbix(), line(ns=None))] == [1_795_449_001_000_000]


@pytest.mark.parametrize("value", [TREND, PROBLEM, RECOVERY, {}], ids=["trend", "problem", "recovery", "nothing"])
def test_what_is_no_item_value_says_what_to_send(value: dict[str, Any]) -> None:
    """A connector has one data type, and it is set to the wrong one."""
    found = refusal(Zabbix(), json.dumps(value))

    assert (found.code, found.reason) == ("bad_kind", "the connector must send item values")


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (line(value=None), "missing_value"),
        (line(name=None), "missing_metric"),
        (line(value="0.1"), "bad_value"),
        (line(value=True), "bad_value"),
        (line(value=[]), "bad_value"),
        (line(value=10**400), "bad_value"),
        (line(name=5), "bad_metric"),
        (line(name="a\x00"), "bad_metric"),
        (line(type="0"), "bad_kind"),
        (line(clock="now"), "bad_time"),
        (line(clock=-1), "bad_time"),
        (line(clock=10**11), "bad_time"),
        (line(ns=10**9), "bad_time"),
        (line(ns=-1), "bad_time"),
        (line(host=5), "bad_labels"),
        (line(host={"host": 5}), "bad_labels"),
        (line(itemid=-1), "bad_labels"),
        (line(itemid=2.5), "bad_labels"),
        (line(groups=[5]), "bad_labels"),
        (line(item_tags={}), "bad_labels"),
        (line(item_tags=[{}]), "missing_value"),
        (line(item_tags=[{"tag": f"t{number}"} for number in range(200)]), "bad_labels"),
        (line() + "\n{", "not_json"),
    ],
)
def test_a_record_that_is_no_item_value_is_refused_by_a_stable_code(value: str, code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(Zabbix(), value).code == code


@given(value=mutated(LOAD, [LOAD, LOG, TREND]), reader=st.just(Zabbix()))
@examples(100)
def test_any_record_is_samples_or_a_reason(value: bytes, reader: Zabbix) -> None:
    """Whatever is on the topic, the worker lives."""
    judged(reader, value)
