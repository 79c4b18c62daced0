"""POST /events: all or none, to the topic."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from consumers.errors import LogUnavailable
from consumers.formats.times import EARLIEST_US, TimeBounds
from service.api.events.models import EVENT_EXAMPLE
from service.api.events.routes import checked
from service.api.problems import Problem
from tests.examples import examples
from tests.service.api.world import NOW_US

EVENT = {"metric": "m", "value": 0.25, "labels": {"status": 200}}


@dataclass
class Topic:
    """An event sink that keeps what it got, or fails."""

    failure: Exception | None = None
    values: list[bytes] = field(default_factory=list)

    async def send(self, values: Sequence[bytes]) -> None:
        """As the port has it."""
        if self.failure:
            raise self.failure
        self.values += values


@pytest.mark.parametrize(
    "body",
    [
        msgspec.json.encode(EVENT),
        msgspec.json.encode([EVENT, EVENT]),
        msgspec.json.encode(EVENT) + b"\n" + msgspec.json.encode(EVENT) + b"\n\n",
        msgspec.json.encode([]),
        msgspec.json.encode([EVENT] * 3000),
    ],
    ids=["object", "array", "lines", "empty array", "many"],
)
async def test_events_reach_the_topic_one_a_record(start: Callable[..., Any], body: bytes) -> None:
    """202 says how many; what is on the topic means the same as what was sent."""
    topic = Topic()
    async with start(events=topic) as client:
        answer = await client.post("/api/v1/events", content=body)
    assert answer.status_code == 202
    assert answer.json() == {"accepted": len(topic.values)}
    assert {len(topic.values)} <= {0, 1, 2, 3000}
    assert all(msgspec.json.decode(value) == EVENT for value in topic.values)


async def test_one_bad_event_refuses_all_and_is_named(start: Callable[..., Any]) -> None:
    """With the code that a dead letter would carry, and nothing of the payload."""
    topic = Topic()
    bad = [EVENT, {"metric": 5}, EVENT, {"metric": "m", "time": "2999-01-01T00:00:00Z"}, {"value": "s3cret"}]
    async with start(events=topic) as client:
        answer = await client.post("/api/v1/events", json=bad)
    assert answer.status_code == 422
    errors = {error["field"]: error["detail"].split(":")[0] for error in answer.json()["errors"]}
    assert errors == {"/1": "bad_metric", "/3": "future_time", "/4": "missing_metric"}
    assert topic.values == []
    assert "s3cret" not in answer.text


@pytest.mark.parametrize(
    "body", [b"", b" \n", b"{", b'{"metric":', b"\xff\xfe", b"[" * 100_000, b'{"a":1}x', b"5", b'"x"']
)
async def test_a_body_that_holds_no_events_is_refused(client: httpx.AsyncClient, body: bytes) -> None:
    """422, never 500."""
    assert (await client.post("/api/v1/events", content=body)).status_code in {413, 422}


async def test_a_body_above_four_mebibytes_is_refused_unread(client: httpx.AsyncClient) -> None:
    """The bound is on what is read, not on what fits."""
    assert (await client.post("/api/v1/events", content=b" " * (4 * 1024 * 1024 + 1))).status_code == 413


@pytest.mark.parametrize("failure", [LogUnavailable("no broker"), TimeoutError(), OSError("refused")])
async def test_a_broker_that_is_away_is_503(start: Callable[..., Any], failure: Exception) -> None:
    """And worth a retry: nothing was accepted."""
    async with start(events=Topic(failure)) as client:
        answer = await client.post("/api/v1/events", json=EVENT)
    assert answer.status_code == 503
    assert "broker" in answer.json()["detail"]
    assert "retry-after" in answer.headers


async def test_without_a_way_to_the_topic_events_are_refused(client: httpx.AsyncClient) -> None:
    """501, with the setting that is missing: a retry would not help, and they would be lost."""
    answer = await client.post("/api/v1/events", json=EVENT)
    assert answer.status_code == 501
    assert "UPHELD_EVENTS_TOPIC" in answer.json()["detail"]


async def test_the_documented_event_is_one(start: Callable[..., Any]) -> None:
    """What the reference shows can be sent."""
    topic = Topic()
    async with start(events=topic) as client:
        assert (await client.post("/api/v1/events", json=EVENT_EXAMPLE)).status_code == 202


@given(
    st.one_of(
        st.binary(max_size=200),
        st.recursive(
            st.none() | st.booleans() | st.floats() | st.text(),
            lambda inner: (
                st.lists(inner)
                | st.dictionaries(st.sampled_from(["metric", "time", "labels", "value", "kind", "count"]), inner)
            ),
        ).map(msgspec.json.encode),
    )
)
@examples(200, suppress_health_check=[HealthCheck.too_slow])
def test_any_body_is_taken_or_refused(body: bytes) -> None:
    """A Problem is the only exception; whatever is taken would count."""
    try:
        values = checked(body, NOW_US, TimeBounds(EARLIEST_US, NOW_US))
    except Problem as refused:
        assert refused.status_code == 422  # noqa: PT017 - either way is right
    else:
        assert all(b"metric" in value for value in values)


async def test_a_slow_broker_does_not_hold_up_other_requests(start: Callable[..., Any]) -> None:
    """Sending is awaited, never blocking."""
    let_go = asyncio.Event()

    class Slow:
        async def send(self, values: Sequence[bytes]) -> None:
            await let_go.wait()

    async with start(events=Slow()) as client:
        waiting = asyncio.create_task(client.post("/api/v1/events", json=EVENT))
        assert (await client.get("/healthz")).status_code == 200
        assert not waiting.done()
        let_go.set()
        assert (await waiting).status_code == 202
