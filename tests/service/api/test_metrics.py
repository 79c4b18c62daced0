"""GET /metrics: every name, valid for Prometheus, the same in every process, and equal to what the API says."""

from __future__ import annotations

import gzip
import shutil
import subprocess
from collections.abc import Callable
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from service.api.metrics.exposition import Chunk, Column, ColumnWriter, Family, group_labels, gzipped, labels_text
from service.telemetry import Telemetry
from tests.service.api.world import Row, World

HOSTILE = 'quote " backslash \\ newline \n brace } ünï \u2028'
NAMES = {
    "upheld_sli_ratio",
    "upheld_objective_target_ratio",
    "upheld_error_budget_remaining_ratio",
    "upheld_burn_rate",
    "upheld_verdict",
    "upheld_data_state",
    "upheld_alert_firing",
    "upheld_incidents_open",
    "upheld_period_good_events",
    "upheld_period_total_events",
    "upheld_coverage_ratio",
    "upheld_evaluated_timestamp_seconds",
    "upheld_agreement_compliant",
}

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def samples(text: str) -> Samples:
    found: Samples = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            assert key not in found, f"{key} is there twice"
            found[key] = sample.value
    return found


async def scrape(client: httpx.AsyncClient) -> Samples:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return samples(answer.text)


def value(found: Samples, name: str, **labels: str) -> float | None:
    own = {"agreement": "checkout-gold", "objective": "availability", "service": "checkout"}
    return found.get((name, frozenset((own | labels).items())))


async def test_every_name_of_the_contract_is_exported_with_its_labels(client: httpx.AsyncClient, world: World) -> None:
    """As dashboards and rules expect them."""
    await world.stand(Row(group={"region": "eu"}, verdict="at_risk", firing="page", burn=(16.2, 14.9, 3.1, 0.9)))
    await world.incident()
    found = await scrape(client)
    assert {name for name, _ in found if any(key == "agreement" for key, _ in _)} >= NAMES

    def of(name: str, **labels: str) -> float | None:
        return value(found, name, group_region="eu", **labels)

    assert of("upheld_sli_ratio", view="contractual", window="period") == 997_000 / 997_700
    assert of("upheld_sli_ratio", view="contractual", window="1h") == pytest.approx(1 - 14.9 * 0.001)
    assert of("upheld_objective_target_ratio") == 0.999
    assert of("upheld_burn_rate", view="contractual", window="5m") == 16.2
    assert of("upheld_burn_rate", view="experienced", window="period") == pytest.approx(1700 / 998_700 / 0.001)
    assert [of("upheld_verdict", view="contractual", verdict=one) for one in ("met", "at_risk", "breached")] == [
        0,
        1,
        0,
    ]
    assert [of("upheld_data_state", state=one) for one in ("live", "silent", "blind")] == [1, 0, 0]
    assert [of("upheld_alert_firing", severity=one) for one in ("page", "ticket")] == [1, 0]
    assert [of("upheld_incidents_open", severity=one) for one in ("page", "ticket")] == [1, 0]
    assert of("upheld_period_good_events", view="experienced") == 997_000
    assert of("upheld_period_total_events", view="contractual") == 997_700
    assert of("upheld_coverage_ratio") == 0.998
    assert of("upheld_evaluated_timestamp_seconds") == 1_795_707_010
    assert found["upheld_agreement_compliant", frozenset({("agreement", "checkout-gold")})] == 1


async def test_numbers_are_those_of_the_api(client: httpx.AsyncClient, world: World) -> None:
    """To the last digit: both read the same row."""
    await world.stand(Row(contractual_good=996_123, good=995_017, burn=(1 / 3, 2 / 3, 1e-9, 1e9)))
    [item] = (await client.get("/api/v1/objectives")).json()["items"]
    found = await scrape(client)
    for view in ("contractual", "experienced"):
        for window, burn in item[view]["burn_rates"].items():
            assert value(found, "upheld_burn_rate", view=view, window=window) == burn
        assert value(found, "upheld_sli_ratio", view=view, window="period") == item[view]["sli"]
        assert value(found, "upheld_error_budget_remaining_ratio", view=view) == item[view]["budget_remaining"]
        assert value(found, "upheld_period_good_events", view=view) == item[view]["good"]
        assert value(found, "upheld_period_total_events", view=view) == item[view]["total"]


async def test_where_nothing_was_counted_there_is_no_sample(client: httpx.AsyncClient, world: World) -> None:
    """Absent, as null is on the API; the states say what is the matter."""
    nothing = {"good": 0, "total": 0, "contractual_good": 0, "contractual_total": 0}
    await world.stand(Row(verdict="none", data="silent", burn=(float("nan"),) * 4, **nothing))
    found = await scrape(client)
    assert value(found, "upheld_sli_ratio", view="contractual", window="period") is None
    assert value(found, "upheld_error_budget_remaining_ratio", view="contractual") is None
    assert not any(name == "upheld_burn_rate" for name, _ in found)
    assert not any(name == "upheld_agreement_compliant" for name, _ in found)
    assert value(found, "upheld_data_state", state="silent") == 1
    assert [value(found, "upheld_verdict", view="contractual", verdict=one) for one in ("met", "breached")] == [0, 0]


async def test_every_tick_shows_in_full_whatever_stayed_the_same(client: httpx.AsyncClient, world: World) -> None:
    """Columns that did not change are taken from the scrape before; the others are not."""
    await world.stand(Row("a", series_id=1), Row("b", series_id=2))
    await scrape(client)
    await world.stand(Row("a", series_id=1, verdict="breached", contractual_good=1), Row("b", series_id=2))
    second = await scrape(client)
    await world.stand(Row("a", series_id=1, verdict="breached", contractual_good=1), Row("c", series_id=3))
    third = await scrape(client)
    for found, others in ((second, {"a", "b"}), (third, {"a", "c"})):
        assert {dict(labels)["agreement"] for _, labels in found if "agreement" in dict(labels)} == others
        assert value(found, "upheld_verdict", view="contractual", verdict="breached", agreement="a") == 1
        assert value(found, "upheld_period_good_events", view="contractual", agreement="a") == 1
        assert found["upheld_agreement_compliant", frozenset({("agreement", "a")})] == 0


