"""Errors on the wire: RFC 9457 problem documents, for everything that is not a success.

A problem says what the caller can mend; what went wrong inside goes to the log under a reference, never into a
response.
"""

from __future__ import annotations

import asyncio
import secrets
import traceback
from collections.abc import Callable, Mapping, Sequence
from http import HTTPStatus
from http.client import responses
from typing import Any, Final, cast

import msgspec
import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import DependencyAway
from service.storage.database import cause, is_away

MEDIA_TYPE: Final = "application/problem+json"
TYPE_PREFIX: Final = "urn:upheld:problem:"
RETRY_AFTER_S: Final = 2
_PLACES: Final = 12  # innermost frames named in the log
_log = structlog.get_logger(__name__)

_CODES: Final[Mapping[int, str]] = {
    400: "bad-request",
    401: "unauthorized",
    403: "forbidden",
    404: "not-found",
    405: "method-not-allowed",
    409: "conflict",
    413: "too-large",
    415: "unsupported-media-type",
    422: "invalid",
    500: "internal",
    503: "dependency-away",
}


class FieldError(BaseModel):
    """One thing that is wrong with a request: where, and what was expected."""

    location: str = Field(description="`query`, `path`, `header` or `body`.", examples=["query"])
    field: str = Field(description="Name, or JSON pointer into the body.", examples=["limit"])
    detail: str = Field(examples=["Input should be less than or equal to 1000"])


class ProblemDocument(BaseModel):
    """An RFC 9457 problem document."""

    model_config = ConfigDict(
        title="Problem",
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:upheld:problem:not-found",
                    "title": "Not Found",
                    "status": 404,
                    "detail": "There is no agreement 'checkout-silver'.",
                    "instance": "/api/v1/agreements/checkout-silver",
                }
            ]
        },
    )

    type: str = Field(description="A stable name of the kind of problem.")
    title: str
    status: int
    detail: str
    instance: str = Field(description="The path that was asked for.")
    errors: list[FieldError] | None = Field(default=None, description="What is wrong with the request, one by one.")
    reference: str | None = Field(default=None, description="Names the log line of an internal error.")


