"""Webhooks signed as https://www.standardwebhooks.com says; `webhook-id` is the idempotency key."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

import httpx
import msgspec
from standardwebhooks import Webhook

from evaluators.agreements import NotificationTarget
from service.alerting.channels.responses import post
from service.alerting.ports import Notification, Outcome, Retry
from service.errors import BadSettings

_MICROSECONDS = 1_000_000


class WebhookChannel:
    """POSTs the page as JSON. Secrets come from the environment by the name that the target gives."""

    def __init__(self, client: httpx.AsyncClient, environment: Mapping[str, str], clock: Callable[[], int]) -> None:
        self._client = client
        self._environment = environment
        self._clock = clock

    async def send(self, target: NotificationTarget, notification: Notification) -> Outcome:
        """Signed where the target names a secret; a named secret that is absent holds the page back, loudly."""
        body = msgspec.json.encode(notification.payload)
        seconds = self._clock() // _MICROSECONDS
        headers = {
            "content-type": "application/json",
            "user-agent": "upheld",
            "webhook-id": notification.idempotency_key,
            "webhook-timestamp": str(seconds),
        }
        if target.secret_env:
            secret = self._environment.get(target.secret_env)
            if not secret:
                return Retry(f"environment variable {target.secret_env} is not set")
            try:
                key = signing_key(secret)
            except BadSettings:
                return Retry(f"environment variable {target.secret_env} holds no key")
            at = datetime.fromtimestamp(seconds, UTC)
            headers["webhook-signature"] = Webhook(key).sign(notification.idempotency_key, at, body.decode())
        return await post(self._client, target.url, body, headers)


def signing_key(secret: str) -> bytes:
    """The key's bytes: base64 after `whsec_`, as the specification says; any other text as it is.

    Raises BadSettings where nothing is left to sign with, as after `whsec_$NOT_SET`.
    """
    key = _decoded(secret)
    if not key:
        raise BadSettings("the webhook's secret holds no key")
    return key


def _decoded(secret: str) -> bytes:
    if secret.startswith("whsec_"):
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except ValueError:
            pass  # not base64 after all: a text that happens to begin so
    return secret.encode(errors="surrogateescape")  # an environment may hold any bytes
