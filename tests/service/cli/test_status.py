"""`upheld status`, against a real API on a real database."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator

import pytest

from service.api.app import create_app
from service.api.ports import ApiDependencies
from service.storage.database import create_engine
from service.wiring.http import HttpServer
from tests.service.api.world import NOW_US, Row, World
from tests.service.cli.conftest import Command

ROWS = (
    Row(agreement="mail", objective="delivery", series_id=1),
    Row(agreement="checkout-gold", verdict="at_risk", firing="page", group={"region": "eu"}, series_id=2),
    Row(agreement="media", verdict="breached", contractual_good=990_000, series_id=3),
    Row(agreement="quiet", verdict="none", data="silent", good=0, total=0, contractual_good=0, contractual_total=0),
)


class Api:
    """The API in a thread with a loop of its own."""

    def __init__(self, database_url: str, rows: tuple[Row, ...]) -> None:
        self._database_url = database_url
        self._rows = rows
        self._up = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))
        self._thread.start()
        assert self._up.wait(20)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.port}"

    async def _serve(self) -> None:
        engine = create_engine(self._database_url)
        if self._rows:
            await World(engine).stand(*self._rows)
        app = create_app(ApiDependencies(engine=engine, clock=lambda: NOW_US))
        self._server = HttpServer("test", app, "127.0.0.1", 0)
        self._up.set()
        await self._server.run()
        await engine.dispose()

    def stop(self) -> None:
        self._server.stop()
        self._thread.join(20)


@pytest.fixture
def rows() -> tuple[Row, ...]:
    return ROWS


@pytest.fixture
def api(database_url: str, rows: tuple[Row, ...]) -> Iterator[str]:
    """Its address."""
    served = Api(database_url, rows)
    yield served.url
    served.stop()


def test_the_worst_comes_first_and_says_why(upheld: Command, api: str) -> None:
    """A row each; reasons in full below the table."""
    done = upheld("status", "--url", api)
    table, reasons, count = done.out.strip().split("\n\n")
    assert [line.split()[0] for line in table.splitlines()] == [
        "Objective", "media/availability", "checkout-gold/availability", "mail/delivery", "quiet/availability",
    ]  # fmt: skip
    assert "█" in table
    assert [line.split(":")[0] for line in reasons.splitlines()] == [
        "checkout-gold/availability region=eu",
        "media/availability",
        "quiet/availability",
    ]
    assert count.startswith("4 objectives, as of 2026-11-26T15:30:10Z")


def test_eighty_columns_are_enough(upheld: Command, api: str) -> None:
    """Nothing is cut off; bars need more room."""
    done = upheld("status", "--url", api, columns=80)
    assert max(len(line) for line in done.out.splitlines()) <= 80
    assert "…" not in done.out
    assert "█" not in done.out


def test_a_breach_is_an_exit_code_for_scripts(upheld: Command, api: str) -> None:
    """Only where it is asked for, and only of what is asked about."""
    assert upheld("status", "--url", api).code == 0
    assert upheld("status", "--url", api, "--exit-code").code == 1
    assert upheld("status", "--url", api, "--exit-code", "--agreement", "mail").code == 0


def test_json_is_what_the_api_gives(upheld: Command, api: str) -> None:
    """For jq."""
    items = json.loads(upheld("status", "--url", api, "--json").out)
    assert [item["agreement"] for item in items] == ["checkout-gold", "mail", "media", "quiet"]


def test_an_api_that_does_not_answer_is_exit_code_3(upheld: Command) -> None:
    """With what to do."""
    done = upheld("status", "--url", "http://127.0.0.1:1")
    assert (done.code, "is `upheld serve` running?" in done.err) == (3, True)


class TestNothingYet:
    """Before the first agreement."""

    @pytest.fixture
    def rows(self) -> tuple[Row, ...]:
        return ()

    def test_says_what_comes_next(self, upheld: Command, api: str) -> None:
        """Rather than an empty table."""
        assert "`upheld init` writes an agreement" in upheld("status", "--url", api).out
