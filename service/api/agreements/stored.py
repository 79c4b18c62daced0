"""Reads the documents of agreements as they were applied."""

from __future__ import annotations

from typing import Any, Final, cast

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators.moments import rfc3339
from service.api.agreements.models import AgreementDetail, AgreementItem, VersionDetail
from service.api.compliance.models import ComplianceItem
from service.api.times import moment

_NAMES: Final = text(
    "SELECT DISTINCT name FROM documents WHERE kind = 'Agreement' AND name > :after ORDER BY name LIMIT :most"
)
_NEWEST: Final = text(
    """
    SELECT DISTINCT ON (name) * FROM documents
    WHERE kind = 'Agreement' AND name = ANY(CAST(:names AS text[])) ORDER BY name, version DESC
    """
)
_VERSIONS: Final = text(
    """
    SELECT * FROM documents WHERE kind = 'Agreement' AND name = :name AND version < :before
    ORDER BY version DESC LIMIT :most
    """
)
_DEFINED: Final = text("SELECT EXISTS (SELECT FROM indicators WHERE agreement = :agreement AND objective = :objective)")


async def names(connection: AsyncConnection, *, after: str, most: int) -> list[str]:
    """Names of agreements behind `after`, in order."""
    return list((await connection.execute(_NAMES, {"after": after, "most": most})).scalars().all())


async def newest(connection: AsyncConnection, wanted: list[str]) -> list[RowMapping]:
    """The newest version of each, in the order of their names."""
    return list((await connection.execute(_NEWEST, {"names": wanted})).mappings().all())


async def versions(connection: AsyncConnection, name: str, *, before: int, most: int) -> list[RowMapping]:
    """Versions below `before`, newest first."""
    found = await connection.execute(_VERSIONS, {"name": name, "before": before, "most": most})
    return list(found.mappings().all())


async def defines(connection: AsyncConnection, agreement: str, objective: str) -> bool:
    """Whether some version of the agreement has this objective."""
    found = await connection.execute(_DEFINED, {"agreement": agreement, "objective": objective})
    return bool(found.scalar_one())


def version_detail(row: RowMapping) -> VersionDetail:
    """A version with its document."""
    return VersionDetail.model_validate({**_version(row), "document": row["spec"], "source": row["source"]})


def item(row: RowMapping, compliance: ComplianceItem) -> AgreementItem:
    """An agreement in a list."""
    return AgreementItem.model_validate({**_version(row), **_about(row["spec"]), "compliance": compliance})


def detail(row: RowMapping, compliance: ComplianceItem) -> AgreementDetail:
    """An agreement with its document."""
    own = {**_version(row), **_about(row["spec"]), "compliance": compliance}
    return AgreementDetail.model_validate({**own, "document": row["spec"], "source": row["source"]})


def _version(row: RowMapping) -> dict[str, Any]:
    return {
        "name": row["name"],
        "version": row["version"],
        "in_force_from": rfc3339(row["in_force_from_us"]),
        "applied_by": row["applied_by"],
        "applied_at": moment(row["applied_at"]),
    }


def _about(document: dict[str, Any]) -> dict[str, Any]:
    spec = _mapping(document.get("spec"))
    return {
        "display_name": _mapping(document.get("metadata")).get("displayName"),
        "type": spec.get("type"),
        "provider": _mapping(spec.get("provider")).get("name"),
        "customer": _mapping(spec.get("customer")).get("name"),
    }


def _mapping(found: object) -> dict[str, Any]:
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
