"""What an HTTP receiver's answer means for a notification.

A page is worth more than a clean log: while a receiver is mended, the proxy before it answers with a redirect to its
login, a 400, a 404 or a 502, and the address that cannot be used today is corrected by the next `apply`. So everything
is tried again, with backoff and within the bound that delivery has, but for two answers that speak of the page itself:
410, the receiver says that it is gone for good, and 413, the same bytes will be too large again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import httpx

from service.alerting.ports import Outcome, Rejected, Retry, Sent

TIMEOUT = httpx.Timeout(10.0, connect=5.0)
WHOLE_SEND_S = 15.0
"""Bound on one send from connect to status line: a receiver that drips bytes must not hold a claim."""

GREATEST_PORT = 65535

FINAL = frozenset({410, 413})
"""Gone, and too large."""


async def post(client: httpx.AsyncClient, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
    """POST and judge the status line; the answer's body is never read, redirects are not followed."""
    if not usable(url):
        return Retry("the target's URL cannot be used")
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
        host = parsed.host  # decoded here, where a punycode label that means nothing raises a ValueError
    except (httpx.InvalidURL, ValueError):
        return False
    return parsed.scheme in {"http", "https"} and bool(host) and (parsed.port or 1) <= GREATEST_PORT


def judged(status: int, retry_after: str | None) -> Outcome:
    """2xx is taken, what is final is rejected, the rest is worth a retry; a redirect says how to mend the target."""
    if httpx.codes.is_success(status):
        return Sent()
    if status in FINAL:
        return Rejected(f"HTTP {status}")
    after = float(retry_after) if retry_after and retry_after.isascii() and retry_after.isdigit() else None
    mend = "; redirects are not followed: the target needs the final address" if httpx.codes.is_redirect(status) else ""
    return Retry(f"HTTP {status}{mend}", after)
