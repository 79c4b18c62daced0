"""`upheld run --embedded DIR`: everything in one process and one folder, killed and started again."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.world import World, eventually
from tests.service.devstack.killing import gone

AGREEMENT_FROM = "2026-01-01T00:00:00Z"
pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[World]:
    """An installation without any server of the tests': its commands find it by the settings file in its folder."""
    folder = tmp_path / "work"
    folder.mkdir()
    made = World("", "", "events", folder)
    made.settings["UPHELD_CONFIG"] = str(folder / "data" / "upheld.yaml")
    for name in ("UPHELD_DATABASE_URL", "UPHELD_KAFKA_BOOTSTRAP_SERVERS"):
        made.unset.add(name)
    yield made
    made.stop()


async def up(world: World) -> subprocess.Popen[bytes]:
    running = world.start("run", "--embedded", "data")
    await world.ready()
    return running


def servers_of(running: subprocess.Popen[bytes]) -> list[int]:
    """Its children."""
    children = Path(f"/proc/{running.pid}/task/{running.pid}/children").read_text()
    return [int(child) for child in children.split()]


def sample(number: int) -> dict[str, Any]:
    return {"metric": "http_requests", "service": "checkout", "labels": {"status": 500 if number % 50 == 0 else 200}}


async def test_a_folder_is_all_it_takes_and_survives_a_kill(embedded: World) -> None:
    """Commands find it; after kill -9 no server is left, and a new start goes on with what was counted."""
    running = await up(embedded)
    file = embedded.folder / "data" / "upheld.yaml"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await embedded.command("init")
    await embedded.command("apply", "agreement.yaml", "--from", AGREEMENT_FROM)
    await embedded.emit(sample(number) for number in range(500))
    item = await embedded.total("checkout", "availability", 500)
    assert item["experienced"]["good"] == 490
    assert "checkout/availability" in await embedded.command("status")

    servers = servers_of(running)
    assert len(servers) == 2
    running.send_signal(signal.SIGKILL)
    running.wait()

    async def ended() -> bool:
        return all(gone(server) for server in servers)

    await eventually(ended, 10, "the servers' end")

    again = await up(embedded)
    await embedded.emit(sample(number) for number in range(500))
    item = await embedded.total("checkout", "availability", 1000)
    assert item["experienced"]["good"] == 980
    again.send_signal(signal.SIGTERM)
    assert await asyncio.to_thread(again.wait, 15) == 0
    assert not file.exists()
    assert {path.name for path in (embedded.folder / "data").iterdir()} == {"postgres", "broker"}
    assert os.environ.get("UPHELD_CONFIG") is None
