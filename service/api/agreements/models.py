"""Agreements and their versions as they go over the wire."""

from __future__ import annotations

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from service.api.compliance.models import EXAMPLE as COMPLIANCE_EXAMPLE
from service.api.compliance.models import ComplianceItem

VERSION_EXAMPLE: Final[dict[str, Any]] = {
    "name": "checkout-gold",
    "version": 3,
    "in_force_from": "2026-11-01T00:00:00Z",
    "applied_by": "alice",
    "applied_at": "2026-10-30T09:12:44.120Z",
}
ITEM_EXAMPLE: Final[dict[str, Any]] = VERSION_EXAMPLE | {
    "display_name": "Checkout, gold plan",
    "type": "SLA",
    "provider": "Example Cloud",
    "customer": "Example Shop",
    "compliance": COMPLIANCE_EXAMPLE,
}
SOURCE_EXAMPLE: Final = "apiVersion: upheld/v1\nkind: Agreement\nmetadata: {name: checkout-gold}\nspec: ...\n"
DETAIL_EXAMPLE: Final[dict[str, Any]] = ITEM_EXAMPLE | {
    "document": {"apiVersion": "upheld/v1", "kind": "Agreement", "metadata": {"name": "checkout-gold"}, "spec": {}},
    "source": SOURCE_EXAMPLE,
}
APPLIED_EXAMPLE: Final[dict[str, Any]] = {
    "kind": "Agreement",
    "name": "checkout-gold",
    "version": 4,
    "changed": True,
    "in_force_from": "2026-11-23T15:50:20Z",
    "note": None,
}


class VersionItem(BaseModel):
    """One version: in force from its time until the next one's."""

    model_config = ConfigDict(json_schema_extra={"examples": [VERSION_EXAMPLE]})

    name: str
    version: int
    in_force_from: str
    applied_by: str
    applied_at: str


class VersionDetail(VersionItem):
    """A version with its document."""

    document: dict[str, Any]
    source: str = Field(description="The YAML as it was applied.")


class AgreementItem(VersionItem):
    """The newest version of an agreement, and whether it is kept."""

    model_config = ConfigDict(json_schema_extra={"examples": [ITEM_EXAMPLE]})

    display_name: str | None
    type: str | None = Field(description="SLA, OLA or UC.")
    provider: str | None
    customer: str | None
    compliance: ComplianceItem


class AgreementDetail(AgreementItem):
    """The same with the document itself."""

    model_config = ConfigDict(json_schema_extra={"examples": [DETAIL_EXAMPLE]})

    document: dict[str, Any]
    source: str = Field(description="The YAML as it was applied.")


class AppliedItem(BaseModel):
    """What applying one document did."""

    model_config = ConfigDict(json_schema_extra={"examples": [APPLIED_EXAMPLE]})

    kind: str
    name: str
    version: int
    changed: bool = Field(description="false: the document is as it was; no new version.")
    in_force_from: str
    note: str | None


class Applied(BaseModel):
    """What applying a file did, document by document."""

    items: list[AppliedItem]
    warnings: list[str]
