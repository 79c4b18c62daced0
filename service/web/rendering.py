"""Templates to responses: filters, security headers, entity tags; a fragment where a script asks for one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import Response

from evaluators.agreements import AgreementType
from evaluators.standings import DataState, Verdict
from service.web import figures, overview, wording
from service.web.assets import Asset, Assets
from service.web.plots import TableRow

FRAGMENT_HEADER: Final = "upheld-fragment"
"""A script that only renews `<main>` sends it."""

SECURITY_HEADERS: Final[Mapping[str, str]] = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
PROFILE_WINDOWS: Final = ("5m", "1h", "6h", "3d")
"""From now into the past: the burn rates that every objective has, whatever its policy."""
_KEEP: Final = "public, max-age=31536000, immutable"
_TYPE_WORDS: Final = {
    AgreementType.SLA: "Service level agreement, with a customer",
    AgreementType.OLA: "Operational level agreement, between internal teams",
    AgreementType.UC: "Underpinning contract, with a supplier",
}
_PIXELS_A_DOUBLING: Final = 3.6
_TALLEST_BAR: Final = 18.0
_BAR_WIDTH: Final = 8
_BAR_STEP: Final = 10


class Renderer:
    """Renders pages; holds the templates and the names of the assets, nothing of a request."""

    def __init__(self, *, version: str = "", has_inbox: bool = False) -> None:
        self._said_everywhere = {"version": version, "has_inbox": has_inbox}
        self._environment, self.assets = _templates()

    def page(
        self, request: Request, content: str, *, title: str, here: str = "", status: int = 200, **values: Any
    ) -> Response:
        """The page, or its `<main>` alone for a script; 304 where the reader has just this already."""
        fragment = FRAGMENT_HEADER in request.headers
        template = self._environment.get_template("main.html" if fragment else "base.html")
        usual = {**self._said_everywhere, "as_of_us": None, "said": None, "live": False, "status": status}
        body = template.render(content=content, title=title, here=here, **{**usual, **values}).encode()
        etag = f'"{hashlib.blake2b(body, digest_size=10).hexdigest()}"'
        headers = {
            **SECURITY_HEADERS,
            "Cache-Control": "no-cache, private",
            "Vary": f"{FRAGMENT_HEADER}, Authorization",
            "ETag": etag,
        }
        if status == 200 and _has(request, etag):
            return Response(status_code=304, headers=headers)
        return Response(body, status, headers, "text/html; charset=utf-8")

    def asset(self, request: Request, served_as: str) -> Response | None:
        """A style, script or icon; None where there is no such file."""
        found = self.assets.find(served_as)
        if found is None:
            return None
        asset, present = found
        headers = {
            "Cache-Control": _KEEP if present else "no-cache",
            "ETag": asset.etag,
            "X-Content-Type-Options": "nosniff",
        }
        if _has(request, asset.etag):
            return Response(status_code=304, headers=headers)
        return _file(asset, headers)


@cache
def _templates() -> tuple[Environment, Assets]:
    """All templates, compiled at the first call: files may be replaced under a running process."""
    assets = Assets()
    environment = Environment(
        loader=PackageLoader("service.web", "templates"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
        auto_reload=False,
    )
    names: dict[str, Any] = environment.globals
    names["asset"] = assets.url
    names["objective_url"] = figures.objective_url
    names["overview_url"] = figures.overview_url
    environment.filters.update(_FILTERS)
    for template in environment.list_templates():
        environment.get_template(template)
    return environment, assets


def _file(asset: Asset, headers: Mapping[str, str]) -> Response:
    return Response(asset.body, 200, headers, asset.media_type)


def _has(request: Request, etag: str) -> bool:
    known = request.headers.get("if-none-match", "")
    return any(one.strip().removeprefix("W/") == etag for one in known.split(","))


def _verdict_word(verdict: Verdict | None) -> str:
    return wording.VERDICTS[verdict]


def _data_words(state: DataState) -> str:
    return wording.DATA[state]


def _in_a_count(name: str) -> str:
    return wording.IN_A_COUNT[name]


def _type_words(kind: AgreementType) -> str:
    return _TYPE_WORDS[kind]


def _profile(rates: Mapping[str, float | None]) -> tuple[str, str]:
    """Burn rates as bars, from now into the past: paths of those that the budget bears, and of those above 1x."""
    paths = ["", ""]
    for place, name in enumerate(PROFILE_WINDOWS):
        rate = rates.get(name)
        if rate is not None and math.isfinite(rate):
            paths[rate > 1] += f"M{_BAR_WIDTH // 2 + place * _BAR_STEP} 18v-{_bar_height(rate):g}"
    return paths[0], paths[1]


def _bar_height(rate: float) -> float:
    """Pixels: each doubling adds the same."""
    return round(min(_TALLEST_BAR, 2 + math.log2(1 + max(0.0, rate)) * _PIXELS_A_DOUBLING), 1)


def _profile_words(rates: Mapping[str, float | None]) -> str:
    return ", ".join(f"{name} {figures.burn(rates.get(name))}" for name in PROFILE_WINDOWS)


def _sli(row: TableRow) -> float | None:
    return row.good / row.total if row.total else None


_FILTERS: Final[Mapping[str, Any]] = {
    "burn": figures.burn,
    "condition_words": figures.condition_words,
    "count": figures.count,
    "data_words": _data_words,
    "decimals_for": figures.decimals_for,
    "in_a_count": _in_a_count,
    "incident_url": figures.incident_url,
    "overspent": figures.overspent,
    "percent": figures.percent,
    "profile": _profile,
    "profile_words": _profile_words,
    "safe_link": figures.safe_link,
    "sentence": figures.sentence,
    "share": figures.share,
    "sli": _sli,
    "span": figures.span,
    "target": figures.target,
    "type_words": _type_words,
    "verdict_name": overview.verdict_name,
    "verdict_word": _verdict_word,
    "when": figures.when,
    "window": figures.window,
}
