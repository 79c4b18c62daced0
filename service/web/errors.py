"""Pages for what went wrong: not found, refused, our own fault, the database away."""

from __future__ import annotations

import traceback
from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Final

import structlog
from starlette.requests import Request
from starlette.responses import Response

from service.errors import DependencyAway
from service.web.rendering import Renderer

_log = structlog.get_logger(__name__)

HEADINGS: Final = {
    400: "This request cannot be read",
    403: "Not allowed",
    404: "There is no such page",
    405: "This address does not take that",
    413: "This is too much",
    500: "Something went wrong in Upheld",
    503: "The database does not answer",
}
_DETAILS: Final = {
    404: "The address may be mistyped, or what it named may have been renamed.",
    500: "The fault is on this side, and it is in the log. Evaluation and pages run on by themselves.",
    503: "Numbers cannot be read at the moment. Evaluation goes on where it can, and resumes without loss where it cannot.",
}
RETRY_AFTER_S: Final = 5
_PLACES: Final = 12  # innermost frames named in the log

Handler = Callable[[Request], Awaitable[Response]]


def wants_page(request: Request) -> bool:
    """Whether a person's browser asks, and not a client of the API."""
    return not request.url.path.startswith("/api/") and "text/html" in request.headers.get("accept", "")


def error_page(renderer: Renderer, request: Request, status: int, detail: str = "") -> Response:
    """The page for a status; `detail` is shown as it is, so it must be written for people."""
    response = renderer.page(
        request,
        "message.html",
        title=HEADINGS.get(status, "Something is wrong"),
        status=status,
        heading=HEADINGS.get(status, "Something is wrong"),
        detail=detail or _DETAILS.get(status, ""),
        retry=status == 503,
    )
    if status == 503:
        response.headers["Retry-After"] = str(RETRY_AFTER_S)
    response.headers["Cache-Control"] = "no-store"
    return response


def _places(error: BaseException) -> list[str]:
    """Where in the code, without message and values: those may hold what a request carried."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


def guarded(renderer_of: Callable[[Request], Renderer]) -> Callable[[Handler], Handler]:
    """Turns what a handler raises into a page, so that nothing leaks and the process goes on."""

    def wrap(handler: Handler) -> Handler:
        @wraps(handler)
        async def guard(request: Request) -> Response:
            try:
                return await handler(request)
            except DependencyAway as away:
                _log.warning("A page could not be read.", action="page_away", path=request.url.path, reason=str(away))
                return error_page(renderer_of(request), request, 503)
            except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and answered with a page
                _log.error(
                    "A page failed.",
                    action="page_failed",
                    path=request.url.path,
                    error=type(error).__name__,
                    places=_places(error),
                )
                return error_page(renderer_of(request), request, 500)

        return guard

    return wrap
