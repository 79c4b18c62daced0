"""The description of the API, and the page at /docs that shows it without anything from elsewhere."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Any, Final, cast

from fastapi import FastAPI

from service.api.problems import MEDIA_TYPE, ProblemDocument

DESCRIPTION: Final = (
    "Agreements, objectives, compliance and incidents as Upheld counts them. Times are RFC 3339 in UTC; lists are "
    '`{"items": [...], "next": cursor or null}`; errors are RFC 9457 problem documents. Writes take a bearer token '
    "where a tokens file is set, and are taken from this machine only where none is."
)
_SCHEMAS: Final = "#/components/schemas/{model}"


def version() -> str:
    """Of the installed distribution."""
    try:
        return installed_version("upheld")
    except PackageNotFoundError:
        return "0"


def install(app: FastAPI) -> None:
    """Every operation says that its errors are problems; FastAPI's own shape of them is taken out."""
    described = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _with_problems(described())
        return app.openapi_schema

    app.openapi = openapi


def _with_problems(schema: dict[str, Any]) -> dict[str, Any]:
    schemas: dict[str, Any] = schema.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    problem = ProblemDocument.model_json_schema(ref_template=_SCHEMAS)
    schemas.update(problem.pop("$defs", {}))
    schemas["Problem"] = problem
    for model in schemas.values():
        model["examples"] = [_in_order(schemas, model, example) for example in model.get("examples", [])]
        if not model["examples"]:
            del model["examples"]
    schema["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
    answer = {
        "description": "A problem.",
        "content": {MEDIA_TYPE: {"schema": {"$ref": _SCHEMAS.format(model="Problem")}}},
    }
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            operation["responses"].pop("422", None)
            if path not in {"/healthz", "/readyz"}:
                operation["responses"]["default"] = answer
            if method != "get":
                operation["security"] = [{"token": []}, {}]
    return schema


def _in_order(schemas: dict[str, Any], of: dict[str, Any], example: Any) -> Any:
    """Fields as the answer has them: pydantic sorts the keys of examples."""
    if "$ref" in of:
        return _in_order(schemas, schemas[of["$ref"].rsplit("/", 1)[-1]], example)
    if isinstance(example, list) and "items" in of:
        return [_in_order(schemas, of["items"], one) for one in cast("list[Any]", example)]
    if not isinstance(example, dict):
        return cast("Any", example)
    fields = cast("dict[str, Any]", example)
    ordered = {
        name: _in_order(schemas, kind, fields[name])
        for name, kind in of.get("properties", {}).items()
        if name in fields
    }
    return ordered | {name: value for name, value in fields.items() if name not in ordered}
