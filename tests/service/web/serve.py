"""Serves the pages on made-up data, to look at: `python -m tests.service.web.serve PORT [empty|blind|gap|away|tokens]`.

The data are of the moment MADE_UP_NOW_US (microseconds).
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator

import uvicorn
from fastapi import FastAPI
from starlette.responses import StreamingResponse

from evaluators import durations
from service.web.ports import Pages, Unseen
from service.web.routes import mount, router
from tests.service.web.page_data import NOW, TOKEN, MadeUpData, inbox_of


def application(data: MadeUpData) -> FastAPI:
    """The pages alone, with a stream that only beats."""
    app = FastAPI()

    async def beats() -> AsyncIterator[str]:
        while True:
            yield ": beat\n\n"
            await asyncio.sleep(15)

    @app.get("/api/v1/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(beats(), media_type="text/event-stream")

    app.include_router(router)
    mount(app, Pages(data, data, lambda: time.time_ns() // 1000, inbox_of(data), "0.1.0"))
    return app


if __name__ == "__main__":
    mode = sys.argv[2] if len(sys.argv) > 2 else ""
    made_up = MadeUpData(
        token=TOKEN if mode == "tokens" else None,
        away=mode == "away",
        blind="ingest is 4 min behind on events/2." if mode == "blind" else None,
        empty=mode == "empty",
    )
    if mode == "gap":
        words = "12,480 records of events/2 were gone before they were read"
        made_up.not_seen = [Unseen(NOW - 5 * durations.HOUR, NOW - 3 * durations.HOUR, words)]
    uvicorn.run(application(made_up), host="127.0.0.1", port=int(sys.argv[1]), log_level="warning")
