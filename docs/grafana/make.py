"""Writes overview.json and objective.json, the dashboards of Upheld for Grafana 11.

    python docs/grafana/make.py

Every query takes `max without (instance, pod)`: replicas export the same series, and one of them may be a scrape
behind. A test sends each expression to a parser, checks its names against what /metrics exports, and runs it in a
real Prometheus where there is one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
Json = dict[str, Any]

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'agreement=~"$agreement",objective=~"$objective",service=~"$service"'
CONTRACTUAL = CHOSEN + ',view="contractual"'
GREEN, YELLOW, RED, BLUE, GREY = "green", "yellow", "red", "blue", "#8e8e8e"


def once(selector: str) -> str:
    """Each series once, however many replicas export it."""
    return f"max without (instance, pod) ({selector})"


def verdict(labels: str) -> str:
    """0 nothing counted, 1 met, 2 at risk, 3 breached."""
    parts = [
        f'upheld_verdict{{{labels},verdict="{name}"}} * {rank}'
        for rank, name in enumerate(("met", "at_risk", "breached"), 1)
    ]
    return f"max without (instance, pod, verdict) ({' or '.join(parts)})"


def data_state(labels: str) -> str:
    """0 live, 1 silent, 2 blind."""
    parts = [
        f'upheld_data_state{{{labels},state="{name}"}} * {rank}'
        for rank, name in enumerate(("live", "silent", "blind"))
    ]
    return f"max without (instance, pod, state) ({' or '.join(parts)})"


def values(*named: tuple[int, str, str]) -> list[Json]:
    """Words and colours for numbers."""
    return [
        {"type": "value", "options": {str(number): {"text": text, "color": color, "index": number}}}
        for number, text, color in named
    ]


VERDICTS = values((0, "nothing counted", GREY), (1, "met", GREEN), (2, "at risk", YELLOW), (3, "breached", RED))
STATES = values((0, "live", GREEN), (1, "silent", BLUE), (2, "blind", RED))
KEPT = values((0, "broken", RED), (1, "kept", GREEN))


def steps(first: str, *others: tuple[float, str]) -> Json:
    """Thresholds: a colour from each value on."""
    rest = [{"color": color, "value": value} for value, color in others]
    return {"mode": "absolute", "steps": [{"color": first, "value": None}, *rest]}


BUDGET = steps(RED, (0, YELLOW), (0.25, GREEN))
ANY_IS_BAD = steps(GREEN, (1, RED))
BURN = steps(GREEN, (1, YELLOW), (6, RED))


def query(expr: str, legend: str = "", *, instant: bool = False, ref: str = "A") -> Json:
    """One query of a panel; without a legend Grafana shows the labels in which its lines differ."""
    kind: Json = {"instant": True, "range": False, "format": "table"} if instant else {"instant": False, "range": True}
    return {"refId": ref, "datasource": SOURCE, "expr": expr, "legendFormat": legend or "__auto", **kind}


def defaults(unit: str = "", mappings: list[Json] | None = None, thresholds: Json | None = None, **more: Any) -> Json:
    """How a panel's numbers are shown."""
    found: Json = {"unit": unit or "none", "mappings": mappings or [], **more}
    if thresholds:
        found |= {"thresholds": thresholds, "color": {"mode": "thresholds"}}
    return found


