"""The main job from the outside: errors start, somebody is paged in time and once, and hears when it is over."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.acceptance.world import UPHELD, World, eventually
from tests.service.alerting.receiver import Receiver, Request

SLOT_S, LATENESS_S, MARGIN_S = 10, 5, 2
RATE = 40  # events a second
SECRET = "whsec_dXBoZWxkLWFjY2VwdGFuY2U="

ONCALL = """\
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
DOCUMENTS = (
    ONCALL
    + """---
apiVersion: upheld/v1
kind: Agreement
metadata: {{name: checkout, displayName: Checkout}}
spec:
  type: SLA
  provider: {{name: Example Cloud}}
  customer: {{name: Example Shop}}
  effective: {{from: 2026-01-01}}
  service: checkout
  notify: [oncall]
  objectives:
    - name: availability
      indicator: {{ratio: {{bad: 'requests{{service="checkout",status=~"5.."}}', total: 'requests{{service="checkout"}}'}}}}
      target: 0.99
      period: {{rolling: 30d}}
      alerts: [quick]
      runbook: "https://runbooks.example.com/checkout"
"""
)


def event(at: float, *, bad: bool) -> dict[str, Any]:
    return {
        "time": at,
        "metric": "requests",
        "service": "checkout",
        "labels": {"status": 503 if bad else 200},
        "value": 0.1,
    }


async def feed(world: World, bad_between: Callable[[float], bool], stop: asyncio.Event) -> None:
    """Emits RATE events a second through one running `upheld emit`, until stopped."""
    process = await asyncio.create_subprocess_exec(
        UPHELD,
        "emit",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env=world.environment,
        cwd=world.folder,
    )
    assert process.stdin is not None
    try:
        while not stop.is_set():
            now = time.time()
            for _ in range(RATE // 5):
                process.stdin.write(json.dumps(event(now, bad=bad_between(now))).encode() + b"\n")
            await process.stdin.drain()
            await asyncio.sleep(0.2)
    finally:
        process.stdin.close()
        await asyncio.wait_for(process.wait(), 20)


def pages(receiver: Receiver, kind: str) -> list[tuple[Request, dict[str, Any]]]:
    read = [(request, json.loads(request.body)) for request in receiver.requests]
    return [(request, page) for request, page in read if page["type"] == kind]


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_errors_start_and_the_page_comes_in_time_and_once(quick_world: World, receiver: Receiver) -> None:
    """The first half of the story below, on the embedded broker."""
    await story(quick_world, receiver, to_its_end=False)


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_errors_start_and_the_page_comes_in_time_once_and_then_its_resolve(
    kafka_world: World, receiver: Receiver
) -> None:
    """The whole story on Apache Kafka; most of it is the two minutes of calm before an incident resolves."""
    await story(kafka_world, receiver, to_its_end=True)


async def story(world: World, receiver: Receiver, *, to_its_end: bool) -> None:
    """The page is there by t + what the windows demand + slot + lateness + 2 s; the resolve follows the recovery.

    ::

        errors             |-- 30 s --|
        slots     |   10   |    10    |    10    |
        page                          ^ by: end of the slot in which 12 % of the last minute are bad,
                                        + lateness + 2 s
    """
    world.settings["HOOK_SECRET"] = SECRET
    # a minute of good history, so that the long window is full: errors must reach 12 % of it
    await world.apply(DOCUMENTS.format(url=receiver.url), since="2026-01-01T00:00:00Z")
    world.start("run")
    await world.ready()
    begun = time.time()
    await world.emit(event(begun - 70 + n * 0.02, bad=False) for n in range(3400))
    outage: list[float] = [float("inf"), float("inf")]
    stop = asyncio.Event()
    feeding = asyncio.create_task(feed(world, lambda at: outage[0] <= at < outage[1], stop))
    try:
        await world.total("checkout", "availability", 3400)
        assert not receiver.requests
        outage[0] = time.time()
        outage[1] = outage[0] + 30

        async def opened() -> bool:
            return bool(pages(receiver, "incident.opened"))

        # 40 a second all failing: 12 % of a minute's ~2,800 events after about 9 s
        windows_demand_s = 10
        bound = windows_demand_s + SLOT_S + LATENESS_S + MARGIN_S
        await eventually(opened, bound, "the page")
        ((request, page),) = pages(receiver, "incident.opened")
        data = page["data"]
        assert (data["severity"], data["agreement"], data["objective"]) == ("page", "checkout", "availability")
        assert data["condition"] == {"long": "1m", "short": "10s", "factor": 12, "view": "contractual"}
        assert data["runbook"] == "https://runbooks.example.com/checkout"
        assert "burning" in data["reason"]
        started = datetime.fromisoformat(data["started_at"])
        assert abs(started.timestamp() - outage[0]) <= SLOT_S
        assert request.headers["webhook-id"].startswith(data["id"])

        if not to_its_end:
            return

        async def resolved() -> bool:
            return bool(pages(receiver, "incident.resolved"))

        await eventually(resolved, 30 + 60 + 120 + SLOT_S + LATENESS_S + MARGIN_S, "the resolve")
        ((_, end),) = pages(receiver, "incident.resolved")
        assert end["data"]["id"] == data["id"]
        assert datetime.fromisoformat(end["data"]["resolved_at"]).tzinfo == UTC
        assert len(pages(receiver, "incident.opened")) == 1
        incident = await world.get(f"/incidents/{data['id']}")
        assert [step["type"] for step in incident["timeline"]] == ["opened", "resolved"]
    finally:
        stop.set()
        await feeding
