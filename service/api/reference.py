"""GET /docs: the description of the API for people, as one page that needs nothing from elsewhere and no script."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, cast

from fastapi import APIRouter, Request
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse

router = APIRouter(include_in_schema=False)

STYLE: Final = """
:root { color-scheme: light dark; --line: #8884; --dim: light-dark(#555, #aaa) }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }
h1 small, summary span { color: var(--dim); font-weight: normal }
h1 small { font-size: 1rem }
h2 { margin-top: 2rem; text-transform: capitalize }
h3 { font-size: .85rem; margin-bottom: .25rem; color: var(--dim) }
details { border-top: 1px solid var(--line); padding: .5rem 0 }
summary { cursor: pointer; overflow-wrap: anywhere }
summary span { margin-left: .5rem }
code, pre { font: 13px/1.45 ui-monospace, monospace }
pre { overflow-x: auto; border: 1px solid var(--line); border-radius: 4px; padding: .75rem; margin: 0 }
.method { display: inline-block; min-width: 3.2rem; text-transform: uppercase; font-weight: bold }
table { border-collapse: collapse; width: 100% }
th, td { text-align: left; vertical-align: top; padding: .25rem .75rem .25rem 0; border-top: 1px solid var(--line) }
nav a { margin-right: .75rem }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
_HEADERS: Final = {
    "Content-Security-Policy": f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; base-uri 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
}
_ENVIRONMENT: Final = Environment(
    loader=PackageLoader("service.api", "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True
)
_CODE: Final = re.compile(r"`([^`]+)`")


def _with_code(words: str) -> Markup:
    """What stands in backticks as code; everything escaped."""
    return Markup(_CODE.sub(r"<code>\1</code>", str(escape(words))))  # noqa: S704 - escaped before


_ENVIRONMENT.filters["with_code"] = _with_code
_PAGE: Final = _ENVIRONMENT.get_template("reference.html")

Schema = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter in words."""

    name: str
    where: str
    required: bool
    takes: str
    what: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One call with everything that is needed to try it."""

    id: str
    tag: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Parameter]
    curl: str
    body: str
    status: str
    answer: str


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """The whole reference."""
    schema = cast("Schema", request.app.openapi())
    operations = list(_operations(schema, str(request.base_url).rstrip("/")))
    tags = dict.fromkeys(operation.tag for operation in operations)
    page = _PAGE.render(
        title=schema["info"]["title"],
        version=schema["info"]["version"],
        description=schema["info"]["description"],
        style=STYLE,
        groups=[(tag, [operation for operation in operations if operation.tag == tag]) for tag in tags],
    )
    return HTMLResponse(page, headers=_HEADERS)


def _operations(schema: Schema, base: str) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method, described in methods.items():
            status, answer = _answer(schema, described)
            body, kind = _body(schema, described)
            yield Operation(
                id=described["operationId"],
                tag=described["tags"][0],
                method=method,
                path=path,
                summary=described["summary"],
                description=" ".join(described["description"].split()),
                parameters=[_parameter(schema, one) for one in described.get("parameters", [])],
                curl=_curl(base + path, method, kind),
                body=body,
                status=status,
                answer=answer,
            )


def _curl(url: str, method: str, kind: str | None) -> str:
    parts = ["curl"]
    if method != "get":
        parts.append(f"-X {method.upper()} -H 'Authorization: Bearer TOKEN'")
    if kind:
        parts.append(f"-H 'Content-Type: {kind}' --data-binary @body")
    return " ".join([*parts, f"'{url}'"])


def _parameter(schema: Schema, described: Schema) -> Parameter:
    takes: Schema = described["schema"]
    kinds = [kind for kind in takes.get("anyOf", [takes]) if kind.get("type") != "null"]
    words = " or ".join(dict.fromkeys(_takes(schema, kind) for kind in kinds))
    if takes.get("default") not in (None, []):
        words += f", default {takes['default']}"
    return Parameter(described["name"], described["in"], described["required"], words, described.get("description", ""))


def _takes(schema: Schema, kind: Schema) -> str:
    if "enum" in kind:
        return " or ".join(map(str, kind["enum"]))
    if "const" in kind:
        return str(kind["const"])
    if "$ref" in kind:
        return _takes(schema, schema["components"]["schemas"][kind["$ref"].rsplit("/", 1)[-1]])
    bounds = f" {kind['minimum']} to {kind['maximum']}" if "maximum" in kind else ""
    return str(kind.get("type", "text")) + bounds


def _answer(schema: Schema, described: Schema) -> tuple[str, str]:
    status = next(status for status in described["responses"] if status.startswith("2"))
    for content in described["responses"][status].get("content", {}).values():
        example = content.get("example", _example(schema, content.get("schema", {})))
        if example is not None:
            return status, example if isinstance(example, str) else _json(example)
    return status, ""


def _body(schema: Schema, described: Schema) -> tuple[str, str | None]:
    for kind, content in described.get("requestBody", {}).get("content", {}).items():
        example = content.get("example", _example(schema, content.get("schema", {})))
        if example is not None:
            return example if isinstance(example, str) else _json(example), kind
    return "", None


def _example(schema: Schema, of: Schema) -> Any:
    """The first example of a schema, put together from those of its parts where it has none itself."""
    if "$ref" in of:
        return _example(schema, schema["components"]["schemas"][of["$ref"].rsplit("/", 1)[-1]])
    if of.get("examples"):
        return of["examples"][0]
    for kinds in ("anyOf", "oneOf"):
        if kinds in of:
            return _example(schema, of[kinds][0])
    if of.get("type") == "array":
        inner = _example(schema, of["items"])
        return [] if inner is None else [inner]
    if of.get("properties"):
        return {name: _example(schema, kind) for name, kind in of["properties"].items()}
    return None


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
