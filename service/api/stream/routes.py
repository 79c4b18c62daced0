"""GET /stream."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from service.api.problems import Problem
from service.api.stream.broadcast import Broadcast, TooManySubscribers
from service.api.stream.response import EventStream

_ID = re.compile(r"[0-9]{1,18}", re.ASCII)
router = APIRouter(tags=["stream"])

_EXAMPLE = (
    'id: 1795707680000000\nevent: verdict\ndata: {"agreement":"checkout-gold","objective":"availability", ...}\n\n'
    'id: 1795707687000000\nevent: incident\ndata: {"type":"incident.opened","timestamp":"2026-11-23T15:41:27Z", ...}\n\n'
)


@router.get(
    "/stream",
    summary="What changes, as server-sent events",
    response_class=Response,
    responses={200: {"description": "Stays open.", "content": {"text/event-stream": {"example": _EXAMPLE}}}},
)
async def stream(request: Request, last_event_id: Annotated[str | None, Header()] = None) -> Response:
    """`verdict`: an objective item whose verdict, data state or firing severity changed. `incident`: a step in an
    incident's life, as a webhook gets it. `tick`: the numbers have moved. `reset`: too much was missed; read anew.

    With `Last-Event-ID` the stream goes on where it was.
    """
    broadcast: Broadcast = request.app.state.broadcast
    known = last_event_id if last_event_id and _ID.fullmatch(last_event_id) else None
    last = int(known) if known else None
    try:
        subscriber, missed = broadcast.join(last)
    except TooManySubscribers:
        raise Problem(503, "Too many streams are open; try again later.", headers={"Retry-After": "5"}) from None
    return EventStream(broadcast, subscriber, missed)
