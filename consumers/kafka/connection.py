"""How to reach a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from consumers.errors import LogUnavailable
from consumers.kafka.security import Security, UnusableSecurity


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """What every client of a cluster shares. `rack` is where consumers are, for brokers that let them read nearby.

    `idempotent` is right for every real cluster; the embedded broker has no idempotent producers.
    """

    bootstrap_servers: str
    client_id: str = "upheld"
    security: Security = field(default_factory=Security)
    idempotent: bool = False
    rack: str | None = None
    consumer_options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """aiokafka's arguments, as `consumers.kafka.options` reads them."""
    producer_options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def client_settings(self) -> dict[str, Any]:
        """What every aiokafka client is given; files are read now. Raises LogUnavailable where they cannot be: they are
        checked at the start, so somebody is about to change them.
        """
        try:
            security = self.security.client_settings()
        except UnusableSecurity as error:
            raise LogUnavailable(str(error)) from None
        return {"bootstrap_servers": self.bootstrap_servers, "client_id": self.client_id, **security}