class Board:
    """A dashboard that fills from left to right and from top to bottom."""

    def __init__(self, uid: str, title: str, description: str, variables: list[Json], links: list[Json]) -> None:
        self._head: Json = {
            "uid": uid,
            "title": title,
            "description": description,
            "tags": ["upheld"],
            "schemaVersion": 39,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "10s",
            "time": {"from": "now-24h", "to": "now"},
            "timezone": "utc",
            "templating": {"list": variables},
            "annotations": {"list": []},
            "links": links,
        }
        self._panels: list[Json] = []
        self._x = self._y = self._height = 0

    def add(self, kind: str, title: str, width: int, height: int, targets: list[Json], **more: Any) -> None:
        """A panel; a row is full at 24."""
        if self._x + width > 24:
            self._y, self._x, self._height = self._y + self._height, 0, 0
        place = {"x": self._x, "y": self._y, "w": width, "h": height}
        panel = {"id": len(self._panels) + 1, "type": kind, "title": title, "datasource": SOURCE, "gridPos": place}
        self._panels.append(panel | {"targets": targets} | more)
        self._x, self._height = self._x + width, max(self._height, height)

    def stat(self, title: str, expr: str, shown: Json, *, width: int = 4, about: str = "") -> None:
        """One number, coloured."""
        options = {
            "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
            "colorMode": "background",
            "graphMode": "none",
            "textMode": "value",
        }
        field = {"defaults": shown, "overrides": []}
        self.add("stat", title, width, 4, [query(expr)], options=options, fieldConfig=field, description=about)

    def lines(self, title: str, targets: list[Json], shown: Json, *, width: int = 12, about: str = "") -> None:
        """Lines over time."""
        custom = {"lineWidth": 1, "fillOpacity": 6, "showPoints": "never", "spanNulls": False}
        if "thresholds" in shown:
            custom["thresholdsStyle"] = {"mode": "dashed"}
            shown = shown | {"color": {"mode": "palette-classic"}}
        options = {
            "legend": {"displayMode": "list", "placement": "bottom"},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
        field = {"defaults": shown | {"custom": custom}, "overrides": []}
        self.add("timeseries", title, width, 9, targets, options=options, fieldConfig=field, description=about)

    def timeline(self, title: str, expr: str, mappings: list[Json], *, width: int = 24, height: int = 6) -> None:
        """States over time."""
        options = {"mergeValues": True, "showValue": "auto", "rowHeight": 0.8, "legend": {"showLegend": False}}
        field = {"defaults": defaults(mappings=mappings, custom={"fillOpacity": 80, "lineWidth": 0}), "overrides": []}
        targets = [query(expr)]
        self.add("state-timeline", title, width, height, targets, options=options, fieldConfig=field)

    def written(self) -> str:
        """As Grafana reads it."""
        return json.dumps(self._head | {"panels": self._panels}, indent=2, ensure_ascii=False) + "\n"


def variable(name: str, definition: str, *, multi: bool = True) -> Json:
    """A choice of label values. `.*` for all: an objective without a service has no such label."""
    everything: Json = (
        {"includeAll": True, "allValue": ".*", "current": {"text": "All", "value": "$__all"}} if multi else {}
    )
    return {
        "name": name,
        "type": "query",
        "datasource": SOURCE,
        "query": {"query": definition, "refId": name},
        "definition": definition,
        "multi": multi,
        "refresh": 2,
        "sort": 1,
        **everything,
    }


def variables(*, multi: bool) -> list[Json]:
    """Data source, then agreement, objective and service, each within the choice before."""
    target = "upheld_objective_target_ratio"
    of_objective = f'label_values({target}{{agreement=~"$agreement"}}, objective)'
    of_service = f'label_values({target}{{agreement=~"$agreement",objective=~"$objective"}}, service)'
    return [
        {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Data source", "current": {}},
        variable("agreement", f"label_values({target}, agreement)", multi=multi),
        variable("objective", of_objective, multi=multi),
        variable("service", of_service),
    ]


def column(name: str, shown: Json, *, width: int = 110, colored: bool = False) -> Json:
    """How a table shows a column."""
    properties = [{"id": key, "value": value} for key, value in shown.items() if key != "color"]
    cell = {"type": "color-background", "mode": "basic"} if colored else {"type": "auto"}
    properties += [{"id": "custom.cellOptions", "value": cell}, {"id": "custom.width", "value": width}]
    return {"matcher": {"id": "byName", "options": name}, "properties": properties}


def table(board: Board, title: str, columns: list[tuple[str, str, Json]], hidden: list[str], **place: int) -> None:
    """One query a column, joined by their labels."""
    refs = "ABCDEFGHIJ"
    targets = [query(expr, instant=True, ref=refs[number]) for number, (_, expr, _) in enumerate(columns)]
    names = {f"Value #{refs[number]}": name for number, (name, _, _) in enumerate(columns)}
    if len(columns) == 1:
        names["Value"] = columns[0][0]  # Grafana numbers the values of several queries only
    exclude = dict.fromkeys(["Time", "__name__", "job", "view", "window", "severity", *hidden], True)
    overrides = [
        column(name, shown, colored="mappings" in shown or "thresholds" in shown) for name, _, shown in columns
    ]
    board.add(
        "table",
        title,
        place["width"],
        place["height"],
        targets,
        transformations=[
            {"id": "merge", "options": {}},
            {"id": "organize", "options": {"excludeByName": exclude, "renameByName": names}},
        ],
        fieldConfig={"defaults": {"custom": {"filterable": True}}, "overrides": overrides},
        options={"cellHeight": "sm", "showHeader": True},
    )


def overview() -> str:
    """Everything at a glance: what is broken, what is in danger, whether we can see."""
    link = {
        "title": "Objective",
        "type": "link",
        "url": "/d/upheld-objective?${datasource:queryparam}",
        "keepTime": True,
    }
    board = Board(
        "upheld-overview",
        "Upheld: overview",
        "Agreements and objectives as Upheld counts them.",
        variables(multi=True),
        [link],
    )
    kept = once('upheld_agreement_compliant{agreement=~"$agreement"}')
    pages = once(f'upheld_incidents_open{{{CHOSEN},severity="page"}}')
    tickets = once(f'upheld_incidents_open{{{CHOSEN},severity="ticket"}}')
    board.stat("Agreements broken", f"count({kept} == 0) or vector(0)", defaults(thresholds=ANY_IS_BAD))
    board.stat(
        "Objectives breached", f"count({verdict(CONTRACTUAL)} == 3) or vector(0)", defaults(thresholds=ANY_IS_BAD)
    )
    board.stat(
        "At risk", f"count({verdict(CONTRACTUAL)} == 2) or vector(0)", defaults(thresholds=steps(GREEN, (1, YELLOW)))
    )
    board.stat("Open pages", f"sum({pages}) or vector(0)", defaults(thresholds=ANY_IS_BAD))
    board.stat("Open tickets", f"sum({tickets}) or vector(0)", defaults(thresholds=steps(GREEN, (1, YELLOW))))
    board.stat(
        "Blind",
        f"count({data_state(CHOSEN)} == 2) or vector(0)",
        defaults(thresholds=ANY_IS_BAD),
        about="Objectives that Upheld cannot see now; their verdicts are old.",
    )
    table(board, "Agreements", [("kept", kept, defaults(mappings=KEPT))], [], width=6, height=12)
    columns = [
        ("verdict", verdict(CONTRACTUAL), defaults(mappings=VERDICTS)),
        ("data", data_state(CHOSEN), defaults(mappings=STATES)),
        ("SLI", once(f'upheld_sli_ratio{{{CONTRACTUAL},window="period"}}'), defaults("percentunit", decimals=3)),
        ("target", once(f"upheld_objective_target_ratio{{{CHOSEN}}}"), defaults("percentunit", decimals=3)),
        (
            "budget left",
            once(f"upheld_error_budget_remaining_ratio{{{CONTRACTUAL}}}"),
            defaults("percentunit", thresholds=BUDGET, decimals=1),
        ),
        ("burn 1h", once(f'upheld_burn_rate{{{CONTRACTUAL},window="1h"}}'), defaults(thresholds=BURN, decimals=2)),
        ("pages", pages, defaults(thresholds=ANY_IS_BAD)),
    ]
    table(board, "Objectives", columns, [], width=18, height=12)
    board.timeline("Verdicts", verdict(CONTRACTUAL), VERDICTS, height=8)
    board.lines(
        "Error budget left",
        [query(once(f"upheld_error_budget_remaining_ratio{{{CONTRACTUAL}}}"))],
        defaults("percentunit", thresholds=BUDGET, max=1),
    )
    board.lines(
        "Burn rate over 1 h",
        [query(once(f'upheld_burn_rate{{{CONTRACTUAL},window="1h"}}'))],
        defaults(thresholds=BURN, min=0),
    )
    pipeline(board)
    return board.written()


def pipeline(board: Board) -> None:
    """Upheld itself: how far behind, and what it could not use. Processes differ here, so that they are summed."""
    age = f"time() - min({once(f'upheld_evaluated_timestamp_seconds{{{CHOSEN}}}')})"
    board.lines("Age of the numbers", [query(age, "seconds since the oldest tick")], defaults("s", min=0), width=6)
    lag = "sum by (topic) (max without (instance, pod) (upheld_consumer_lag_records))"
    board.lines("Records not read yet", [query(lag, "{{topic}}")], defaults("short", min=0), width=6)
    read = "sum by (result) (rate(upheld_ingest_records_total[5m]))"
    dead = "sum by (reason) (rate(upheld_dead_letters_total[5m]))"
    targets = [query(read, "{{result}}"), query(dead, "dead: {{reason}}", ref="B")]
    board.lines("Records a second", targets, defaults("ops", min=0), width=6)
    tick = "histogram_quantile(0.99, sum by (le) (rate(upheld_tick_duration_seconds_bucket[5m])))"
    sent = 'sum by (channel) (rate(upheld_notifications_total{result!="sent"}[5m]))'
    targets = [query(tick, "tick, p99")]
    board.lines("Tick", targets, defaults("s", min=0), width=6)
    board.lines(
        "Notifications that did not go out, a second", [query(sent, "{{channel}}")], defaults("ops", min=0), width=24
    )


def objective() -> str:
    """One objective: where it stands, how it came there, in both views."""
    link = {"title": "Overview", "type": "link", "url": "/d/upheld-overview?${datasource:queryparam}", "keepTime": True}
    board = Board(
        "upheld-objective", "Upheld: objective", "One objective and its groups.", variables(multi=False), [link]
    )
    left = f"upheld_error_budget_remaining_ratio{{{CHOSEN}}}"
    board.stat("Verdict", f"max({verdict(CONTRACTUAL)})", defaults(mappings=VERDICTS), about="The worst group's.")
    board.stat(
        "Data",
        f"max({data_state(CHOSEN)})",
        defaults(mappings=STATES),
        about="Beside the verdict, never instead of it.",
    )
    sli = once(f'upheld_sli_ratio{{{CONTRACTUAL},window="period"}}')
    board.stat("SLI over the period", f"min({sli})", defaults("percentunit", decimals=3))
    board.stat(
        "Target", f"max({once(f'upheld_objective_target_ratio{{{CHOSEN}}}')})", defaults("percentunit", decimals=3)
    )
    remaining = once(f"upheld_error_budget_remaining_ratio{{{CONTRACTUAL}}}")
    board.stat("Error budget left", f"min({remaining})", defaults("percentunit", thresholds=BUDGET, decimals=1))
    board.stat(
        "Open incidents",
        f"sum({once(f'upheld_incidents_open{{{CHOSEN}}}')}) or vector(0)",
        defaults(thresholds=ANY_IS_BAD),
    )
    board.timeline("Verdict", verdict(CONTRACTUAL), VERDICTS, width=12)
    board.timeline(
        "Alerts firing",
        once(f"upheld_alert_firing{{{CHOSEN}}}"),
        values((0, "quiet", GREEN), (1, "firing", RED)),
        width=12,
    )
    board.lines(
        "Error budget left, as the agreement counts and as customers lived it",
        [query(once(left))],
        defaults("percentunit", thresholds=BUDGET, max=1),
    )
    burn = once(f'upheld_burn_rate{{{CONTRACTUAL},window!="period"}}')
    board.lines(
        "Burn rates",
        [query(burn)],
        defaults(thresholds=BURN, min=0),
        about="1 spends the budget exactly within the period.",
    )
    windows = once(f"upheld_sli_ratio{{{CONTRACTUAL}}}")
    target = once(f"upheld_objective_target_ratio{{{CHOSEN}}}")
    board.lines(
        "SLI",
        [query(windows), query(target, "target", ref="B")],
        defaults("percentunit", max=1),
    )
    counted = [
        query(once(f"upheld_period_total_events{{{CHOSEN}}}"), "total, {{view}}"),
        query(once(f"upheld_period_good_events{{{CHOSEN}}}"), "good, {{view}}", ref="B"),
    ]
    board.lines("Events in the period", counted, defaults("short", min=0))
    board.lines(
        "Coverage",
        [query(once(f"upheld_coverage_ratio{{{CHOSEN}}}"))],
        defaults("percentunit", min=0, max=1),
        about="How much of the period so far was seen.",
    )
    by_severity = f"sum by (severity) ({once(f'upheld_incidents_open{{{CHOSEN}}}')})"
    board.lines("Incidents open", [query(by_severity, "{{severity}}")], defaults("short", min=0))
    return board.written()


BOARDS = {"overview.json": overview, "objective.json": objective}


def main() -> None:
    """Both files, beside this one."""
    for name, written in BOARDS.items():
        (HERE / name).write_text(written(), encoding="utf-8")
        print(HERE / name)


if __name__ == "__main__":
    main()
