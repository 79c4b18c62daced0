"""Events of slo-exporter's own schema."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.formats.samples import LARGEST_WEIGHT
from consumers.formats.slo_exporter import METRIC, VERSION_HEADER, SloExporter
from tests.consumers.formats.mutations import judged, mutated
from tests.consumers.formats.native_events import RECORD_US
from tests.consumers.formats.readers import payload, refusal, samples, told
from tests.examples import examples

EVENT = {
    "metadata": {"name": "eventName", "statusCode": "200"},
    "quantity": 10,
    "slo_classification": {"app": "testApp", "class": "critical", "domain": "testDomain"},
    "result": "success",
}
V1 = {VERSION_HEADER: b"v1"}


def event(**fields: Any) -> str:
    """The documentation's event with these fields; a field that is None is left out."""
    return json.dumps({name: value for name, value in {**EVENT, **fields}.items() if value is not None})


@pytest.mark.parametrize("headers", [V1, {}], ids=["v1", "no version"])
def test_an_event_is_so_many_occurrences(headers: dict[str, bytes]) -> None:
    """Labels are its metadata and its classification; the schema has no time. Without the header it is v1."""
    labels = {
        "name": "eventName",
        "statusCode": "200",
        "slo_domain": "testDomain",
        "slo_class": "critical",
        "slo_app": "testApp",
        "slo_result": "success",
    }
    assert told(samples(SloExporter(), event(), headers)) == [(METRIC, labels, RECORD_US, 10, None)]


@pytest.mark.parametrize("value", ["{}", '{"unknown_field": 1111}', '{"metadata": null, "slo_classification": null}'])
def test_no_field_is_required(value: str) -> None:
    """An event is one occurrence if nothing else is said."""
    assert told(samples(SloExporter(), value, V1)) == [(METRIC, {}, RECORD_US, 1, None)]


def test_what_is_said_of_the_event_wins_over_metadata() -> None:
    """And parts of the classification may be missing."""
    metadata = {"slo_domain": "other", "slo_app": "kept", "nothing": None, "empty": ""}
    (found,) = samples(SloExporter(), event(metadata=metadata, slo_classification={"domain": "d"}, result=None))

    assert found.labels == {"slo_domain": "d", "slo_app": "kept"}


@pytest.mark.parametrize(
    ("quantity", "weight"), [(0, 0), (1.0, 1), ("10", 10), ("1e3", 1000), (LARGEST_WEIGHT, LARGEST_WEIGHT)]
)
def test_the_quantity_is_the_weight(quantity: object, weight: int) -> None:
    """The documentation has it as text, the code as a number."""
    (found,) = samples(SloExporter(), event(quantity=quantity))

    assert (found.weight, found.unfit) == (weight, None)


@pytest.mark.parametrize("quantity", [0.5, -1, LARGEST_WEIGHT + 1, 1e300, "NaN", "Inf"])
def test_a_quantity_that_cannot_be_counted_spoils_its_event_alone(quantity: object) -> None:
    """It matters only where an indicator reads it."""
    (found,) = samples(SloExporter(), event(quantity=quantity))

    assert found.weight == 0
    assert found.unfit is not None
    assert found.unfit.code == "bad_value"


def test_an_unknown_version_of_the_schema_is_refused() -> None:
    """Its fields may mean something else."""
    found = refusal(SloExporter(), event(), {VERSION_HEADER: b"v2"})

    assert (found.code, found.reason) == (
        "unsupported_kind",
        "slo-exporter-schema-version: the only version that is known is v1",
    )


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (event(quantity="many"), "bad_value"),
        (event(quantity=True), "bad_value"),
        (event(quantity=10**400), "bad_value"),
        (event(metadata={"a": 5}), "bad_labels"),
        (event(metadata=[]), "bad_labels"),
        (event(metadata={f"l{number}": "x" for number in range(200)}), "bad_labels"),
        (event(slo_classification="critical"), "bad_labels"),
        (event(slo_classification={"class": 1}), "bad_labels"),
        (event(result=1), "bad_labels"),
        ("[1]", "not_an_object"),
        ("", "empty"),
    ],
)
def test_a_record_that_is_no_event_is_refused_by_a_stable_code(value: str, code: str) -> None:
    """Dashboards count by the code."""
    assert refusal(SloExporter(), value).code == code


def test_an_event_without_any_time_is_refused() -> None:
    """Neither the schema nor the record has one."""
    with pytest.raises(Exception, match="bad_time"):
        SloExporter().read(payload(event(), time_us=-1))


@given(value=mutated(EVENT, [EVENT, {}]), headers=st.sampled_from([V1, {}, {VERSION_HEADER: b"\xff"}]))
@examples(100)
def test_any_record_is_samples_or_a_reason(value: bytes, headers: dict[str, bytes]) -> None:
    """Whatever is on the topic, the worker lives."""
    judged(SloExporter(), value, headers)
