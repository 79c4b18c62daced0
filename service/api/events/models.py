"""What is sent, as documentation, and what comes back."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict

EVENT_EXAMPLE: Final[dict[str, Any]] = {
    "time": "2026-11-23T15:50:01.123Z",
    "metric": "http_request_duration_seconds",
    "service": "checkout",
    "labels": {"route": "/pay", "status": "200"},
    "value": 0.1234,
    "kind": "event",
    "count": 1,
}
EVENT_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["metric"],
    "properties": {
        "time": {"description": "RFC 3339, or epoch in s, ms, us or ns; missing: when it came."},
        "metric": {"type": "string"},
        "service": {"type": "string", "description": "Short for labels.service."},
        "labels": {"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}},
        "value": {"type": "number", "default": 1},
        "kind": {"enum": ["event", "gauge", "delta"], "default": "event"},
        "count": {"type": "integer", "minimum": 0, "default": 1},
        "id": {"type": "string"},
    },
    "examples": [EVENT_EXAMPLE],
}
REQUEST_BODY: Final[dict[str, Any]] = {
    "required": True,
    "description": "One event, an array of events, or one event a line.",
    "content": {
        "application/json": {"schema": {"oneOf": [EVENT_SCHEMA, {"type": "array", "items": EVENT_SCHEMA}]}},
        "application/x-ndjson": {"schema": {"type": "string"}},
    },
}


class Accepted(BaseModel):
    """How many events are safe on the topic."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"accepted": 2}]})

    accepted: int
