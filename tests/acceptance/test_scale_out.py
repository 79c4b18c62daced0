"""Any number of each part: the same counts and incidents, prompt takeover, fencing, each page once."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from service.devstack.postgres import EmbeddedPostgres
from service.storage.database import connect
from tests.acceptance.world import World, eventually

SECRET = "whsec_dXBoZWxkLWFjY2VwdGFuY2U="
SERVICES = 16
SHARDS = 8
PARTITIONS = 8
TAKEOVER_WITHIN_S = 5.0

COMMON = """\
apiVersion: upheld/v1
kind: NotificationTarget
metadata: {{name: oncall}}
spec: {{type: webhook, url: "{url}", secretEnv: HOOK_SECRET}}
---
apiVersion: upheld/v1
kind: AlertPolicy
metadata: {{name: quick}}
spec:
  conditions:
    - {{burnRate: {{long: 1m, short: 10s, factor: 12}}, severity: page}}
  minimum: {{events: 100, failures: 5}}
"""
AGREEMENT = """\
apiVersion: upheld/v1
kind: Agreement
metadata: {{name: shop-{number}}}
spec:
  type: SLA
  provider: {{name: Example Cloud}}
  customer: {{name: Example Shop}}
  effective: {{from: 2026-01-01}}
  service: shop-{number}
  notify: [oncall]
  objectives:
"""
OBJECTIVE = """\
    - name: availability-{number}
      indicator: {{ratio: {{bad: '{metric}{{service="{service}",status=~"5.."}}', total: '{metric}{{service="{service}"}}'}}}}
      target: 0.99
      period: {{rolling: 30d}}
      alerts: [quick]
"""
"""Each has a total of its own by `metric`, or shares one."""


def documents(url: str, *, agreements: int, objectives: int) -> str:
    """So many agreements, each over a service of its own, with so many objectives each."""
    parts = [COMMON.format(url=url)]
    for number in range(agreements):
        lines = [
            OBJECTIVE.format(number=each, metric="requests", service=f"shop-{number}") for each in range(objectives)
        ]
        parts.append(AGREEMENT.format(number=number) + "".join(lines))
    return "---\n".join(parts)


def event(at: float, service: int, *, bad: bool = False) -> dict[str, Any]:
    return {
        "time": round(at, 3),
        "metric": "requests",
        "service": f"shop-{service}",
        "labels": {"status": 503 if bad else 200},
    }


def history(begun: float, *, events: int, seconds: int) -> list[dict[str, Any]]:
    """Events of every service in order of time; in the second quarter a third of every other service's fail."""
    step = seconds / events
    return [
        event(
            begun + number * step,
            number % SERVICES,
            bad=number % SERVICES % 2 == 0 and number // SERVICES % 3 == 0 and events // 4 <= number < events // 2,
        )
        for number in range(events)
    ]


def recount(events: Sequence[Mapping[str, Any]]) -> dict[str, tuple[int, int]]:
    """service -> (total, bad)."""
    counts: dict[str, tuple[int, int]] = {}
    for each in events:
        total, bad = counts.get(each["service"], (0, 0))
        counts[each["service"]] = total + 1, bad + (each["labels"]["status"] == 503)
    return counts


async def rows(world: World, statement: str, *values: Any) -> list[Any]:
    """What the database says."""
    connection = await connect(world.database_url, application_name="tests")
    try:
        return list(await connection.fetch(statement, *values))
    finally:
        await connection.close()


async def shared(world: World, ingests: int, evaluators: int) -> None:
    """Waits until so many processes have their part: of the partitions, and of the shards."""

    async def look() -> bool:
        workers = await rows(world, "SELECT worker, count(*) FROM partition_status GROUP BY worker")
        owners = await rows(world, "SELECT owner, count(*) FROM shards WHERE owner IS NOT NULL GROUP BY owner")
        return (
            sorted(row["count"] for row in workers) == [PARTITIONS // ingests] * ingests
            and sorted(row["count"] for row in owners) == [SHARDS // evaluators] * evaluators
        )

    await eventually(look, 60, f"{ingests} ingests and {evaluators} evaluators with equal shares; {world.logs()}")


async def counted(world: World, wanted: Mapping[str, tuple[int, int]], within_s: float = 60) -> None:
    """Waits until the API shows these counts, and no others; an excess fails like a lack."""
    seen: dict[str, tuple[int, int]] = {}

    async def look() -> bool:
        items = (await world.get("/objectives?limit=500"))["items"]
        seen.clear()
        for item in items:
            counts = item["experienced"]
            seen[item["service"]] = counts["total"], counts["total"] - counts["good"]
        return seen == wanted

    try:
        await eventually(look, within_s, "the counts of a recount")
    except AssertionError:
        assert seen == wanted, world.logs()
        raise


async def stood(world: World) -> list[tuple[Any, ...]]:
    """The incidents that stand, by what they say and when, in event time."""
    items = (await world.get("/incidents?limit=500"))["items"]
    return sorted(
        (one["agreement"], one["objective"], one["severity"], one["started_at"], one["detected_at"], one["resolved_at"])
        for one in items
        if one["state"] != "withdrawn"
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_one_two_and_four_of_each_part_give_the_same_counts_and_incidents(
    postgres_server: EmbeddedPostgres, kafka_address: str, topic_name: str, tmp_path: Path
) -> None:
    """The same events through 1, 2 and 4 ingest processes and evaluators: equal to a recount, and to each other."""
    events = history(time.time() - 1500, events=24_000, seconds=1200)
    wanted = recount(events)
    incidents: dict[int, list[tuple[Any, ...]]] = {}
    for size in (1, 2, 4):
        folder = tmp_path / str(size)
        folder.mkdir()
        name = f"scale_{size}"
        world = World(postgres_server.create_database(name), kafka_address, f"{topic_name}-{size}", folder)
        world.settings |= {
            "UPHELD_GROUP": f"{topic_name}-{size}",
            "UPHELD_SHARDS": str(SHARDS),
            "UPHELD_TOPIC_PARTITIONS": str(PARTITIONS),
            "HOOK_SECRET": SECRET,
        }
        try:
            await world.apply(
                documents("http://127.0.0.1:9/hook", agreements=SERVICES, objectives=1), since="2026-01-01T00:00:00Z"
            )
            for _ in range(size):
                world.start("ingest")
                world.start("evaluate")
            world.start("serve")
            await shared(world, size, size)
            await world.emit(events)
            await counted(world, wanted)

            async def ended(world: World = world) -> list[tuple[Any, ...]] | None:
                found = await stood(world)
                return found if found and all(one[-1] is not None for one in found) else None

            incidents[size] = await eventually(ended, 30, f"incidents that have ended; {world.logs()}")
        finally:
            world.stop()
            postgres_server.drop_database(name)
    assert len(incidents[1]) == SERVICES // 2
    assert incidents[1] == incidents[2] == incidents[4]
