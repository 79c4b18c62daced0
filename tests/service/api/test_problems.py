"""Every error is a problem document, and none of them tells what is nobody's business."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.api import times
from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.storage.database import create_engine

FIELDS = ["type", "title", "status", "detail", "instance"]


def check(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert list(problem)[:5] == FIELDS
    assert problem["type"] == f"urn:upheld:problem:{code}"
    assert problem["status"] == status
    assert problem["instance"] == answer.request.url.path
    return problem


async def test_an_unknown_address_is_a_problem(client: httpx.AsyncClient) -> None:
    """Below the API and beside it."""
    check(await client.get("/api/v1/nothing"), 404, "not-found")
    check(await client.get("/api/v2"), 404, "not-found")


@pytest.mark.parametrize(
    "path", ["exclusions", "silences", "reports/x", "agreements/x/checklist", "incidents/x/evidence"]
)
async def test_what_is_not_built_yet_is_absent(client: httpx.AsyncClient, path: str) -> None:
    """404 rather than an answer that looks like one."""
    check(await client.get(f"/api/v1/{path}"), 404, "not-found")


async def test_a_method_that_is_not_possible_says_which_are(client: httpx.AsyncClient) -> None:
    """With the Allow header, as HTTP wants it."""
    answer = await client.delete("/api/v1/objectives")
    check(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


async def test_what_is_wrong_with_a_request_is_named_field_by_field(client: httpx.AsyncClient) -> None:
    """All at once, without repeating what was sent."""
    answer = await client.get("/api/v1/objectives", params={"limit": "5000", "data": "s3cret"})
    problem = check(answer, 422, "invalid")
    assert {(error["location"], error["field"]) for error in problem["errors"]} == {
        ("query", "limit"),
        ("query", "data"),
    }
    assert "s3cret" not in answer.text


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"text": 5}', b'{"text": ""}', b'{"text": "a\\u0000b"}'])
async def test_a_body_that_is_wrong_is_a_problem(client: httpx.AsyncClient, body: bytes) -> None:
    """Malformed, of the wrong shape, or with what no database takes."""
    headers = {"Content-Type": "application/json"}
    check(await client.post("/api/v1/incidents/inc_x/notes", content=body, headers=headers), 422, "invalid")


async def test_a_body_that_is_no_text_is_a_problem(client: httpx.AsyncClient) -> None:
    """Bytes that are not UTF-8."""
    headers = {"Content-Type": "application/json"}
    answer = await client.post("/api/v1/incidents/inc_x/notes", content=b"\xff", headers=headers)
    check(answer, 400, "bad-request")


async def test_a_body_above_the_bound_is_refused_whether_or_not_it_says_its_length(client: httpx.AsyncClient) -> None:
    """A chunked body is cut off while it comes in."""

    async def chunks() -> Any:
        for _ in range(100):
            yield b'{"text": "' + b"x" * 1024

    path = "/api/v1/incidents/inc_x/notes"
    check(await client.post(path, content=b"x" * 70_000), 413, "too-large")
    check(await client.post(path, content=chunks()), 413, "too-large")


async def test_a_database_that_is_away_is_503_with_a_word_on_when_to_come_back(dependencies: ApiDependencies) -> None:
    """And the liveness probe goes on: a restart would not help."""
    engine = create_engine("postgresql://upheld:s3cret@127.0.0.1:1/upheld")
    app = create_app(replace(dependencies, engine=engine))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
        answer = await client.get("/api/v1/objectives")
        check(answer, 503, "dependency-away")
        assert answer.headers["retry-after"] == "2"
        ready = await client.get("/readyz")
        assert ready.status_code == 503
        assert ready.json() == {"status": "waiting", "database": "does not answer"}
        assert "s3cret" not in answer.text + ready.text
        assert (await client.get("/healthz")).status_code == 200
        metrics = await client.get("/metrics")
        assert metrics.status_code == 200
        assert "upheld_dead_letters" in metrics.text
    await engine.dispose()


async def test_an_error_of_ours_shows_a_reference_and_nothing_else(
    start: Callable[..., Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """No stack trace, no message: those stay in the log, and values in neither."""

    class Broken:
        async def send(self, values: object) -> None:
            raise RuntimeError("password=s3cret")

    async with start(events=Broken()) as client:
        answer = await client.post("/api/v1/events", json={"metric": "m"})
    problem = check(answer, 500, "internal")
    assert set(problem) == {*FIELDS, "reference"}
    assert "RuntimeError" not in answer.text
    assert "s3cret" not in answer.text
    logged = capsys.readouterr()
    assert problem["reference"] in logged.out + logged.err
    assert "s3cret" not in logged.out + logged.err


async def test_readiness_names_what_is_away(start: Callable[..., Any]) -> None:
    """Each check by its name; one that fails or hangs is away too."""

    async def fine() -> None:
        return None

    async def away() -> str:
        return "no broker at 127.0.0.1:9092"

    async def failing() -> None:
        raise OSError("s3cret")

    async with start(checks={"kafka": fine}) as client:
        assert (await client.get("/readyz")).json() == {"status": "ok"}
    async with start(checks={"kafka": away, "clock": fine, "disk": failing}) as client:
        answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "waiting", "kafka": "no broker at 127.0.0.1:9092", "disk": "does not answer"}


@given(st.integers(0, 4_000_000_000_000_000))
def test_times_on_the_wire_read_back_as_they_were(time_us: int) -> None:
    """To the microsecond, in UTC."""
    text = times.rfc3339(time_us)
    assert text.endswith("Z")
    assert times.parse(text) == time_us


@pytest.mark.parametrize(
    ("text", "time_us"),
    [
        ("2026-11-23T15:50:00Z", 1_795_449_000_000_000),
        ("2026-11-23T16:50:00+01:00", 1_795_449_000_000_000),
        ("2026-11-23", 1_795_392_000_000_000),
        ("1795449000", 1_795_449_000_000_000),
        ("1795449000.5", 1_795_449_000_500_000),
    ],
)
def test_times_are_taken_as_people_write_them(text: str, time_us: int) -> None:
    """RFC 3339, a date, or seconds."""
    assert times.parse(text) == time_us


@given(st.text(st.characters(exclude_categories=["Nd"])))
def test_any_other_text_is_refused_in_words(text: str) -> None:
    """ValueError and nothing else."""
    with pytest.raises(ValueError, match="RFC 3339"):
        times.parse(text)
