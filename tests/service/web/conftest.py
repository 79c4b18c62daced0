"""The pages on made-up data, asked over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import httpx
import pytest
from fastapi import FastAPI

from service.web.ports import PageInbox, Pages
from service.web.routes import mount, router
from tests.service.web.page_data import NOW, MadeUpData

BASE = "http://upheld.example.com"


@pytest.fixture
def data() -> MadeUpData:
    """What the pages show; a test may change it."""
    return MadeUpData()


@pytest.fixture
def clock() -> Callable[[], int]:
    """Four seconds after the last tick."""
    return lambda: NOW + 4_000_000


@pytest.fixture
def inbox() -> PageInbox | None:
    """None, as outside the demo."""
    return None


@pytest.fixture
async def client(
    data: MadeUpData, clock: Callable[[], int], inbox: PageInbox | None
) -> AsyncIterator[httpx.AsyncClient]:
    """A browser without a script."""
    app = FastAPI()
    app.include_router(router)
    mount(app, Pages(data, data, clock, inbox, "0.1.0"))
    headers = {"Accept": "text/html"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url=BASE, headers=headers) as asked:
        yield asked
