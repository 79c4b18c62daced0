"""Many processes of each part: documents over many services, traffic, and who holds what.

A recount is what is compared with: of the events that were sent, in Python, by service.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from service.storage.database import connect
from tests.acceptance.test_page import ONCALL
from tests.acceptance.world import UPHELD, World, eventually

SERVICES = 16
SHARDS = 8
PARTITIONS = 8

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
      indicator: {{ratio: {{bad: 'requests{{service="{service}",status=~"5.."}}', total: 'requests{{service="{service}"}}'}}}}
      target: 0.99
      period: {{rolling: 30d}}
      alerts: [quick]
"""


def documents(url: str, *, agreements: int, objectives: int) -> str:
    """So many agreements, each over a service of its own, with so many objectives each."""
    parts = [ONCALL.format(url=url)]
    for number in range(agreements):
        lines = [OBJECTIVE.format(number=each, service=f"shop-{number}") for each in range(objectives)]
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

    await eventually(look, 60, f"{ingests} ingests and {evaluators} evaluators with equal shares")


async def objectives(world: World) -> list[Any]:
    """Every item of the API, page by page."""
    answer = await world.get("/objectives?limit=500")
    items = answer["items"]
    while answer["next"]:
        answer = await world.get(f"/objectives?limit=500&cursor={answer['next']}")
        items += answer["items"]
    return items


async def counted(world: World, wanted: Mapping[str, tuple[int, int]], within_s: float = 120) -> None:
    """Waits until the API shows these counts, and no others; an excess fails like a lack."""
    seen: dict[str, tuple[int, int]] = {}

    async def look() -> bool:
        found: dict[str, set[tuple[int, int]]] = {}
        try:
            items = await objectives(world)
        except httpx.HTTPError:  # not up yet
            return False
        for item in items:
            counts = item["experienced"]
            found.setdefault(item["service"], set()).add((counts["total"], counts["total"] - counts["good"]))
        seen.clear()
        seen.update({service: min(counts) for service, counts in found.items()})
        return seen == wanted and all(len(counts) == 1 for counts in found.values())

    try:
        await eventually(look, within_s, "the counts of a recount")
    except AssertionError:
        assert seen == wanted
        raise


async def stood(world: World) -> list[tuple[Any, ...]]:
    """The incidents that stand, by what they say and when, in event time."""
    items = (await world.get("/incidents?limit=500"))["items"]
    return sorted(
        (one["agreement"], one["objective"], one["severity"], one["started_at"], one["detected_at"], one["resolved_at"])
        for one in items
        if one["state"] != "withdrawn"
    )


@dataclass
class Traffic:
    """What was sent so far; while `failing`, every third event of each service is bad."""

    sent: list[dict[str, Any]] = field(default_factory=list)
    failing: bool = False


@asynccontextmanager
async def pouring(world: World, services: int, a_second: int) -> AsyncIterator[Traffic]:
    """Events of now, from the beginning to the end of the block; gives what was sent, which grows."""
    process = await asyncio.create_subprocess_exec(
        UPHELD, "emit", stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=world.environment, cwd=world.folder
    )
    assert process.stdin is not None
    pipe, traffic, ending = process.stdin, Traffic(), asyncio.Event()

    async def pour() -> None:
        while not ending.is_set():
            numbers = range(len(traffic.sent), len(traffic.sent) + a_second // 5)
            some = [
                event(time.time(), number % services, bad=traffic.failing and number // services % 3 == 0)
                for number in numbers
            ]
            pipe.write("".join(json.dumps(each) + "\n" for each in some).encode())
            await pipe.drain()
            traffic.sent.extend(some)
            await asyncio.sleep(0.2)  # the rate of the events, not a wait for anything

    task = asyncio.create_task(pour())
    try:
        yield traffic
    finally:
        ending.set()
        await task
        pipe.close()
        async with asyncio.timeout(30):
            assert await process.wait() == 0


async def owner_of(world: World, process: subprocess.Popen[bytes]) -> str | None:
    """The name under which a process evaluates: it holds its process number."""
    found = await rows(world, "SELECT owner FROM shard_owners WHERE owner LIKE $1", f"%-{process.pid}-%")
    return found[0]["owner"] if found else None


async def held(world: World, process: subprocess.Popen[bytes]) -> dict[int, Any]:
    """The shards that a process holds: id -> row."""
    found = await rows(world, "SELECT * FROM shards WHERE owner LIKE $1", f"%-{process.pid}-%")
    return {row["id"]: row for row in found}


async def holding(world: World, process: subprocess.Popen[bytes], shards: int) -> dict[int, Any]:
    """Waits until it holds so many, and has ticked each."""

    async def look() -> dict[int, Any] | None:
        found = await held(world, process)
        ticked = all(row["evaluated_until_us"] for row in found.values())
        return found if len(found) == shards and ticked else None

    return await eventually(look, 60, f"{shards} shards evaluated by {process.pid}")


async def taken(world: World, before: Mapping[int, Any], within_s: float = 30) -> dict[int, Any]:
    """Waits until each of these shards has a later epoch and its first tick in it; gives the rows as of that tick."""
    first: dict[int, Any] = {}

    async def look() -> bool:
        for row in await rows(world, "SELECT * FROM shards WHERE id = ANY($1)", list(before)):
            old = before[row["id"]]
            if row["epoch"] > old["epoch"] and row["tick_seq"] > old["tick_seq"]:
                first.setdefault(row["id"], row)
        return len(first) == len(before)

    await eventually(look, within_s, "a tick of each shard under a new owner")
    return first
