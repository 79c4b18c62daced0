"""The pages' addresses. `mount` puts them on an application; everything they read comes from `Pages`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

from fastapi import APIRouter
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from evaluators.standings import Standing
from evaluators.units import unit_of
from service.web import charts, counting, figures, overview, wording
from service.web.charts import Chart
from service.web.errors import error_page, guarded
from service.web.inbox import shown
from service.web.overview import Filters
from service.web.ports import (
    Acknowledged,
    Caller,
    HistoryPoint,
    IncidentList,
    IncidentRecord,
    IncidentStory,
    PageData,
    Pages,
    Promise,
    Refused,
    StandingsNow,
    Unknown,
)
from service.web.rendering import SECURITY_HEADERS, Renderer

OPEN_SHOWN: Final = 8
LISTED: Final = 50
GROUPS_SHOWN: Final = 200
LONGEST_QUERY: Final = 200
LONGEST_OPEN: Final = 4096
LARGEST_FORM: Final = 4096
STALE_AFTER_US: Final = 60_000_000
"""An evaluator that has not committed for so long is away, and what is shown is old."""

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True, slots=True)
class _Mounted:
    pages: Pages
    renderer: Renderer


def mount(app: Starlette, pages: Pages) -> None:
    """Gives the routes what they work with. The router itself may be included before or after."""
    app.state.web = _Mounted(pages, Renderer(version=pages.version, has_inbox=pages.inbox is not None))


def renderer_of(request: Request) -> Renderer:
    return request.app.state.web.renderer


def _pages(request: Request) -> Pages:
    return request.app.state.web.pages


def _missing(request: Request, detail: str = "") -> Response:
    return error_page(renderer_of(request), request, 404, detail)


def _query(request: Request, name: str) -> str:
    return request.query_params.get(name, "")[:LONGEST_QUERY].replace("\0", "")


def _part(request: Request, name: str) -> str:
    """A part of the path; what no name can hold becomes a name that nothing has."""
    return request.path_params[name].replace("\0", "\ufffd")


def _stale(now: StandingsNow, pages: Pages) -> bool:
    return now.as_of_us is not None and pages.clock() - now.as_of_us > STALE_AFTER_US


@guarded(renderer_of)
async def overview_page(request: Request) -> Response:
    pages = _pages(request)
    verdict = _query(request, "verdict")
    filters = Filters(
        _query(request, "q").strip(),
        verdict if verdict in overview.VERDICT_NAMES else "",
        _query(request, "agreement"),
        frozenset(request.query_params.get("open", "")[:LONGEST_OPEN].split()),
    )
    now = await pages.data.standings()
    agreements = await pages.data.agreements()
    view = overview.overview(now, agreements, filters)
    return renderer_of(request).page(
        request,
        "overview.html",
        title=view.headline if now.rows else "Overview",
        here="overview",
        as_of_us=now.as_of_us,
        said=view.headline,
        live=True,
        now=now,
        view=view,
        filters=filters,
        agreements=agreements,
        incidents=await pages.data.incidents(state="open", limit=OPEN_SHOWN),
        stale=_stale(now, pages),
    )


@guarded(renderer_of)
async def agreement_page(request: Request) -> Response:
    return RedirectResponse(figures.overview_url(agreement=_part(request, "agreement")), 303)


@guarded(renderer_of)
async def objective_page(request: Request) -> Response:
    pages = _pages(request)
    agreement, objective = _part(request, "agreement"), _part(request, "objective")
    promise = await pages.data.promise(agreement, objective)
    if promise is None:
        return _missing(request, "No such objective is promised; the overview lists those that are.")
    now = await pages.data.standings()
    rows = overview.worst_first(_rows_of(now, agreement, objective))
    asked = _asked_group(request)
    row = _one(rows, asked)
    range_name = _query(request, "range")
    if range_name not in dict(charts.RANGES):
        range_name = "period"
    incidents = await pages.data.incidents(
        agreement=agreement, objective=objective, series_id=row.identity.series_id if row else None, limit=LISTED
    )
    drawn = await _objective_chart(pages.data, row, range_name, incidents.items) if row else None
    name = promise.objective.display_name or objective
    return renderer_of(request).page(
        request,
        "objective.html",
        title=f"{name}{f' ({figures.group_label(asked)})' if asked else ''}",
        as_of_us=now.as_of_us,
        said=f"{name}: {wording.VERDICTS[row.verdict]}" if row else None,
        live=True,
        now=now,
        promise=promise,
        row=row,
        rows=rows[:GROUPS_SHOWN],
        rows_worst=overview.worst(rows),
        rows_words=overview.count_words(rows),
        groups_left_out=max(0, len(rows) - GROUPS_SHOWN),
        asked=figures.group_label(asked),
        chart=drawn,
        ranges=charts.RANGES,
        range=range_name,
        incidents=incidents,
        decimals=figures.decimals_for(promise.objective.target),
        stale=_stale(now, pages),
        **_words(promise, row),
    )


def _words(promise: Promise, row: Standing | None) -> dict[str, Any]:
    unit = unit_of(promise.objective.indicator, promise.objective.budgeting)
    return {
        "amount": partial(counting.amount, unit),
        "failures": counting.failures(unit),
        "promise_words": wording.promise_words(promise),
        "period_words": wording.period_words(promise.objective.period),
        "indicator": counting.counting_lines(promise.objective.indicator, promise.objective.budgeting),
        "alerts": [wording.alert_line(one, row) for one in promise.conditions] if row else [],
    }


def _rows_of(now: StandingsNow, agreement: str, objective: str) -> list[Standing]:
    return [row for row in now.rows if (row.identity.agreement, row.identity.objective) == (agreement, objective)]


def _asked_group(request: Request) -> tuple[tuple[str, str], ...]:
    given = request.query_params.getlist("group")
    return tuple((name, value) for name, _, value in (one.partition("=") for one in given))


def _one(rows: list[Standing], asked: tuple[tuple[str, str], ...]) -> Standing | None:
    """The group asked for; an ungrouped objective's only row where none is."""
    return next((row for row in rows if sorted(row.identity.labels) == sorted(asked)), None)


