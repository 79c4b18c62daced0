"""POST /events."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final, cast

import msgspec
import structlog
from fastapi import APIRouter, Depends, Request

from consumers.errors import LogUnavailable
from consumers.formats import native
from consumers.formats.times import EARLIEST_US, EventTimes, TimeBounds
from consumers.formats.unusable import Unusable
from service.api.access import requires
from service.api.events.models import REQUEST_BODY, Accepted
from service.api.problems import FieldError, Problem, away
from service.api.session import Deps
from service.api.tokens import Principal, Role
from service.errors import DependencyAway

router = APIRouter(prefix="/events", tags=["events"])

LARGEST_EVENT: Final = 64 * 1024
MOST_ERRORS: Final = 20
_ON_A_THREAD: Final = 64 * 1024  # bytes; above, checking takes long enough to be felt by others
_SEND_WITHIN_S: Final = 10.0
_DECODER: Final = msgspec.json.Decoder(Any)
_log = structlog.get_logger(__name__)

Emitter = Annotated[Principal, Depends(requires(Role.EMITTER))]


@router.post("", status_code=202, summary="Hand events to the topic", openapi_extra={"requestBody": REQUEST_BODY})
async def post_events(request: Request, deps: Deps, _who: Emitter) -> Accepted:
    """Needs the role `emitter`. All of them or none: one event that cannot be used refuses the request, and the answer
    names each that is wrong. 202 means that the broker has them.
    """
    body = await request.body()
    now_us = deps.clock()
    bounds = TimeBounds(EARLIEST_US, now_us + deps.future_bound_us)
    if len(body) > _ON_A_THREAD:
        values = await asyncio.to_thread(checked, body, now_us, bounds)
    else:
        values = checked(body, now_us, bounds)
    if deps.events is None:
        raise Problem(501, "This installation takes no events here: no UPHELD_EVENTS_TOPIC is set.", code="no-topic")
    try:
        async with asyncio.timeout(_SEND_WITHIN_S):
            await deps.events.send(values)
    except (LogUnavailable, DependencyAway, TimeoutError, OSError) as error:
        _log.warning("Events could not be handed to the topic.", action="events_refused", error=type(error).__name__)
        raise away("The broker") from None
    return Accepted(accepted=len(values))


def checked(body: bytes, now_us: int, bounds: TimeBounds) -> list[bytes]:
    """The events one by one, each as a record of its own. Raises Problem 422 naming each that cannot be used."""
    event_times = EventTimes()
    values: list[bytes] = []
    errors: list[FieldError] = []
    for number, element in enumerate(_elements(body)):
        try:
            values.append(_record(element))
            native.read(values[-1], record_time_us=now_us, bounds=bounds, event_times=event_times)
        except Unusable as error:
            errors.append(FieldError(location="body", field=f"/{number}", detail=f"{error.code}: {error.reason}"))
            if len(errors) == MOST_ERRORS:
                break
    if errors:
        raise Problem(422, "Some events cannot be used; none was taken.", errors=errors)
    return values


def _record(element: Any) -> bytes:
    if not isinstance(element, dict):
        raise Unusable("not_an_object", "an event is not a JSON object")
    value = msgspec.json.encode(element)
    if len(value) > LARGEST_EVENT:
        raise Unusable("too_large", f"the event is larger than {LARGEST_EVENT:,} bytes")
    return value


def _elements(body: bytes) -> list[Any]:
    if not body.strip():
        raise Problem(422, "The body is empty: it takes one event, an array of events, or one event a line.")
    try:
        try:
            whole: Any = _DECODER.decode(body)
        except msgspec.DecodeError:
            lines: list[Any] = _DECODER.decode_lines(body)
            return lines
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(422, "The body is not JSON in UTF-8, nor one JSON object a line.") from None
    return cast("list[Any]", whole) if isinstance(whole, list) else [whole]
