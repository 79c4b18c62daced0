"""A database that goes, hangs, refuses or is full: everything waits, nothing is lost, and serve says so calmly."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import httpx
import pytest

from service.devstack.children import free_ports
from service.devstack.postgres import EmbeddedPostgres
from service.storage import migrate
from service.storage.database import connect
from tests.acceptance.world import eventually
from tests.faults.scene import Scene, for_a_while
from tests.service.alerting.receiver import Receiver

pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(300)]

FROZEN_S = 30.0
DISK_MB = 320


class Keeper:
    """Somebody who looks after a PostgreSQL of this test's own."""

    def __init__(self, directory: Path) -> None:
        (self._port,) = free_ports(1)
        self._directory = directory
        self.server = EmbeddedPostgres.start(directory, port=self._port, durable=True)
        self.url = self.server.create_database("upheld")
        migrate.upgrade(self.url)

    def stop(self) -> None:
        self.server.stop()

    def start(self) -> None:
        self.server = EmbeddedPostgres.start(self._directory, port=self._port, durable=True)

    def kill(self) -> None:
        """The whole of it, as a machine that goes down."""
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.server.stop()

    def processes(self) -> list[int]:
        """The postmaster and all that it started."""
        found = subprocess.run(["pgrep", "-P", str(self.server.pid)], capture_output=True, text=True, check=False)
        return [self.server.pid, *map(int, found.stdout.split())]

    def signal_all(self, how: signal.Signals) -> None:
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, how)

    async def do(self, *statements: str) -> None:
        connection = await connect(self.url)
        try:
            for statement in statements:
                await connection.execute(statement)
        finally:
            await connection.close()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    made = Keeper(tmp_path / "postgres")
    yield made
    made.stop()


@pytest.fixture
def scene(
    keeper: Keeper, twin_url: str, kafka_address: str, topic_name: str, tmp_path: Path, receiver: Receiver
) -> Iterator[Scene]:
    with Scene.between(
        keeper.url, twin_url, kafka=kafka_address, topic=topic_name, folder=tmp_path, receiver=receiver
    ) as made:
        yield made


async def says_away(scene: Scene) -> None:
    """The API as a problem, the page as a page, the probe as not ready: none of them hangs, none shows a fault of ours."""

    async def look() -> bool:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{scene.world.port}", timeout=20) as client:
            api, page, probe = await asyncio.gather(
                client.get("/api/v1/compliance"), client.get("/"), client.get("/readyz")
            )
        assert {api.status_code, page.status_code, probe.status_code} <= {200, 503}
        return (api.status_code, page.status_code, probe.status_code) == (503, 503, 503)

    await eventually(look, 30, "serve says that the database is away")


def alive(scene: Scene) -> bool:
    return all(process.poll() is None for process in scene.running.values())


async def test_it_goes_and_comes_back_by_any_way(scene: Scene, keeper: Keeper) -> None:
    """Stopped, its sessions ended, killed whole."""
    await scene.open()
    await scene.send(0, 3)
    keeper.stop()
    await says_away(scene)
    await scene.send(3)
    keeper.start()
    await scene.world.total("checkout", "availability", sum(map(len, scene.parts[:4])))
    await keeper.do("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'upheld %'")
    await scene.send(4, 6)
    keeper.kill()
    await scene.send(6)
    await says_away(scene)
    keeper.start()
    await scene.send(7, 10)
    await scene.agrees()
    assert alive(scene)


async def test_it_hangs_for_half_a_minute(scene: Scene, keeper: Keeper) -> None:
    """Nobody is told: connections stay, answers do not come."""
    await scene.open()
    await scene.send(0, 5)
    keeper.signal_all(signal.SIGSTOP)
    await scene.send(5, 7)
    await for_a_while(FROZEN_S)
    keeper.signal_all(signal.SIGCONT)
    await scene.send(7, 10)
    await scene.agrees()
    assert alive(scene)


async def test_it_refuses_connections_and_then_writes(scene: Scene, keeper: Keeper) -> None:
    """Out of connections after its sessions were ended; then read-only, as a standby during a switch-over."""
    await scene.open()
    await scene.send(0, 4)
    ended = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'upheld %'"
    taken = [await connect(keeper.url)]
    await taken[0].execute(ended)
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while True:
            taken.append(await connect(keeper.url))
            await taken[0].execute(ended)  # they come back as fast as they can
    await says_away(scene)
    await scene.send(4)
    await for_a_while(3)
    for each in taken:
        await each.close()
    await scene.world.total("checkout", "availability", sum(map(len, scene.parts[:5])))
    await keeper.do("ALTER DATABASE upheld SET default_transaction_read_only = on")
    await keeper.do(ended)
    await scene.send(5, 7)
    await scene.in_log("ingest", "dependency_away")
    await for_a_while(3)
    writes_again = "ALTER DATABASE upheld RESET default_transaction_read_only"
    await keeper.do("SET default_transaction_read_only = off", writes_again, ended)
    await scene.send(7, 10)
    await scene.agrees()
    assert alive(scene)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own that can be filled."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m,mode=755", "tmpfs", str(place)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode != 0:
        pytest.skip(f"no file system of its own to fill: {mounted.stderr.decode().strip()}")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_its_disk_is_full(
    small_disk: Path, twin_url: str, kafka_address: str, topic_name: str, tmp_path: Path, receiver: Receiver
) -> None:
    """Writes fail, or the server ends; once there is room and the server runs, everything goes on."""
    keeper = Keeper(small_disk / "postgres")
    try:
        with Scene.between(
            keeper.url, twin_url, kafka=kafka_address, topic=topic_name, folder=tmp_path, receiver=receiver
        ) as scene:
            await scene.open()
            await scene.send(0, 5)
            filler = small_disk / "filler"
            with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
                while file.write(bytes(1 << 16)):
                    pass
            await scene.send(5, 7)
            with contextlib.suppress(Exception):  # it may be gone already
                await keeper.do("CREATE TABLE more AS SELECT repeat('x', 900) AS x FROM generate_series(1, 100000)")
            await for_a_while(5)
            filler.unlink()
            keeper.stop()
            keeper.start()
            await scene.send(7, 10)
            await scene.agrees()
            assert alive(scene)
    finally:
        keeper.stop()
