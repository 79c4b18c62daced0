"""Any number of each part: the same counts and incidents, prompt takeover, fencing, each page once."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.devstack.postgres import EmbeddedPostgres
from service.storage.leases import GRACE_S
from tests.acceptance.fleet import (
    PARTITIONS,
    SERVICES,
    SHARDS,
    counted,
    documents,
    event,
    held,
    history,
    holding,
    pouring,
    recount,
    rows,
    shared,
    stood,
    taken,
)
from tests.acceptance.test_page import SECRET
from tests.acceptance.world import World, eventually, free_port
from tests.service.alerting.receiver import Receiver

TAKEOVER_WITHIN_S = 5.0
"""From the lapse of a lease to the first committed tick of its new owner, the grace included."""


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

            incidents[size] = await eventually(ended, 30, "incidents that have ended")
        finally:
            world.stop()
            postgres_server.drop_database(name)
    assert len(incidents[1]) == SERVICES // 2
    assert incidents[1] == incidents[2] == incidents[4]


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_what_a_killed_evaluator_held_is_evaluated_by_another_within_five_seconds(kafka_world: World) -> None:
    """1,000 objectives; from the moment that the lease lapsed to the first committed tick of its new owner."""
    world = kafka_world
    world.settings["HOOK_SECRET"] = SECRET
    await world.apply(documents("http://127.0.0.1:9/hook", agreements=50, objectives=20), since="2026-01-01T00:00:00Z")
    for part in ("ingest", "serve"):
        world.start(part)
    first, second = world.start("evaluate"), world.start("evaluate")
    await world.ready()
    async with pouring(world, services=50, a_second=500) as traffic:
        await holding(world, second, 2)
        await holding(world, first, 2)
        first.send_signal(signal.SIGKILL)
        first.wait()
        before = await held(world, first)
        assert len(before) == 2
        after = await taken(world, before)
    took_s = {shard: (row["ticked_at"] - before[shard]["expires_at"]).total_seconds() for shard, row in after.items()}
    print(f"lapsed lease to first tick, by shard: {took_s}")
    within_s = GRACE_S + (TAKEOVER_WITHIN_S - GRACE_S) * crowded()
    assert all(GRACE_S <= seconds < within_s for seconds in took_s.values()), (took_s, within_s)
    assert {row["epoch"] - before[shard]["epoch"] for shard, row in after.items()} == {1}
    await holding(world, second, 4)
    await counted(world, recount(traffic.sent))


def crowded() -> float:
    """How many times as long work takes here as on a machine of one's own, about: other tests run beside this one."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@pytest.mark.slow
@pytest.mark.timeout(240)
async def test_an_evaluator_that_was_frozen_beyond_its_lease_writes_nothing_and_joins_again(kafka_world: World) -> None:
    """It wakes up with work in its hands and the leases of others; the counts stay those of a recount."""
    world = kafka_world
    world.settings["HOOK_SECRET"] = SECRET
    await world.apply(
        documents("http://127.0.0.1:9/hook", agreements=SERVICES, objectives=1), since="2026-01-01T00:00:00Z"
    )
    for part in ("ingest", "serve"):
        world.start(part)
    frozen, other = world.start("evaluate"), world.start("evaluate")
    log = min(world.folder.glob("evaluate-*.log"))
    await world.ready()
    async with pouring(world, services=SERVICES, a_second=400) as traffic:
        mine = await holding(world, frozen, 2)
        await holding(world, other, 2)
        frozen.send_signal(signal.SIGSTOP)
        try:
            before = {
                row["id"]: row for row in await rows(world, "SELECT * FROM shards WHERE id = ANY($1)", list(mine))
            }
            await taken(world, before, within_s=40)  # beyond the cut of a transaction that was frozen too
            await holding(world, other, 4)
        finally:
            frozen.send_signal(signal.SIGCONT)

        async def noticed() -> bool:
            return any(f'"action": "{action}"' in log.read_text() for action in ("shards_lost", "shard_fenced"))

        await eventually(noticed, 20, "a word of the lost shards")
        again = await holding(world, frozen, 2)
        ticked = {shard: row["tick_seq"] for shard, row in again.items()}

        async def ticks() -> bool:
            return all(row["tick_seq"] > ticked[shard] for shard, row in (await held(world, frozen)).items())

        await eventually(ticks, 40, "ticks of the one that came back")
    await counted(world, recount(traffic.sent))
    assert await rows(world, "SELECT 1 FROM restatements") == []
    assert frozen.poll() is None
    assert "Traceback" not in log.read_text()


@pytest.mark.slow
@pytest.mark.timeout(180)
async def test_two_delivers_send_each_page_once_and_two_serves_answer_alike(
    kafka_world: World, receiver: Receiver
) -> None:
    """Claims are rows; and no process that serves holds what another lacks."""
    world = kafka_world
    world.settings["HOOK_SECRET"] = SECRET
    await world.apply(documents(receiver.url, agreements=SERVICES, objectives=3), since="2026-01-01T00:00:00Z")
    events = history(time.time() - 240, events=8000, seconds=240)
    bad = [event(time.time() - 30 + number / 100, number % SERVICES, bad=True) for number in range(2400)]
    ports = (world.port, free_port())
    world.settings["UPHELD_PUBLIC_URL"] = "https://upheld.example.com"
    for part in ("ingest", "evaluate", "deliver", "deliver", "serve"):
        world.start(part)
    world.settings["UPHELD_PORT"] = str(ports[1])
    world.start("serve")
    await world.emit([*events, *bad])
    await counted(world, recount([*events, *bad]))

    async def settled() -> int | None:
        found = await rows(world, "SELECT state, count(*) FROM outbox GROUP BY state")
        counts = {row["state"]: row["count"] for row in found}
        return counts.get("sent") if set(counts) == {"sent"} and counts["sent"] >= SERVICES * 3 else None

    sent = await eventually(settled, 60, "every page sent")
    keys = [request.headers["webhook-id"] for request in receiver.requests]
    assert (len(keys), len(set(keys))) == (sent, sent)
    delivered = [path.read_text().count("notification_sent") for path in sorted(world.folder.glob("deliver-*.log"))]
    assert sum(delivered) == sent
    assert all(delivered), "one of the two sent nothing"

    async def alike() -> bool:
        answers = []
        for port in ports:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
                paths = ("/api/v1/objectives?limit=500", "/api/v1/incidents?limit=500", "/api/v1/compliance")
                got = [await client.get(path) for path in paths]
                assert [each.status_code for each in got] == [200] * len(got)
                answers.append([each.json() for each in got])
        return answers[0] == answers[1]

    await eventually(alike, 30, "the same answers of both, between two ticks")
