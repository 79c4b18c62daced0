"""A webhook receiver of our own: what the demo's pages are delivered to, and `upheld inbox`, to try pages without a pager.

Kept in memory, the newest first, bounded; it honours the idempotency key as a good receiver does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

import msgspec
from standardwebhooks import Webhook, WebhookVerificationError

from service.alerting.channels.webhook import signing_key

KEEP = 200


@dataclass(frozen=True, slots=True)
class Received:
    """One delivered notification; `deliveries` counts repeats with the same idempotency key."""

    id: str
    received_us: int
    verified: bool
    type: str
    data: Mapping[str, Any]
    deliveries: int = 1


class Inbox:
    """Takes webhook deliveries and remembers the newest. Without a secret it takes unsigned ones too, as not verified."""

    def __init__(self, secret: str | None, clock: Callable[[], int]) -> None:
        self._webhook = Webhook(signing_key(secret)) if secret else None
        self._clock = clock
        self._received: OrderedDict[str, Received] = OrderedDict()

    def take(self, body: bytes, headers: Mapping[str, str]) -> Received | None:
        """Remembers a delivery; None where the body is no page or the signature is wrong (nothing is kept)."""
        try:
            if self._webhook:
                self._webhook.verify(body, dict(headers), json_parse=False)
            page = msgspec.json.decode(body, type=dict[str, Any])
        except (WebhookVerificationError, ValueError):  # the library lets a malformed header's own ValueError through
            return None
        key = headers.get("webhook-id", "")
        if key in self._received:
            self._received[key] = replace(self._received[key], deliveries=self._received[key].deliveries + 1)
            return self._received[key]
        data = page.get("data")
        received = Received(
            id=key,
            received_us=self._clock(),
            verified=self._webhook is not None,
            type=str(page.get("type")),
            data=cast("dict[str, Any]", data) if isinstance(data, dict) else {},
        )
        self._received[key] = received
        while len(self._received) > KEEP:
            self._received.popitem(last=False)
        return received

    def received(self) -> list[Received]:
        """Newest first."""
        return list(reversed(self._received.values()))