async def _objective_chart(
    data: PageData, row: Standing, range_name: str, incidents: Sequence[IncidentRecord]
) -> Chart:
    frame = charts.frame_of(range_name, row)
    points = await data.history(row.identity.series_id, frame.from_us, frame.to_us, frame.step_us)
    unseen = await data.unseen(frame.from_us, frame.to_us)
    return charts.chart(frame, points, row.identity.target, incidents, unseen)


@guarded(renderer_of)
async def incidents_page(request: Request) -> Response:
    data = _pages(request).data
    agreement, cursor = _query(request, "agreement") or None, _query(request, "cursor") or None
    now = await data.standings()
    opened = await data.incidents(state="open", agreement=agreement, limit=LISTED)
    every = await data.incidents(agreement=agreement, limit=LISTED, cursor=cursor)
    return renderer_of(request).page(
        request,
        "incidents.html",
        title="Incidents",
        here="incidents",
        as_of_us=now.as_of_us,
        said=f"{len(opened.items)} open incidents",
        live=True,
        agreement=agreement,
        cursor=cursor,
        open=IncidentList((), None) if cursor else opened,
        closed=IncidentList([one for one in every.items if one.state != "open"], every.next),
    )


@guarded(renderer_of)
async def incident_page(request: Request) -> Response:
    story = await _pages(request).data.incident(_part(request, "id"))
    return await _incident(request, story) if story else _missing(request, "No such incident is recorded.")


async def _incident(request: Request, story: IncidentStory, *, refusal: str = "", status: int = 200) -> Response:
    pages = _pages(request)
    incident = story.record.incident
    now = await pages.data.standings()
    return renderer_of(request).page(
        request,
        "incident.html",
        title=f"{incident.objective} of {incident.agreement}, {story.record.state}",
        here="incidents",
        status=status,
        as_of_us=now.as_of_us,
        said=f"Incident {story.record.state}",
        live=True,
        record=story.record,
        timeline=story.timeline,
        chart=await _incident_chart(pages.data, story.record, now),
        refusal=refusal,
        asks_for_token=pages.acknowledger.asks_for_token,
    )


async def _incident_chart(data: PageData, record: IncidentRecord, now: StandingsNow) -> Chart | None:
    incident = record.incident
    promise = await data.promise(incident.agreement, incident.objective)
    if promise is None:
        return None
    frame = charts.frame_around(incident, now.as_of_us)
    points: Sequence[HistoryPoint] = await data.history(incident.series_id, frame.from_us, frame.to_us, frame.step_us)
    unseen = await data.unseen(frame.from_us, frame.to_us)
    return charts.chart(frame, points, promise.objective.target, [record], unseen, with_budget=False)


@guarded(renderer_of)
async def acknowledge(request: Request) -> Response:
    """Does what the API's call does, for a form of our own origin; then shows the incident again."""
    if not same_origin(request):
        return error_page(renderer_of(request), request, 403, "The form was not sent from a page of this Upheld.")
    form = await _form(request)
    if form is None:
        return error_page(renderer_of(request), request, 413)
    pages = _pages(request)
    incident_id = _part(request, "id")
    caller = Caller(form.get("token") or None, request)
    outcome = await pages.acknowledger.acknowledge(incident_id, caller)
    match outcome:
        case Acknowledged():
            return RedirectResponse(figures.incident_url(incident_id), 303, SECURITY_HEADERS)
        case Unknown():
            return _missing(request, "No such incident is recorded.")
        case Refused(reason=reason):
            story = await pages.data.incident(incident_id)
            if story is None:
                return _missing(request, "No such incident is recorded.")
            return await _incident(request, story, refusal=reason, status=403)


def same_origin(request: Request) -> bool:
    """Whether the browser says that the form came from this very address; no word of it is a no."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    origin = request.headers.get("origin")
    return origin is not None and urlsplit(origin).netloc == request.headers.get("host")


async def _form(request: Request) -> dict[str, str] | None:
    """The fields of a small urlencoded form; None where it is too large."""
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > LARGEST_FORM:
            return None
    return {name: values[0] for name, values in parse_qs(body.decode("utf-8", "replace")).items()}


@guarded(renderer_of)
async def inbox_page(request: Request) -> Response:
    pages = _pages(request)
    if pages.inbox is None:
        return _missing(request)
    return renderer_of(request).page(
        request,
        "inbox.html",
        title="Inbox",
        here="inbox",
        live=True,
        received=[shown(one) for one in pages.inbox.received()],
        clock_us=pages.clock() // 86_400_000_000 * 86_400_000_000,
    )


@guarded(renderer_of)
async def asset(request: Request) -> Response:
    return renderer_of(request).asset(request, request.path_params["name"]) or _missing(request)


router.add_route("/", overview_page, methods=["GET"])
router.add_route("/agreements/{agreement}", agreement_page, methods=["GET"])
router.add_route("/agreements/{agreement}/objectives/{objective}", objective_page, methods=["GET"])
router.add_route("/incidents", incidents_page, methods=["GET"])
router.add_route("/incidents/{id}", incident_page, methods=["GET"])
router.add_route("/incidents/{id}/ack", acknowledge, methods=["POST"])
router.add_route("/inbox", inbox_page, methods=["GET"])
router.add_route("/assets/{name}", asset, methods=["GET"])
