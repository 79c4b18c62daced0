"""The outbox loop: claim, send, settle. A crash between send and settle sends again, with the same idempotency key."""

from __future__ import annotations

import asyncio
from collections import Counter as Counted
from collections.abc import Callable, Mapping

import structlog
from prometheus_client import Counter

from evaluators.agreements import NotificationTarget
from service.alerting.backoff import delay_s, given_up
from service.alerting.ports import Channel, Notification, Outbox, Outcome, Rejected, Retry, Sent, Targets
from service.errors import DependencyAway

POLL_S = 1.0
"""A notice from the database wakes the loop at once; this is for rows whose retry has come due, and lost notices."""

AT_ONCE = 32
"""Sends under way in one process; each is bounded in time."""

PER_TARGET = 4
"""Of these to one target. One that took nothing last time gets a single send until it takes one: targets that hang for
hours must not fill the room together."""

LAND_WITHIN_S = 5.0
"""At a stop. A send may take longer; it is cut off then, while the process still has time to give its claim back."""

GIVE_BACK_WITHIN_S = 2.0

_log = structlog.get_logger(__name__)


class Delivery:
    """A Part: sends what the outbox holds until stopped. Any number of processes may run one."""

    name = "deliver"

    def __init__(
        self,
        *,
        outbox: Outbox,
        targets: Targets,
        channels: Mapping[str, Channel],
        worker: str,
        chance: Callable[[], float],
        results: Counter,
    ) -> None:
        self._outbox = outbox
        self._targets = targets
        self._channels = channels
        self._worker = worker
        self._chance = chance
        self._results = results
        self._wake = asyncio.Event()
        self._stopping = False
        self._away = False
        self._faulty: set[str] = set()
        self._refusing: set[str] = set()
        self._under_way: dict[asyncio.Task[None], str] = {}

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    def stop(self) -> None:
        """Finish the sends under way within a bound, then return from `run`."""
        self._stopping = True
        self._wake.set()

    async def run(self) -> None:
        """A new send starts whenever one has ended, so that a slow target keeps nobody waiting but itself."""
        try:
            while not self._stopping:
                self._wake.clear()
                if not await self._started():
                    await self._sleep()
                self._collect()
            await self._landed()
        finally:
            await self._cut_off()

    async def round(self) -> None:
        """Claim once and see it through, for those who drive it by hand."""
        await self._started()
        await self._landed()

    async def _started(self) -> bool:
        """Whether there was something to send, and room for it. A database that is away is waited for."""
        room = AT_ONCE - len(self._under_way)
        if room <= 0:
            return False
        try:
            targets = await self._targets.targets()  # before the claim, which would have to lapse if this failed
            taken = self._taken()
            claimed = await self._outbox.claim(self._worker, room, per_target=PER_TARGET, taken=taken)
        except DependencyAway:
            self._miss_database()
            return False
        self._away = False
        for notification in claimed:
            task = asyncio.create_task(self._deliver(notification, targets), name=notification.idempotency_key)
            task.add_done_callback(lambda _: self._wake.set())
            self._under_way[task] = notification.target
        return bool(claimed)

    def _taken(self) -> dict[str, int]:
        """What each target has of its room: the sends under way, and all but one where it takes nothing."""
        sends = Counted(self._under_way.values())
        sends.update(dict.fromkeys(self._refusing, PER_TARGET - 1))
        return dict(sends)

    async def _landed(self) -> None:
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LAND_WITHIN_S)
        self._collect()

    async def _cut_off(self) -> None:
        """Sends that are still under way when the part ends go again, elsewhere or after the start."""
        if not self._under_way:
            return
        for task in self._under_way:
            task.cancel()
        await asyncio.gather(*self._under_way, return_exceptions=True)
        self._under_way.clear()
        try:
            async with asyncio.timeout(GIVE_BACK_WITHIN_S):
                await self._outbox.give_back(self._worker)
        except (DependencyAway, TimeoutError):
            return  # they lapse

    def _collect(self) -> None:
        """What could not be settled is sent again when its claim lapses; any other fault is raised."""
        for task in [task for task in self._under_way if task.done()]:
            del self._under_way[task]
            try:
                task.result()
            except DependencyAway:
                self._miss_database()

    def _miss_database(self) -> None:
        if not self._away:
            _log.warning("The database is away; notifications wait.", action="delivery_waiting")
        self._away = True

    async def _deliver(self, notification: Notification, targets: Mapping[str, NotificationTarget]) -> None:
        target = targets.get(notification.target)
        if target is None:
            outcome: Outcome = Retry("no notification target has this name")
            channel = "none"
        else:
            channel = target.type
            outcome = await self._sent(target, notification)
        await self._settle(notification, channel, outcome)

    async def _sent(self, target: NotificationTarget, notification: Notification) -> Outcome:
        """Whatever a channel raises is one target's trouble: it must not end the pages of the others.

        Its text stays out of the log and the database, since it may repeat a secret or an address.
        """
        try:
            outcome = await self._channels[target.type].send(target, notification)
        except Exception as error:  # noqa: BLE001 - a fault of ours that only this target brings out
            fault = type(error).__name__
            if target.name not in self._faulty:
                _log.error("A channel failed.", action="channel_failed", target=target.name, fault=fault)
            self._faulty.add(target.name)
            return Retry(f"internal: {fault}")
        self._faulty.discard(target.name)
        return outcome

    async def _settle(self, notification: Notification, channel: str, outcome: Outcome) -> None:
        attempts = notification.attempts + 1
        refused_before = notification.target in self._refusing
        self._note(notification.target, outcome)
        log = _log.bind(
            incident=notification.incident_id, type=notification.type, target=notification.target, attempts=attempts
        )
        match outcome:
            case Sent():
                await self._outbox.sent(notification, self._worker)
                self._results.labels(channel, "sent").inc()
                log.info("Notification sent.", action="notification_sent")
            case Retry(reason, after) if not given_up(attempts, notification.waited_s):
                delay = delay_s(attempts, self._chance(), after)
                await self._outbox.retry(notification, self._worker, reason, delay)
                self._results.labels(channel, "retried").inc()
                if not refused_before:
                    log.warning(
                        "Notification not taken; will be tried again.", action="notification_retried", reason=reason
                    )
            case Retry(reason) | Rejected(reason):
                await self._outbox.failed(notification, self._worker, reason)
                self._results.labels(channel, "failed").inc()
                log.error("Notification given up.", action="notification_failed", reason=reason)

    def _note(self, target: str, outcome: Outcome) -> None:
        """Whether the target takes anything; one that rejects a page is there, and may take the next."""
        if isinstance(outcome, Retry):
            self._refusing.add(target)
        else:
            self._refusing.discard(target)

    async def _sleep(self) -> None:
        try:
            async with asyncio.timeout(POLL_S):
                await self._wake.wait()
        except TimeoutError:
            return
