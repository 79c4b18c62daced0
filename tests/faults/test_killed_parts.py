"""Any part killed at any moment: nothing is lost, nothing counts twice, no page is missing."""

from __future__ import annotations

import pytest

from tests.faults.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]

BEFORE = "SELECT revision FROM installation FOR UPDATE"
WITHIN = "LOCK TABLE ledger IN ACCESS EXCLUSIVE MODE"


@pytest.mark.parametrize("where", [BEFORE, WITHIN], ids=["before", "within"])
async def test_ingest_killed_about_its_transaction(scene: Scene, where: str) -> None:
    """Nothing of a transaction that did not end is there; whoever is next reads it again."""
    await scene.open()
    await scene.send(0, 4)
    async with scene.locked(where):
        await scene.send(4, 7)
        await scene.waits_for_lock("ingest")
        scene.kill("ingest")
    scene.start("ingest")
    await scene.send(7, 10)
    await scene.agrees()
