"""The outbox on a real database, and the loop that empties it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import insert, select, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from evaluators.agreements import NotificationTarget
from service.alerting.delivery import Delivery
from service.alerting.ports import Channel, Notification, Outcome, Rejected, Retry, Sent
from service.errors import DependencyAway
from service.storage.database import create_engine
from service.storage.outbox import PostgresOutbox
from service.storage.tables import outbox
from service.telemetry import Telemetry


@pytest.fixture
async def engine(database_url: str) -> AsyncIterator[AsyncEngine]:
    made = create_engine(database_url)
    yield made
    await made.dispose()


async def put(engine: AsyncEngine, incident: str, seq: int, *, severity: str = "page", target: str = "oncall") -> None:
    row = {
        "idempotency_key": f"{incident}.{seq}.{target}",
        "incident_id": incident,
        "type": "incident.opened" if seq == 1 else "incident.resolved",
        "severity": severity,
        "target": target,
        "payload": {"type": "incident.opened", "timestamp": "2026-11-23T15:41:27Z", "data": {"id": incident}},
    }
    async with engine.begin() as connection:
        await connection.execute(insert(outbox).values(row))


async def rows(engine: AsyncEngine) -> list[dict[str, Any]]:
    async with engine.connect() as connection:
        return [dict(row) for row in (await connection.execute(select(outbox).order_by(outbox.c.id))).mappings()]


async def test_pages_are_claimed_before_tickets(engine: AsyncEngine) -> None:
    """At a thousand waiting rows the urgent ones go first."""
    await put(engine, "inc_ticket", 1, severity="ticket")
    await put(engine, "inc_page", 1)
    claimed = await PostgresOutbox(engine).claim("w", 10)
    assert [one.incident_id for one in claimed] == ["inc_page", "inc_ticket"]


async def test_a_claimed_row_is_nobody_elses_until_the_claim_lapses(engine: AsyncEngine) -> None:
    """Two workers never send the same row at the same time."""
    await put(engine, "inc_a", 1)
    store = PostgresOutbox(engine)
    (claimed,) = await store.claim("one", 10)
    assert not await store.claim("two", 10)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET claimed_until = now() - interval '1 s'"))
    (again,) = await store.claim("two", 10)
    assert again.id == claimed.id
    assert not await store.sent(claimed, "one")
    assert await store.sent(again, "two")


async def test_a_later_change_waits_for_the_earlier_of_its_incident_and_target(engine: AsyncEngine) -> None:
    """Nobody reads "resolved" before "opened"; other targets do not wait."""
    await put(engine, "inc_a", 1)
    await put(engine, "inc_a", 2)
    await put(engine, "inc_a", 2, target="other")
    store = PostgresOutbox(engine)
    first = await store.claim("w", 10)
    assert [one.idempotency_key for one in first] == ["inc_a.1.oncall", "inc_a.2.other"]
    await store.retry(first[0], "w", "HTTP 500", 3600)
    assert not await store.claim("w", 10)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET next_attempt_at = now()"))
    (retried,) = await store.claim("w", 10)
    assert (retried.idempotency_key, retried.attempts) == ("inc_a.1.oncall", 1)
    assert await store.failed(retried, "w", "HTTP 410")
    assert [one.idempotency_key for one in await store.claim("w", 10)] == ["inc_a.2.oncall"]


async def test_one_target_takes_up_only_so_much_room(engine: AsyncEngine) -> None:
    """However many of its pages wait; what failed before waits behind what is fresh."""
    for number in range(20):
        await put(engine, f"inc_{number}", 1, target="hanging")
    await put(engine, "inc_z", 1, severity="ticket")
    store = PostgresOutbox(engine)
    first = await store.claim("one", 32)
    assert [one.target for one in first] == ["hanging"] * 8 + ["oncall"]
    assert not await store.claim("two", 32)
    for one in first[:8]:
        await store.retry(one, "one", "timeout", 0)
    again = await store.claim("two", 32)
    assert [one.incident_id for one in again] == [f"inc_{number}" for number in range(8, 16)]


class Scripted:
    """A channel that answers as told, and remembers what it was asked to send."""

    def __init__(self, *outcomes: Outcome) -> None:
        self._outcomes = list(outcomes)
        self.asked: list[str] = []
        self.done = asyncio.Event()

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome:
        self.asked.append(notification.idempotency_key)
        if len(self._outcomes) == 1:
            self.done.set()
        return self._outcomes.pop(0)


class Failing:
    """A channel with a fault that shows at one target only, while it is broken."""

    def __init__(self, target: str) -> None:
        self.broken = {target}

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome:
        if target.name in self.broken:
            raise ValueError("hunter2 is no secret")
        return Sent()


class Named:
    """Targets from a dict."""

    def __init__(self, *targets: NotificationTarget) -> None:
        self._targets = {target.name: target for target in targets}

    async def targets(self) -> Mapping[str, NotificationTarget]:
        return self._targets


ONCALL = NotificationTarget("oncall", "webhook", "http://127.0.0.1:1/")


def delivery(engine: AsyncEngine, channel: Channel, *targets: NotificationTarget) -> tuple[Delivery, Telemetry]:
    telemetry = Telemetry()
    made = Delivery(
        outbox=PostgresOutbox(engine),
        targets=Named(*targets),
        channels={"webhook": channel},
        worker="w",
        chance=lambda: 0.5,
        results=telemetry.notifications,
    )
    return made, telemetry


@pytest.mark.parametrize(
    ("outcome", "state", "result", "error"),
    [
        (Sent(), "sent", "sent", None),
        (Retry("HTTP 500"), "pending", "retried", "HTTP 500"),
        (Rejected("HTTP 410"), "failed", "failed", "HTTP 410"),
    ],
)
async def test_an_outcome_settles_the_row(
    engine: AsyncEngine, outcome: Outcome, state: str, result: str, error: str | None
) -> None:
    """And is counted by channel and result."""
    await put(engine, "inc_a", 1)
    made, telemetry = delivery(engine, Scripted(outcome), ONCALL)
    await made.round()
    (row,) = await rows(engine)
    assert (row["state"], row["attempts"], row["last_error"]) == (state, 1, error)
    assert (row["settled_at"] is None) == (state == "pending")
    assert (
        telemetry.registry.get_sample_value("upheld_notifications_total", {"channel": "webhook", "result": result}) == 1
    )


async def test_an_unknown_target_waits_for_somebody_to_apply_it(engine: AsyncEngine) -> None:
    """A document removed by mistake must not lose the page."""
    await put(engine, "inc_a", 1)
    channel = Scripted(Sent())
    made, _ = delivery(engine, channel)
    await made.round()
    (row,) = await rows(engine)
    assert (row["state"], row["last_error"]) == ("pending", "no notification target has this name")
    assert not channel.asked


async def test_a_channel_that_raises_at_one_target_stops_no_other(engine: AsyncEngine) -> None:
    """Its pages wait; what it raised may hold a secret, so only the type's name is kept."""
    await put(engine, "inc_a", 1)
    await put(engine, "inc_a", 1, target="other")
    made, _ = delivery(engine, Failing("oncall"), ONCALL, replace(ONCALL, name="other"))
    with capture_logs() as logs:
        await made.round()
    assert [(row["target"], row["state"], row["last_error"]) for row in await rows(engine)] == [
        ("oncall", "pending", "internal: ValueError"),
        ("other", "sent", None),
    ]
    assert "hunter2" not in str(logs)


