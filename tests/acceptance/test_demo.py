"""`upheld demo`, watched for a minute and a half by somebody who has just cloned it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.world import UPHELD, eventually, outside
from tests.service.devstack.killing import gone

START_S, PLAY_S = 60.0, 90.0
pytestmark = [pytest.mark.slow, pytest.mark.servers, pytest.mark.timeout(240)]


class Demo:
    """A running demo with two days of history."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.log = folder / "demo.log"
        with self.log.open("wb") as log:
            environment = {**outside(), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}
            command = [UPHELD, "demo", "--days", "2", "--port", "0", *arguments]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)

    async def address(self) -> str:
        async def look() -> str | None:
            assert self.process.poll() is None, self.log.read_text()
            found = re.search(r"Upheld is at (http://\S+)", self.log.read_text())
            return found[1] if found else None

        return await eventually(look, START_S, f"an address: {self.log.read_text()}")

    def servers(self) -> list[int]:
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text()
        return [int(child) for child in children.split()]


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    made = Demo(tmp_path)
    yield made
    made.process.kill()
    made.process.wait()


async def test_within_ninety_seconds_everything_is_there_to_see(demo: Demo, tmp_path: Path) -> None:
    """A healthy objective, one at risk, one breached, a silent one, incidents with reasons, the page in the inbox."""
    url = await demo.address()
    printed = time.monotonic()
    async with httpx.AsyncClient(base_url=url, timeout=10) as client:

        async def seen() -> bool:
            items: list[dict[str, Any]] = (await client.get("/api/v1/objectives")).json()["items"]
            verdicts = {item["verdict"] for item in items}
            return {"met", "at_risk", "breached"} <= verdicts and any(item["data"] == "silent" for item in items)

        await eventually(seen, PLAY_S, "all verdicts")
        incidents = (await client.get("/api/v1/incidents?state=open")).json()["items"]
        page = next(one for one in incidents if one["agreement"] == "checkout-gold")
        assert "burning" in page["reason"]

        async def delivered() -> bool:
            inbox = (await client.get("/inbox")).text
            return "Signature verified" in inbox and page["id"] in inbox

        await eventually(delivered, 10, "the page in the inbox")
        assert time.monotonic() - printed < PLAY_S
        overview = (await client.get("/")).text
        assert "Budget spent" in overview or "budget spent" in overview
        history = await client.get("/api/v1/objectives/checkout-gold/availability/history?group=region=eu&step=1h")
        assert sum(point["total"] > 0 for point in history.json()["items"]) >= 48
    servers = demo.servers()
    begun = time.monotonic()
    demo.process.send_signal(signal.SIGINT)
    assert await asyncio.to_thread(demo.process.wait, 15) == 0
    assert time.monotonic() - begun < 10
    assert all(gone(server) for server in servers)
    assert not list(tmp_path.glob("upheld-demo-*"))
    assert "Traceback" not in demo.log.read_text()


async def test_a_killed_demo_leaves_nothing_that_the_next_one_shows(demo: Demo, tmp_path: Path) -> None:
    """No server survives it, and the next start removes its folder."""
    await demo.address()
    servers = demo.servers()
    demo.process.kill()
    demo.process.wait()

    async def ended() -> bool:
        return all(gone(server) for server in servers)

    await eventually(ended, 10, "the servers' end")
    (left,) = tmp_path.glob("upheld-demo-*")
    following = Demo(tmp_path)
    try:
        url = await following.address()
        assert not left.exists()
        async with httpx.AsyncClient(base_url=url) as client:
            items = (await client.get("/api/v1/incidents?state=open")).json()["items"]
        assert [one["agreement"] for one in items] in (["accounts-platform"], [])
    finally:
        following.process.send_signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            following.process.wait(15)
        following.process.kill()
