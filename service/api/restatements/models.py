"""A restatement as it goes over the wire."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

EXAMPLE: Final[dict[str, Any]] = {
    "id": 17,
    "agreement": "checkout-gold",
    "objective": "availability",
    "group": {"region": "eu"},
    "from": "2026-11-23T14:00:00Z",
    "cause": "late_data",
    "old": {"verdict": "met"},
    "new": {"verdict": "at_risk"},
    "author": "upheld",
    "recorded_at": "2026-11-23T15:50:10.204Z",
}


class RestatementItem(BaseModel):
    """Numbers or a verdict that late data changed: what stood there, what stands there now."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    id: int
    agreement: str
    objective: str
    group: dict[str, str]
    from_: str = Field(alias="from", description="The earliest slot touched.")
    cause: str
    old: dict[str, Any]
    new: dict[str, Any]
    author: str
    recorded_at: str