async def test_a_fault_is_logged_once_until_its_target_works_again(engine: AsyncEngine) -> None:
    """A day of retries is not a day of the same line."""
    channel = Failing("oncall")
    made, _ = delivery(engine, channel, ONCALL)
    faults: list[int] = []
    for broken in ({"oncall"}, {"oncall"}, set[str](), {"oncall"}):
        channel.broken = broken
        await put(engine, f"inc_{len(faults)}", 1)
        with capture_logs() as logs:
            await made.round()
        faults.append(sum(line["action"] == "channel_failed" for line in logs))
    assert faults == [1, 0, 0, 1]


async def test_a_row_is_given_up_after_about_a_day_of_tries(engine: AsyncEngine) -> None:
    """A receiver that is gone for good must not be asked for ever."""
    await put(engine, "inc_a", 1)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE outbox SET attempts = 299"))
    made, _ = delivery(engine, Scripted(Retry("HTTP 500")), ONCALL)
    await made.round()
    assert (await rows(engine))[0]["state"] == "failed"


async def test_the_loop_sends_what_comes_and_stops_when_told(engine: AsyncEngine) -> None:
    """A wake-up is enough; a stop is prompt."""
    channel = Scripted(Sent(), Sent())
    made, _ = delivery(engine, channel, ONCALL)
    running = asyncio.create_task(made.run())
    await put(engine, "inc_a", 1)
    made.wake()
    await put(engine, "inc_b", 1)
    await asyncio.wait_for(channel.done.wait(), 10)
    made.stop()
    await asyncio.wait_for(running, 5)
    assert sorted(channel.asked) == ["inc_a.1.oncall", "inc_b.1.oncall"]
    assert {row["state"] for row in await rows(engine)} == {"sent"}


class Hanging:
    """A channel on which one target never answers."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.hanging = asyncio.Event()

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome:
        if target.name == "hanging":
            self.hanging.set()
            await asyncio.Event().wait()
        self.reached.set()
        return Sent()


async def test_a_target_that_hangs_keeps_nobody_else_waiting(engine: AsyncEngine) -> None:
    """A page that comes while all its sends are stuck leaves at once; stopping cuts them off, to go again."""
    for number in range(40):
        await put(engine, f"inc_{number}", 1, target="hanging")
    channel = Hanging()
    made, _ = delivery(engine, channel, ONCALL, replace(ONCALL, name="hanging"))
    running = asyncio.create_task(made.run())
    await asyncio.wait_for(channel.hanging.wait(), 10)

    await put(engine, "inc_new", 1)
    made.wake()
    await asyncio.wait_for(channel.reached.wait(), 10)

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert {row["state"] for row in await rows(engine) if row["target"] == "hanging"} == {"pending"}


class Away:
    """An outbox whose database is away for the first claims."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.back = asyncio.Event()

    async def claim(self, worker: str, limit: int) -> list[Notification]:
        if self.failures:
            self.failures -= 1
            raise DependencyAway("away")
        self.back.set()
        return []

    async def sent(self, notification: Notification, worker: str) -> bool:
        raise NotImplementedError

    async def retry(self, notification: Notification, worker: str, reason: str, delay_s: float) -> bool:
        raise NotImplementedError

    async def failed(self, notification: Notification, worker: str, reason: str) -> bool:
        raise NotImplementedError


async def test_a_database_that_is_away_is_waited_for() -> None:
    """The loop goes on by itself when it is back."""
    store = Away(2)
    made = Delivery(
        outbox=store,
        targets=Named(),
        channels={},
        worker="w",
        chance=lambda: 0.5,
        results=Telemetry().notifications,
    )
    running = asyncio.create_task(made.run())
    while store.failures:
        made.wake()
        await asyncio.sleep(0)
    made.wake()
    await asyncio.wait_for(store.back.wait(), 5)
    made.stop()
    await running
