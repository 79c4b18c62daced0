"""The formats by name, and which topic speaks which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, get_args

Format = Literal[
    "auto",
    "native",
    "cloudevents",
    "otlp_proto",
    "otlp_json",
    "telegraf_json",
    "influx",
    "prometheus",
    "vector",
    "zabbix",
    "statsd",
    "slo_exporter",
    "avro",
]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
IDENTIFIED: Final[frozenset[Format]] = frozenset({"auto", "native", "cloudevents"})
"""Those whose events have ids."""


@dataclass(frozen=True, slots=True)
class Formats:
    """Topics and their formats; `otherwise` holds where a topic has none of its own."""

    otherwise: Format = "auto"
    by_topic: Mapping[str, Format] = field(default_factory=dict[str, Format])

    def of(self, topic: str) -> Format:
        return self.by_topic.get(topic, self.otherwise)
