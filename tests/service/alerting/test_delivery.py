"""The loop that empties the outbox, on a real database."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace

import httpx
import pytest
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine
from structlog.testing import capture_logs

from evaluators.agreements import NotificationTarget
from service.alerting import delivery as delivering
from service.alerting.channels.webhook import WebhookChannel
from service.alerting.delivery import PER_TARGET, Delivery
from service.alerting.ports import Channel, Notification, Outcome, Rejected, Retry, Sent
from service.errors import DependencyAway
from service.storage.outbox import PostgresOutbox
from service.storage.tables import outbox
from service.telemetry import Telemetry
from tests.service.alerting.receiver import Receiver
from tests.service.alerting.waiting import put, row, rows


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
    (found,) = await rows(engine)
    assert (found["state"], found["attempts"], found["last_error"]) == (state, 1, error)
    assert (found["settled_at"] is None) == (state == "pending")
    assert (
        telemetry.registry.get_sample_value("upheld_notifications_total", {"channel": "webhook", "result": result}) == 1
    )


async def test_an_unknown_target_waits_for_somebody_to_apply_it(engine: AsyncEngine) -> None:
    """A document removed by mistake must not lose the page."""
    await put(engine, "inc_a", 1)
    channel = Scripted(Sent())
    made, _ = delivery(engine, channel)
    await made.round()
    (found,) = await rows(engine)
    assert (found["state"], found["last_error"]) == ("pending", "no notification target has this name")
    assert not channel.asked


async def test_a_channel_that_raises_at_one_target_stops_no_other(engine: AsyncEngine) -> None:
    """Its pages wait; what it raised may hold a secret, so only the type's name is kept."""
    await put(engine, "inc_a", 1)
    await put(engine, "inc_a", 1, target="other")
    made, _ = delivery(engine, Failing("oncall"), ONCALL, replace(ONCALL, name="other"))
    with capture_logs() as logs:
        await made.round()
    assert [(one["target"], one["state"], one["last_error"]) for one in await rows(engine)] == [
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


@pytest.mark.parametrize(("attempts", "hours", "state"), [(9, 25, "failed"), (8, 25, "pending"), (300, 23, "pending")])
async def test_a_row_is_given_up_after_a_day_and_some_tries(
    engine: AsyncEngine, attempts: int, hours: int, state: str
) -> None:
    """A receiver that is gone for good must not be asked for ever, nor a page be lost to a delivery that was down."""
    await put(engine, "inc_a", 1)
    async with engine.begin() as connection:
        since = {"attempts": attempts, "hours": hours}
        await connection.execute(
            text("UPDATE outbox SET attempts = :attempts, created_at = now() - make_interval(hours => :hours)"), since
        )
    made, _ = delivery(engine, Scripted(Retry("HTTP 500")), ONCALL)
    await made.round()
    assert (await rows(engine))[0]["state"] == state


async def test_a_target_that_takes_nothing_gets_one_send_until_it_takes_one(engine: AsyncEngine) -> None:
    """Many that hang for hours must not fill the room together; one warning says it."""
    for number in range(3 * PER_TARGET):
        await put(engine, f"inc_{number:02}", 1)
    channel = Scripted(*[Retry("no answer in time")] * PER_TARGET, *[Sent()] * (2 * PER_TARGET))
    made, _ = delivery(engine, channel, ONCALL)
    sends: list[int] = []
    with capture_logs() as logs:
        while len(channel.asked) < 2 * PER_TARGET + 1:
            before = len(channel.asked)
            await made.round()
            sends.append(len(channel.asked) - before)
    assert sends == [PER_TARGET, 1, PER_TARGET]
    assert sum(line["action"] == "notification_retried" for line in logs) == 1


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
    assert {one["state"] for one in await rows(engine)} == {"sent"}


@pytest.fixture
async def receivers() -> AsyncIterator[tuple[Receiver, Receiver]]:
    """One that takes connections and never answers, and a sound one."""
    hanging, sound = Receiver(answers=[None]), Receiver()
    await hanging.start()
    await sound.start()
    yield hanging, sound
    await hanging.stop()
    await sound.stop()


async def fulfilled(condition: Callable[[], bool], woken: asyncio.Event, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while not condition():
            woken.clear()
            await woken.wait()


async def test_targets_that_hang_hold_up_no_page_of_another(
    engine: AsyncEngine, receivers: tuple[Receiver, Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With 700 of theirs pending: a fresh page leaves at once, and a stop gives back what still hangs."""
    monkeypatch.setattr(delivering, "LAND_WITHIN_S", 0.05)
    hanging, sound = receivers
    names = [f"hanging-{number}" for number in range(5)]
    async with engine.begin() as connection:
        await connection.execute(insert(outbox), [row(f"inc_{n}", 1, target=names[n % 5]) for n in range(700)])
    targets = [NotificationTarget(name, "webhook", hanging.url) for name in names]
    async with httpx.AsyncClient() as client:
        channel = WebhookChannel(client, {}, lambda: 0)
        made, _ = delivery(engine, channel, *targets, NotificationTarget("oncall", "webhook", sound.url))
        running = asyncio.create_task(made.run())
        await fulfilled(lambda: len(hanging.requests) >= 5 * PER_TARGET, hanging.arrived, 10)

        await put(engine, "inc_new", 1, severity="ticket")
        made.wake()
        await asyncio.wait_for(sound.arrived.wait(), 5)

        made.stop()
        await asyncio.wait_for(running, 5)
    assert len(hanging.requests) == 5 * PER_TARGET
    assert {(one["state"], one["claimed_by"], one["attempts"]) for one in await rows(engine)} == {
        ("pending", None, 0),
        ("sent", None, 1),
    }


class AwayOnce(Named):
    """Targets that cannot be read the first time."""

    def __init__(self, *targets: NotificationTarget) -> None:
        super().__init__(*targets)
        self.away = True

    async def targets(self) -> Mapping[str, NotificationTarget]:
        if self.away:
            self.away = False
            raise DependencyAway("away")
        return await super().targets()


async def test_nothing_is_claimed_while_the_targets_cannot_be_read(engine: AsyncEngine) -> None:
    """The page would wait for its claim to lapse."""
    await put(engine, "inc_a", 1)
    made = Delivery(
        outbox=PostgresOutbox(engine),
        targets=AwayOnce(ONCALL),
        channels={"webhook": Scripted(Sent())},
        worker="w",
        chance=lambda: 0.5,
        results=Telemetry().notifications,
    )
    await made.round()
    await made.round()
    assert (await rows(engine))[0]["state"] == "sent"


class Away:
    """An outbox whose database is away for the first claims."""

    def __init__(self, failures: int) -> None:
        self.failures = failures
        self.back = asyncio.Event()

    async def claim(self, worker: str, limit: int, *, per_target: int, taken: Mapping[str, int]) -> list[Notification]:
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

    async def give_back(self, worker: str) -> None:
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
