"""10,000 series: how long a scrape of /metrics and the calls of the API take, over HTTP on a real database.

Run: .venv/bin/python benchmarks/metrics.py
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import httpx

sys.path.insert(0, str(Path(__file__).parent.parent))

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.devstack.postgres import EmbeddedPostgres
from service.storage import migrate
from service.storage.database import create_engine
from service.wiring.http import HttpServer
from tests.service.api.world import NOW_US, Row, World, table_of

AGREEMENTS, OBJECTIVES, GROUPS = 100, 10, 10
SHARDS = 4
Call = Callable[[], Awaitable[Any]]


def rows_of(shard: int, tick: int) -> list[Row]:
    """A quarter of the series; every number moves with the tick, verdicts seldom do."""
    found: list[Row] = []
    for agreement in range(shard, AGREEMENTS, SHARDS):
        for objective in range(OBJECTIVES):
            for group in range(GROUPS):
                number = (agreement * OBJECTIVES + objective) * GROUPS + group
                found.append(
                    Row(
                        agreement=f"agreement-{agreement:03}",
                        objective=f"objective-{objective}",
                        group={"region": f"region-{group}"},
                        series_id=number,
                        contractual_good=997_000 + tick + number,
                        contractual_total=998_000 + 2 * tick + number,
                        good=997_000 + tick + number,
                        total=999_000 + 2 * tick + number,
                        verdict="breached" if (number + tick) % 997 == 0 else "met",
                        burn=(0.1 + tick / 7, 0.2 + tick / 3, 0.3 + number / 9, 0.4 + number / 11),
                    )
                )
    return found


async def timed(call: Call) -> float:
    """Milliseconds."""
    start = time.perf_counter()
    await call()
    return (time.perf_counter() - start) * 1000


def line(name: str, times: list[float], note: str = "") -> None:
    """One row of the table."""
    ordered = sorted(times)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(f"| {name:42} | {statistics.median(times):9.1f} | {p99:9.1f} | {max(times):9.1f} | {note}")


async def tick(world: World, number: int) -> None:
    """Every shard commits."""
    for shard in range(SHARDS):
        await world.stand(table=table_of(rows_of(shard, number), as_of_us=NOW_US + number * 10_000_000), shard=shard)


async def measure(url: str, rounds: int) -> None:
    """Serves on a socket, asks, prints."""
    engine = create_engine(url, pool_size=10)
    world = World(engine)
    for number in range(AGREEMENTS):
        await world.document(f"agreement-{number:03}")
    await tick(world, 0)
    server = HttpServer("bench", create_app(ApiDependencies(engine=engine, clock=lambda: NOW_US)), "127.0.0.1", 0)
    serving = asyncio.create_task(server.run())
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=60) as client:
        await scrapes(client, world, rounds)
        await calls(client, rounds * 20)
    server.stop()
    await serving
    await engine.dispose()


async def scrapes(client: httpx.AsyncClient, world: World, rounds: int) -> None:
    """The first after a tick renders; the next are bytes."""

    async def raw(encoding: str) -> int:
        size = 0
        async with client.stream("GET", "/metrics", headers={"Accept-Encoding": encoding}) as answer:
            async for chunk in answer.aiter_raw():
                size += len(chunk)
        return size

    size, squeezed = await raw("identity"), await raw("gzip")
    text = (await client.get("/metrics")).text
    lines = sum(not one.startswith("#") for one in text.splitlines())
    print(f"{lines:,} lines, {size / 1e6:.1f} MB, {squeezed / 1e6:.2f} MB compressed\n")
    print(f"| {'call':42} | {'median ms':>9} | {'p99 ms':>9} | {'worst ms':>9} |")
    for encoding in ("gzip", "identity"):
        first: list[float] = []
        again: list[float] = []
        for number in range(1, rounds + 1):
            await tick(world, number + (rounds if encoding == "gzip" else 0))
            first.append(await timed(lambda encoding=encoding: raw(encoding)))
            again.append(await timed(lambda encoding=encoding: raw(encoding)))
        line(f"/metrics, {encoding}, first after a tick", first, "all numbers moved")
        line(f"/metrics, {encoding}, again", again)


async def calls(client: httpx.AsyncClient, count: int) -> None:
    """Warm calls of the API."""
    paths = {
        "objectives (100 of 10,000)": "/api/v1/objectives",
        "objectives?verdict=breached": "/api/v1/objectives?verdict=breached",
        "objectives?agreement=": "/api/v1/objectives?agreement=agreement-050",
        "objectives/{agreement}/{objective}": "/api/v1/objectives/agreement-050/objective-5",
        "compliance (100 agreements)": "/api/v1/compliance",
    }
    for name, path in paths.items():
        answer = await client.get(path)
        answer.raise_for_status()
        line(
            name, [await timed(lambda path=path: client.get(path)) for _ in range(count)], f"{len(answer.content):,} B"
        )


def main() -> None:
    """Brings its own database."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=10)
    rounds: int = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as folder:
        server = EmbeddedPostgres.start(Path(folder) / "postgres", durable=False)
        try:
            url = server.create_database("bench")
            migrate.upgrade(url)
            asyncio.run(measure(url, rounds))
        finally:
            server.stop()


if __name__ == "__main__":
    main()
