"""The inbox on HTTP."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from service.alerting.inbox import Inbox, Received

LARGEST_PAGE: Final = 256 * 1024


def receiver(
    inbox: Inbox, told: Callable[[Received], object] | None = None
) -> Callable[[Request], Awaitable[Response]]:
    """Answers 204 for a page that was taken, 401 for one that is none or wrongly signed, 413 for one too large.

    `told` hears of each that was taken, repeats too.
    """

    async def receive(request: Request) -> Response:
        body = bytearray()
        async for chunk in request.stream():
            body += chunk
            if len(body) > LARGEST_PAGE:
                return Response(status_code=413)
        taken = inbox.take(bytes(body), request.headers)
        if taken is None:
            return Response(status_code=401)
        if told is not None:
            told(taken)
        return Response(status_code=204)

    return receive