async def test_an_incident_that_opens_between_two_ticks_shows(client: httpx.AsyncClient, world: World) -> None:
    """The count is read with each scrape."""
    await world.stand(Row())
    assert value(await scrape(client), "upheld_incidents_open", severity="page") == 0
    await world.incident()
    assert value(await scrape(client), "upheld_incidents_open", severity="page") == 1


async def test_replicas_export_the_same(start: Callable[..., Any], world: World) -> None:
    """Whichever of them is scraped, and whenever it was started."""
    await world.stand(Row("a", series_id=1), shard=1)
    async with start(telemetry=Telemetry()) as one:
        await scrape(one)
        await world.stand(Row("b", series_id=2, verdict="breached"), shard=0)
        async with start(telemetry=Telemetry()) as other:
            texts = [(await asked.get("/metrics")).text for asked in (one, other)]
    seen = [[line for line in text.splitlines() if "{agreement=" in line] for text in texts]
    assert seen[0] == seen[1]
    assert len(seen[0]) > 2 * len(NAMES)


async def test_a_compressed_scrape_is_the_same(client: httpx.AsyncClient, world: World) -> None:
    """One gzip member, by anybody's decoder, with its length told."""
    await world.stand(*(Row("a", series_id=number, group={"n": str(number)}) for number in range(50)))
    plain = await client.get("/metrics", headers={"Accept-Encoding": "identity"})
    async with client.stream("GET", "/metrics", headers={"Accept-Encoding": "gzip"}) as answer:
        raw = b"".join([chunk async for chunk in answer.aiter_raw()])
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) == len(raw)
    assert gzip.decompress(raw) == plain.content
    assert len(raw) < len(plain.content) / 10


async def test_only_the_windows_that_were_asked_for_are_exported(start: Callable[..., Any], world: World) -> None:
    """UPHELD_METRICS_WINDOWS bounds how many series there are; an unknown window has none."""
    await world.stand(Row())
    async with start(metrics_windows=("1h", "period", "90m")) as client:
        found = await scrape(client)
    windows = {dict(labels)["window"] for name, labels in found if name == "upheld_burn_rate"}
    assert windows == {"1h", "period"}


async def test_upholds_own_metrics_stand_beside(start: Callable[..., Any]) -> None:
    """One scrape has both."""
    telemetry = Telemetry()
    telemetry.records.labels("events", "used").inc(7)
    async with start(telemetry=telemetry) as client:
        found = await scrape(client)
    assert found["upheld_ingest_records_total", frozenset({("topic", "events"), ("result", "used")})] == 7


async def test_an_evaluator_that_is_away_makes_its_gauges_blind(client: httpx.AsyncClient, world: World) -> None:
    """So that an alert on blindness fires instead of a verdict standing still."""
    await world.stand(Row(), age_s=75)
    found = await scrape(client)
    assert value(found, "upheld_data_state", state="blind") == 1
    assert value(found, "upheld_data_state", state="live") == 0


async def test_while_the_database_is_away_what_was_read_last_is_blind(
    client: httpx.AsyncClient, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scrape goes on: a target that is down tells less."""
    await world.stand(Row())
    assert value(await scrape(client), "upheld_data_state", state="live") == 1

    def gone(*_: object) -> None:
        raise ConnectionRefusedError

    monkeypatch.setattr("service.storage.standings.StandingsStore.current", gone)
    found = await scrape(client)
    assert value(found, "upheld_data_state", state="blind") == 1
    assert value(found, "upheld_verdict", view="contractual", verdict="met") == 1


async def test_prometheus_finds_nothing_to_complain_about(client: httpx.AsyncClient, world: World) -> None:
    """Names, types, help and escapes, by promtool; hostile label values included."""
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    await world.stand(Row(group={"region": HOSTILE, "http.route": "x", "http_route": "y"}, service=None))
    await world.incident()
    answer = await client.get("/metrics")
    check = subprocess.run([promtool, "check", "metrics"], input=answer.content, capture_output=True, check=False)
    assert (check.returncode, check.stdout, check.stderr) == (0, b"", b"")
    [labels] = [dict(labels) for name, labels in samples(answer.text) if name == "upheld_coverage_ratio"]
    assert labels == {
        "agreement": "checkout-gold",
        "objective": "availability",
        "group_region": HOSTILE,
        "group_http_route": "x",
        "group_http_route_2": "y",
    }


@given(st.dictionaries(st.text(), st.text(st.characters(exclude_categories=["Cs"])), max_size=4))
def test_any_group_becomes_labels_that_read_back(group: dict[str, str]) -> None:
    """Distinct names that Prometheus allows, values as they were."""
    labels = group_labels(group.items())
    assert sorted(labels.values()) == sorted(group.values())
    text = Family("m", "help", [Column({}, np.array([1.5]))])
    written = b"".join(chunk.text for chunk in ColumnWriter([labels_text(labels)]).chunks(text)).decode()
    [(_, read)] = samples(written)
    assert dict(read) == labels


@given(st.lists(st.binary(max_size=300), max_size=8))
def test_chunks_compressed_apart_are_one_gzip_stream(texts: list[bytes]) -> None:
    """Whatever the pieces, in their order."""
    assert gzip.decompress(b"".join(gzipped([Chunk.of(text) for text in texts]))) == b"".join(texts)
