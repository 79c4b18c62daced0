"""One request, one transaction: opened when a route first asks, committed before the answer leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.ext.asyncio import AsyncConnection

from service.api.ports import ApiDependencies
from service.storage.standings import Standings, StandingsStore


def dependencies(request: Request) -> ApiDependencies:
    """What the wiring handed over."""
    bundle: ApiDependencies = request.app.state.dependencies
    return bundle


Deps = Annotated[ApiDependencies, Depends(dependencies)]


async def transaction(deps: Deps) -> AsyncIterator[AsyncConnection]:
    """The request's transaction; an error rolls it back."""
    async with deps.engine.begin() as connection:
        yield connection


# scope="function": the commit is done before a status is sent, so that 200 is never said of what was lost after it.
Transaction = Annotated[AsyncConnection, Depends(transaction, scope="function")]


async def current_standings(request: Request, connection: Transaction) -> Standings:
    """The standings as of the last committed ticks."""
    store: StandingsStore = request.app.state.standings
    return await store.current(connection)


CurrentStandings = Annotated[Standings, Depends(current_standings, scope="function")]
