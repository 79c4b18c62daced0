"""The dashboards: every expression against what /metrics really exports, and in a real Prometheus."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import re
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import promql_parser
import pytest
from prometheus_client.parser import text_string_to_metric_families

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.wiring.http import HttpServer
from tests.service.api.world import Row, World

FOLDER = Path(__file__).parents[3] / "docs" / "grafana"
BOARDS = ("overview.json", "objective.json")
ONCE = "max without (instance, pod"
OWN = {"upheld_ingest_records_total", "upheld_dead_letters_total", "upheld_notifications_total"}
"""Metrics of Upheld itself that differ from process to process, and are summed."""


def board(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def expressions() -> list[tuple[str, str]]:
    """(panel, expression with every variable at its default) of both boards."""
    found: list[tuple[str, str]] = []
    for name in BOARDS:
        for panel in board(name)["panels"]:
            for target in panel["targets"]:
                expr = re.sub(r"\$(agreement|objective|service)\b", ".*", target["expr"])
                found.append((f"{name}: {panel['title']}", expr))
    return found


def selectors(node: Any) -> Iterator[Any]:
    """Every vector selector of a parsed expression."""
    if isinstance(node, promql_parser.VectorSelector):
        yield node
    for name in ("expr", "lhs", "rhs", "vector_selector"):
        inner = getattr(node, name, None)
        if inner is not None:
            yield from selectors(inner)
    for inner in getattr(node, "args", None) or ():
        yield from selectors(inner)


@pytest.fixture
async def exported(client: httpx.AsyncClient, world: World) -> dict[str, set[str]]:
    """Names on /metrics with the labels that their samples have; of empty families the name alone."""
    await world.stand(Row(group={"region": "eu"}))
    text = (await client.get("/metrics")).text
    labels: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(text):
        names = {family.name, f"{family.name}_total"} if family.type == "counter" else {family.name}
        for name in names:
            labels.setdefault(name, set())
        for sample in family.samples:
            labels.setdefault(sample.name, set()).update(sample.labels)
    return labels


def test_the_files_are_what_the_script_writes() -> None:
    """Change make.py and run it; the files follow."""
    spec = importlib.util.spec_from_file_location("make_dashboards", FOLDER / "make.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    for name in BOARDS:
        assert (FOLDER / name).read_text(encoding="utf-8") == made.BOARDS[name]()


async def test_every_expression_parses_and_asks_for_names_and_labels_that_are_exported(
    exported: dict[str, set[str]],
) -> None:
    """A name that is mistyped shows an empty panel, and nobody notices."""
    asked: set[str] = set()
    for panel, expr in expressions():
        for selector in selectors(promql_parser.parse(expr)):
            asked.add(selector.name)
            assert selector.name in exported, panel
            if selector.name not in OWN and exported[selector.name]:
                assert {matcher.name for matcher in selector.matchers.matchers} <= exported[selector.name], panel
    assert len(asked) > 12


def test_every_query_of_compliance_counts_replicas_once() -> None:
    """Two processes export the same series; a sum over both would be twice too much."""
    for panel, expr in expressions():
        names = {selector.name for selector in selectors(promql_parser.parse(expr))}
        if not any(name.startswith(("upheld_ingest", "upheld_dead", "upheld_tick", "upheld_notif")) for name in names):
            assert ONCE in expr, panel


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_has_its_variables_and_no_panel_over_another(name: str) -> None:
    """Any data source, and a choice of agreement, objective and service."""
    made = board(name)
    assert [variable["name"] for variable in made["templating"]["list"]] == [
        "datasource",
        "agreement",
        "objective",
        "service",
    ]
    assert made["uid"].startswith("upheld-")
    taken: set[tuple[int, int]] = set()
    for panel in made["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])
        taken |= cells
    assert len({panel["id"] for panel in made["panels"]}) == len(made["panels"])


@dataclass
class Prometheus:
    """A real one, scraping two replicas."""

    client: httpx.AsyncClient

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """The result of an instant query."""
        answer = await self.client.post("/api/v1/query", data={"query": expr})
        assert answer.status_code == 200, f"{expr}: {answer.text}"
        return answer.json()["data"]["result"]


@pytest.fixture
async def prometheus(dependencies: ApiDependencies, world: World, tmp_path: Path) -> AsyncIterator[Prometheus]:
    """Two replicas of one database, and a Prometheus that has scraped both."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    await world.stand(
        Row(group={"region": "eu"}, verdict="at_risk"), Row("search", "latency", series_id=2, verdict="breached")
    )
    await world.incident()
    servers = [HttpServer(f"replica {number}", create_app(dependencies), "127.0.0.1", 0) for number in range(2)]
    serving = [asyncio.create_task(server.run()) for server in servers]
    probe = HttpServer("probe", create_app(dependencies), "127.0.0.1", 0)  # only for a port that is free
    port = probe.port
    probe._socket.close()
    targets = [f"127.0.0.1:{server.port}" for server in servers]
    config = {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s"},
        "scrape_configs": [{"job_name": "upheld", "static_configs": [{"targets": targets}]}],
    }
    (tmp_path / "prometheus.yml").write_text(json.dumps(config))
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={tmp_path / 'prometheus.yml'}",
                f"--storage.tsdb.path={tmp_path / 'data'}",
                f"--web.listen-address=127.0.0.1:{port}",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            scraped = Prometheus(client)
            async with asyncio.timeout(45):
                while not await _both(scraped):
                    await asyncio.sleep(0.2)
            yield scraped
    finally:
        process.terminate()
        process.wait(10)
        for server in servers:
            server.stop()
        await asyncio.gather(*serving)


async def _both(prometheus: Prometheus) -> bool:
    try:
        return len(await prometheus.query("upheld_coverage_ratio")) == 4
    except httpx.TransportError:
        return False


@pytest.mark.slow
async def test_a_real_prometheus_answers_every_query(prometheus: Prometheus) -> None:
    """Each runs; those of compliance give series, each once though two replicas export it."""
    for panel, expr in expressions():
        result = await prometheus.query(expr)
        if "rate(" not in expr and "consumer_lag" not in expr:
            assert result, f"{panel}: {expr}"
        assert all("instance" not in series["metric"] for series in result), panel

    async def number(title: str) -> float:
        [expr] = [expr for panel, expr in expressions() if panel == f"overview.json: {title}"]
        [series] = await prometheus.query(expr)
        return float(series["value"][1])

    assert await number("Agreements broken") == 1
    assert await number("Objectives breached") == 1
    assert await number("At risk") == 1
    assert await number("Open pages") == 1
    assert await number("Blind") == 0
