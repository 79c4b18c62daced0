"""Who may write and read: tokens where there are some, this machine where there are none."""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.api.tokens import TokenFile, hash_token, new_token
from tests.service.api.world import Row, World

TOKENS = {role: new_token() for role in ("reader", "oncall", "owner", "emitter")}


@pytest.fixture
def tokens(tmp_path: Path) -> TokenFile:
    """One token of each role; names are the roles'."""
    path = tmp_path / "tokens.yaml"
    path.write_text(
        "".join(f"- {{name: {role}, role: {role}, hash: '{hash_token(TOKENS[role])}'}}\n" for role in TOKENS)
    )
    return TokenFile(path)


def bearer(role: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {TOKENS[role]}"}


async def ack(client: httpx.AsyncClient, **headers: str) -> httpx.Response:
    return await client.post("/api/v1/incidents/inc_none/ack", headers=headers)


WRITES = [
    ("POST", "/api/v1/incidents/inc_none/ack", "oncall"),
    ("POST", "/api/v1/incidents/inc_none/notes", "oncall"),
    ("PUT", "/api/v1/agreements/x", "owner"),
    ("POST", "/api/v1/events", "emitter"),
]
MAY = {"reader": set(), "oncall": {"oncall"}, "owner": {"oncall", "owner"}, "emitter": {"emitter"}}


@pytest.mark.parametrize(("method", "path", "needed"), WRITES)
async def test_each_write_takes_the_roles_that_it_names_and_no_other(
    start: Callable[..., Any], tokens: TokenFile, method: str, path: str, needed: str
) -> None:
    """401 without a token, 403 with too small a role, anything else once the door is passed."""
    async with start(tokens=tokens, loopback=False) as client:
        nobody = await client.request(method, path, json={"text": "x"})
        assert nobody.status_code == 401
        assert nobody.headers["www-authenticate"].startswith("Bearer")
        unknown = await client.request(method, path, headers={"Authorization": f"Bearer {new_token()}"})
        assert unknown.status_code == 401
        for role, may in MAY.items():
            answer = await client.request(method, path, headers=bearer(role), json={"text": "x"})
            assert (answer.status_code in {401, 403}) == (needed not in may), role


async def test_what_is_written_carries_the_name_of_the_token(
    start: Callable[..., Any], tokens: TokenFile, world: World
) -> None:
    """Who did it is not for the request to say."""
    incident = await world.incident()
    async with start(tokens=tokens) as client:
        told = await client.post(f"/api/v1/incidents/{incident.id}/ack", headers=bearer("owner"))
    assert told.json()["acknowledged_by"] == "owner"
    assert TOKENS["owner"] not in told.text


async def test_reading_stays_open_beside_a_tokens_file_unless_it_is_asked_to_close(
    start: Callable[..., Any], tokens: TokenFile, world: World
) -> None:
    """Scrapers and walls of screens go on; who wants it closed says so."""
    await world.stand(Row())
    async with start(tokens=tokens) as client:
        assert (await client.get("/api/v1/objectives")).status_code == 200
    async with start(tokens=tokens, require_token_for_reads=True) as client:
        for path in ("/api/v1/objectives", "/metrics", "/openapi.json", "/api/v1/stream", "/nothing"):
            closed = await client.get(path)
            assert closed.status_code == 401, path
            assert closed.headers["content-type"] == "application/problem+json"
        for probe in ("/healthz", "/readyz"):
            assert (await client.get(probe)).status_code == 200
        assert (await client.get("/api/v1/objectives", headers=bearer("reader"))).status_code == 200
        assert (await client.get("/api/v1/objectives", headers=bearer("emitter"))).status_code == 403
        basic = base64.b64encode(f"me:{TOKENS['reader']}".encode()).decode()
        assert (await client.get("/metrics", headers={"Authorization": f"Basic {basic}"})).status_code == 200


async def test_credentials_that_a_browser_sends_by_itself_do_not_write(
    start: Callable[..., Any], tokens: TokenFile
) -> None:
    """Basic credentials go along with a request that another site's page made."""
    basic = base64.b64encode(f"me:{TOKENS['owner']}".encode()).decode()
    async with start(tokens=tokens, require_token_for_reads=True) as client:
        assert (await ack(client, Authorization=f"Basic {basic}")).status_code == 401


@pytest.mark.parametrize(
    "authorization", ["Bearer", "Bearer ", "bearer x y", "Basic !!!", "Basic w6k=", "Digest a", "\x7f", "Bearer \xff"]
)
async def test_credentials_that_make_no_sense_are_none(
    start: Callable[..., Any], tokens: TokenFile, authorization: str
) -> None:
    """401, never 500."""
    async with start(tokens=tokens, require_token_for_reads=True) as client:
        headers = {b"Authorization": authorization.encode("latin-1")}
        assert (await client.get("/metrics", headers=headers)).status_code == 401


async def test_without_tokens_this_machine_may_write(client: httpx.AsyncClient) -> None:
    """404: the door was passed."""
    assert (await ack(client)).status_code == 404
    assert (await ack(client, Origin="http://localhost:8080")).status_code == 404
    assert (await ack(client, **{"Sec-Fetch-Site": "same-origin"})).status_code == 404


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "upheld.evil.example"},
        {"Host": "upheld.evil.example:8080", "Origin": "http://upheld.evil.example:8080"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": "192.168.1.7:8080"},
        {"Host": "[::1"},
        {"Host": ""},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:3000"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"X-Forwarded-For": "203.0.113.9"},
        {"Forwarded": "for=203.0.113.9"},
        {"X-Real-IP": "203.0.113.9"},
        {"Via": "1.1 proxy"},
    ],
    ids=lambda headers: ",".join(f"{name}={value}" for name, value in headers.items()),
)
async def test_without_tokens_a_browser_cannot_be_made_to_write(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    """Neither by a page of another site, nor by a name that now points here, nor through a proxy."""
    refused = await ack(client, **headers)
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:upheld:problem:forbidden"


async def test_without_tokens_an_open_bind_takes_no_write_and_says_how_to(start: Callable[..., Any]) -> None:
    """Reading works; the mend is in the answer."""
    async with start(loopback=False) as client:
        refused = await ack(client)
        assert refused.status_code == 403
        assert "UPHELD_TOKENS_FILE" in refused.json()["detail"]
        assert (await client.get("/api/v1/objectives")).status_code == 200


async def test_without_tokens_a_stranger_who_got_through_cannot_write(dependencies: ApiDependencies) -> None:
    """The peer's address counts, whatever the bind says."""
    transport = httpx.ASGITransport(create_app(dependencies), client=("203.0.113.9", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost:8080") as client:
        assert (await ack(client)).status_code == 403
