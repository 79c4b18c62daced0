"""GET /stream on a real socket: what changed, told to all who listen, by one look at the database."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.api.stream.broadcast import QUEUE, RECENT, SUBSCRIBERS, Broadcast, TooManySubscribers
from service.api.stream.feed import MOST_CHANGES, Feed
from service.api.stream.response import EventStream
from service.storage.database import listen
from service.storage.standings import StandingsStore
from service.wiring.http import HttpServer
from tests.service.api.world import NOW_US, Row, World

DEADLINE_S = 15


@dataclass
class Told:
    """One event as a browser sees it."""

    id: str = ""
    event: str = ""
    data: Any = None


class Reader:
    """Reads the events of one open stream, one by one."""

    def __init__(self, response: httpx.Response) -> None:
        self._lines = response.aiter_lines()

    async def comment_or_event(self) -> Told | str:
        """The next block."""
        told = Told()
        async with asyncio.timeout(DEADLINE_S):
            async for line in self._lines:
                name, _, value = line.partition(": ")
                if line.startswith(":"):
                    return line
                if name == "id":
                    told.id = value
                elif name == "event":
                    told.event = value
                elif name == "data":
                    told.data = json.loads(value)
                elif not line and told.event:
                    return told
        raise EOFError

    async def until(self, event: str) -> Told:
        """The next event of this name."""
        while True:
            told = await self.comment_or_event()
            if isinstance(told, Told) and told.event == event:
                return told


@dataclass
class Served:
    """A server on a real socket."""

    app: FastAPI
    url: str
    client: httpx.AsyncClient

    @asynccontextmanager
    async def reader(self, **headers: str) -> AsyncIterator[Reader]:
        """An open stream."""
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.stream("GET", "/api/v1/stream", headers=headers) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["cache-control"] == "no-store"
            yield Reader(response)


@pytest.fixture
async def served(dependencies: ApiDependencies, database_url: str, world: World) -> AsyncIterator[Served]:
    """The application under uvicorn, woken by the database, with one tick behind it."""
    await world.stand(Row(series_id=1), Row(objective="latency", series_id=2))
    app = create_app(replace(dependencies, listen=functools.partial(listen, database_url)))
    server = HttpServer("test", app, "127.0.0.1", 0)
    running = asyncio.create_task(server.run())
    url = f"http://127.0.0.1:{server.port}"
    async with httpx.AsyncClient(base_url=url, timeout=DEADLINE_S) as client:
        yield Served(app, url, client)
        app.state.broadcast.close()
    server.stop()
    await running


async def looked(served: Served) -> None:
    """The feed has seen the first tick, so that the next one is a change."""
    await served.app.state.feed.look()


async def test_a_changed_verdict_reaches_every_listener_as_an_objective_item(served: Served, world: World) -> None:
    """Only what changed is told; a tick says that numbers have moved."""
    await looked(served)
    async with served.reader() as one, served.reader() as other:
        await world.stand(Row(series_id=1, verdict="breached", firing="page"), Row(objective="latency", series_id=2))
        for reader in (one, other):
            told = await reader.until("verdict")
            assert (told.data["objective"], told.data["verdict"], told.data["firing"]) == (
                "availability",
                "breached",
                "page",
            )
            tick = await reader.comment_or_event()
            assert isinstance(tick, Told)
            assert (tick.event, tick.data) == ("tick", {"as_of": "2026-11-26T15:30:10Z", "blind": []})


async def test_an_incident_and_its_acknowledgement_are_told(served: Served, world: World) -> None:
    """In the shape of a page; an acknowledgement by the API wakes the stream by itself."""
    await looked(served)
    async with served.reader() as reader:
        incident = await world.incident()
        await world.run("SELECT pg_notify('upheld_standings', '')")
        opened = await reader.until("incident")
        assert opened.data["type"] == "incident.opened"
        assert (opened.data["data"]["id"], opened.data["data"]["state"]) == (incident.id, "open")
        await served.client.post(f"/api/v1/incidents/{incident.id}/notes", json={"text": "on it"})
        await served.client.post(f"/api/v1/incidents/{incident.id}/ack")
        acknowledged = await reader.until("incident")
        assert acknowledged.data["type"] == "incident.acknowledged"
        assert acknowledged.data["data"]["acknowledged_by"] == "local"


async def test_a_stream_that_was_cut_goes_on_where_it_was(served: Served, world: World) -> None:
    """Nothing is lost between, and nothing told twice."""
    await looked(served)
    async with served.reader() as reader:
        await world.stand(Row(series_id=1, verdict="at_risk"), Row(objective="latency", series_id=2))
        seen = await reader.until("verdict")
    await world.stand(Row(series_id=1, verdict="breached"), Row(objective="latency", series_id=2))
    async with served.reader(last_event_id=seen.id) as reader:
        missed = await reader.until("verdict")
        assert missed.data["verdict"] == "breached"
        assert int(missed.id) > int(seen.id)


async def test_a_listener_from_too_long_ago_is_told_to_read_anew(served: Served) -> None:
    """And one with an id that is none starts like a new one."""
    async with served.reader(last_event_id="1") as reader:
        assert (await reader.until("reset")).data == {"reason": "missed"}
    async with served.reader(last_event_id="what") as reader:
        served.app.state.broadcast.publish("tick", b"{}")
        assert (await reader.until("tick")).data == {}


async def test_streams_end_when_the_process_stops(served: Served) -> None:
    """An open stream does not hold a stop up."""
    async with served.reader() as reader:
        served.app.state.broadcast.close()
        with pytest.raises(EOFError):
            await reader.until("tick")
    assert (await served.client.get("/api/v1/stream")).status_code == 503


async def test_a_listener_that_leaves_is_forgotten(served: Served) -> None:
    """Its place is free again."""
    broadcast: Broadcast = served.app.state.broadcast
    async with served.reader():
        assert len(broadcast) == 1
    async with asyncio.timeout(DEADLINE_S):
        while len(broadcast):
            await asyncio.sleep(0)


async def test_a_listener_that_does_not_read_is_dropped_and_the_others_go_on() -> None:
    """Nobody waits for the slowest."""
    broadcast = Broadcast(lambda: NOW_US)
    slow, _ = broadcast.join()
    quick, _ = broadcast.join()
    for number in range(QUEUE + 1):
        broadcast.publish("tick", b"%d" % number)
        assert quick.queue.get_nowait().data == b"%d" % number
    assert slow.ended.is_set()
    assert not quick.ended.is_set()
    assert len(broadcast) == 1


async def test_a_dropped_stream_ends_even_while_its_socket_takes_nothing() -> None:
    """The response returns, so that the server can close the connection."""
    broadcast = Broadcast(lambda: NOW_US)
    subscriber, missed = broadcast.join()
    stuck = asyncio.Event()

    async def send(message: Any) -> None:
        if message["type"] == "http.response.body":
            stuck.set()
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    response = asyncio.create_task(EventStream(broadcast, subscriber, missed)({}, receive, send))
    await stuck.wait()
    for _ in range(QUEUE + 1):
        broadcast.publish("tick", b"{}")
    async with asyncio.timeout(DEADLINE_S):
        await response
    assert len(broadcast) == 0


async def test_a_quiet_stream_is_kept_open_by_comments() -> None:
    """Proxies cut what says nothing for a minute."""
    broadcast = Broadcast(lambda: NOW_US)
    subscriber, missed = broadcast.join()
    sent: list[bytes] = []
    heard = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message.get("body", b""))
        if sent[-1].startswith(b":"):
            heard.set()

    async def receive() -> Any:
        await heard.wait()
        return {"type": "http.disconnect"}

    async with asyncio.timeout(DEADLINE_S):
        await EventStream(broadcast, subscriber, missed, heartbeat_s=0.01)({}, receive, send)
    assert b": still here\n\n" in sent


def test_open_streams_are_bounded() -> None:
    """One more is refused, and the others stay."""
    broadcast = Broadcast(lambda: NOW_US)
    for _ in range(SUBSCRIBERS):
        broadcast.join()
    with pytest.raises(TooManySubscribers):
        broadcast.join()


def test_ids_grow_whatever_the_clock_does() -> None:
    """Also when it stands, or goes back."""
    clock = iter([100, 100, 50, 200])
    broadcast = Broadcast(lambda: next(clock))
    for _ in range(3):
        broadcast.publish("tick", b"{}")
    _, missed = broadcast.join(100)
    assert [event.id for event in missed] == [101, 102, 200]


def test_what_was_missed_is_given_as_long_as_it_is_remembered() -> None:
    """The oldest remembered event is still complete; one before it is not."""
    broadcast = Broadcast(lambda: 0)
    for _ in range(RECENT + 5):
        broadcast.publish("tick", b"{}")
    oldest = 6
    assert len(broadcast.join(oldest - 1)[1]) == RECENT
    assert [event.name for event in broadcast.join(oldest - 2)[1]] == ["reset"]


@dataclass
class Kept:
    """A broadcast that keeps what was published."""

    events: list[tuple[str, Any]]

    def publish(self, name: str, data: bytes) -> None:
        self.events.append((name, json.loads(data)))


@pytest.fixture
def feed_to(dependencies: ApiDependencies) -> Callable[[Kept], Feed]:
    """A feed that publishes into a list."""
    return lambda kept: Feed(dependencies, StandingsStore(), kept)  # type: ignore[arg-type]


async def test_what_was_there_before_is_not_news(feed_to: Callable[[Kept], Feed], world: World) -> None:
    """The first look only remembers; without a change later ones say nothing."""
    await world.stand(Row(verdict="breached"))
    await world.incident()
    kept = Kept([])
    feed = feed_to(kept)
    await feed.look()
    await feed.look()
    assert kept.events == []


async def test_a_new_group_and_a_shard_gone_blind_are_news(feed_to: Callable[[Kept], Feed], world: World) -> None:
    """Whether or not the rows are those of the look before."""
    await world.stand(Row(group={"region": "eu"}, series_id=1))
    kept = Kept([])
    feed = feed_to(kept)
    await feed.look()
    await world.stand(Row(group={"region": "ap"}, series_id=2), Row(group={"region": "eu"}, series_id=1))
    await feed.look()
    assert [(name, event["group"]) for name, event in kept.events if name == "verdict"] == [
        ("verdict", {"region": "ap"})
    ]
    kept.events.clear()
    await world.run("UPDATE standings SET written_at = clock_timestamp() - interval '2 minutes'")
    await feed.look()
    assert [event["data"] for name, event in kept.events if name == "verdict"] == ["blind", "blind"]
    assert kept.events[-1][0] == "tick"
    assert kept.events[-1][1]["blind"]


async def test_more_changes_than_can_be_told_are_one_reset(feed_to: Callable[[Kept], Feed], world: World) -> None:
    """An outage turns everything blind at once: reading anew is cheaper."""
    rows = [Row(group={"n": str(number)}, series_id=number) for number in range(MOST_CHANGES + 1)]
    await world.stand(*rows)
    kept = Kept([])
    feed = feed_to(kept)
    await feed.look()
    await world.stand(*(replace(row, verdict="at_risk") for row in rows))
    await feed.look()
    assert kept.events == [("reset", {"reason": "many_changes"})]
