"""What an HTTP receiver's answer means for a notification."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from service.alerting.ports import Outcome, Rejected, Retry, Sent

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
WHOLE_SEND_S = 15.0
"""Bound on one send from connect to status line: a receiver that drips bytes must not hold a claim."""

GREATEST_PORT = 65535

HOPELESS = frozenset({400, 405, 410, 413, 415, 422})
"""The same bytes will get the same answer. Everything else may be mended at the other end: retry."""


async def post(client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """POST and judge the status line; the answer's body is never read, redirects are not followed."""
    if not usable(url):
        return Rejected("the target's URL cannot be used")
    try:
        async with (
            asyncio.timeout(WHOLE_SEND_S),
            client.stream("POST", url, content=body, headers=dict(headers), timeout=TIMEOUT) as answer,
        ):
            return judged(answer.status_code, answer.headers.get("retry-after"))
    except TimeoutError:
        return Retry("no answer in time")
    except httpx.HTTPError as error:
        return Retry(f"{type(error).__name__} while sending")


def usable(url: str) -> bool:
    """Whether a request can be made to it at all; the socket layer would raise for a port out of range."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return parsed.scheme in {"http", "https"} and bool(parsed.host) and (parsed.port or 1) <= GREATEST_PORT


def judged(status: int, retry_after: str | None) -> Outcome:
    """2xx is taken; a redirect or what can never pass is rejected; the rest is worth a retry."""
    if httpx.codes.is_success(status):
        return Sent()
    if httpx.codes.is_redirect(status):
        return Rejected(f"redirected (HTTP {status}); use the final address")
    if status in HOPELESS:
        return Rejected(f"HTTP {status}")
    after = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    return Retry(f"HTTP {status}", after)
