"""How to reach a cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class KafkaConnection:
    """`security` goes to every client as it is: security_protocol, ssl_context, sasl_mechanism and the like.

    `idempotent` is right for every real cluster; the embedded broker has no idempotent producers.
    """

    bootstrap_servers: str
    client_id: str = "upheld"
    security: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    idempotent: bool = False

    def client_settings(self) -> dict[str, Any]:
        """What every aiokafka client is given."""
        return {"bootstrap_servers": self.bootstrap_servers, "client_id": self.client_id, **self.security}