class Problem(HTTPException):
    """Raised by routes; becomes a problem document. `code` names the kind where the status alone does not."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        code: str | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        extra: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(status, detail, headers)
        self.code = code
        self.errors = tuple(errors)
        self.extra = extra or {}


def not_found(what: str) -> Problem:
    """The one way to say that something is not there."""
    return Problem(404, f"There is no {what}.")


def invalid(location: str, field: str, detail: str) -> Problem:
    """One field that validation by type alone did not catch."""
    return Problem(422, "The request is not valid.", errors=[FieldError(location=location, field=field, detail=detail)])


def document(path: str, problem: HTTPException, reference: str | None = None) -> Response:
    """The response that carries `problem`."""
    status = problem.status_code
    title = responses.get(status, "Error")
    code = problem.code if isinstance(problem, Problem) and problem.code else _CODES.get(status, "error")
    body: dict[str, Any] = {
        "type": TYPE_PREFIX + code,
        "title": title,
        "status": status,
        "detail": _sentence(problem.detail),
        "instance": path,
    }
    if isinstance(problem, Problem):
        if problem.errors:
            body["errors"] = [error.model_dump() for error in problem.errors]
        body.update(problem.extra)
    if reference:
        body["reference"] = reference
    return Response(msgspec.json.encode(body), status, headers=problem.headers, media_type=MEDIA_TYPE)


def away(what: str) -> Problem:
    """503: something that the answer needs does not answer; worth a retry."""
    return Problem(503, f"{what} does not answer now; try again.", headers={"Retry-After": str(RETRY_AFTER_S)})


PageFor = Callable[[Request, int, str], Response | None]
"""A page for people instead of a document, where a browser asks for one; None otherwise."""


def _no_page(_request: Request, _status: int, _detail: str) -> None:
    return None


def install(app: FastAPI, page_for: PageFor = _no_page) -> None:
    """Every error that FastAPI and Starlette know becomes a problem document."""

    async def http_problem(request: Request, error: Exception) -> Response:
        problem = cast("HTTPException", error)
        if problem.status_code == HTTPStatus.NOT_FOUND and not isinstance(problem, Problem):
            problem = Problem(404, "There is nothing at this address.")
        elif problem.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            problem = Problem(405, f"{request.method} is not possible here.", headers=problem.headers)
        return page_for(request, problem.status_code, str(problem.detail)) or document(request.url.path, problem)

    async def unprocessable(request: Request, error: Exception) -> Response:
        found = cast("RequestValidationError", error).errors()
        problem = Problem(422, "The request is not valid.", errors=[_field_error(item) for item in found])
        return document(request.url.path, problem)

    app.add_exception_handler(HTTPException, http_problem)
    app.add_exception_handler(RequestValidationError, unprocessable)


class ProblemBoundary:
    """Turns whatever escapes the application into a problem; nothing of it but a reference leaves the process."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refused := _unstorable(scope):
            await document(scope["path"], refused)(scope, receive, send)
            return
        started = False

        async def watched(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                MutableHeaders(scope=message).setdefault("X-Content-Type-Options", "nosniff")
            await send(message)

        try:
            await self._app(scope, receive, watched)
        except asyncio.CancelledError:
            raise
        except Exception as error:  # noqa: BLE001 - the last line of defence: logged, and answered where that is possible
            response = self._answer(str(scope["path"]), error)
            if not started:
                await response(scope, receive, send)

    def _answer(self, path: str, error: Exception) -> Response:
        if isinstance(error, HTTPException):
            return document(path, error)
        if isinstance(error, DependencyAway) or is_away(error):
            _log.warning("Something that a request needs is away.", action="dependency_away", error=cause(error))
            return document(path, away("The database"))
        reference = secrets.token_hex(6)
        _log.error(
            "A request failed.",
            action="request_failed",
            reference=reference,
            path=path,
            error=type(error).__name__,
            places=_places(error),
        )
        return document(path, Problem(500, "Something went wrong inside Upheld; its log has more."), reference)


def _unstorable(scope: Scope) -> Problem | None:
    """No name holds a NUL, and no database takes one: refused at the door."""
    if "\0" in scope["path"]:
        return Problem(404, "There is nothing at this address.")
    if b"%00" in scope["query_string"]:
        return Problem(422, "The query holds a NUL character.")
    return None


def _places(error: BaseException) -> list[str]:
    """Where in the code, without message and values: those may hold what a request carried."""
    frames = traceback.extract_tb(error.__traceback__)[-_PLACES:]
    return [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]


class BodyBound:
    """No request body above a bound is read: `larger` names the paths (by prefix and suffix) that may have more."""

    def __init__(self, app: ASGIApp, *, most: int, larger: Mapping[str, int]) -> None:
        self._app = app
        self._most = most
        self._larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        most = next((bound for path, bound in self._larger.items() if scope["path"].startswith(path)), self._most)
        too_large = Problem(413, f"The body is larger than {most} bytes.")
        declared = dict(scope["headers"]).get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most:
            await document(scope["path"], too_large)(scope, receive, send)
            return
        seen = 0

        async def bounded() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > most:
                raise too_large
            return message

        await self._app(scope, bounded, send)


def _sentence(detail: object) -> str:
    written = str(detail)
    return written if written.endswith((".", "!", "?")) else written + "."


def _field_error(item: Mapping[str, Any]) -> FieldError:
    location, *path = item["loc"]
    if location == "body":
        return FieldError(location="body", field="/" + "/".join(map(str, path)) if path else "", detail=item["msg"])
    return FieldError(location=str(location), field=".".join(map(str, path)), detail=item["msg"])
