"""`upheld status`: where every objective stands, from the API of a running Upheld."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from service.errors import CheckFailed, DependencyAway
from service.settings import Settings

REFRESH_S = 2.0
_PAGE_SIZE = 500
_TIMEOUT_S = 10.0
_BAR_CELLS = 12
_VERDICTS = {
    "met": ("met", "green"),
    "at_risk": ("at risk", "yellow"),
    "breached": ("breached", "bold red"),
    None: ("no data", "dim"),
}
_ORDER = {"breached": 0, "at_risk": 1, "met": 2, None: 3}

Item = Mapping[str, Any]


def status(
    settings: Settings, *, url: str | None, watch: bool, exit_code: bool, agreement: str | None, as_json: bool
) -> None:
    """Prints once, or keeps showing. Raises DependencyAway where the API does not answer, CheckFailed on a breach."""
    base = (url or settings.base_url).rstrip("/")
    parameters = {"agreement": agreement} if agreement else {}
    with httpx.Client(base_url=base, timeout=_TIMEOUT_S) as client:
        if watch:
            _watch(client, parameters)
            return
        items = list(_items(client, parameters))
    if as_json:
        sys.stdout.write(json.dumps(items, indent=2, ensure_ascii=False) + "\n")
    else:
        Console().print(_shown(items))
    if exit_code and any(item["verdict"] == "breached" for item in items):
        message = "at least one objective is breached"
        raise CheckFailed(message)


def _watch(client: httpx.Client, parameters: Mapping[str, str]) -> None:
    with Live(console=Console(), screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = _shown(list(_items(client, parameters)))
                except DependencyAway as error:
                    shown = Group(Text(str(error), style="bold red"), Text("trying again ...", style="dim"))
                live.update(shown, refresh=True)
                time.sleep(REFRESH_S)
        except KeyboardInterrupt:
            return


def _items(client: httpx.Client, parameters: Mapping[str, str]) -> Iterator[Item]:
    cursor: str | None = None
    while True:
        query = {**parameters, "limit": str(_PAGE_SIZE), **({"cursor": cursor} if cursor else {})}
        try:
            answer = client.get("/api/v1/objectives", params=query)
            answer.raise_for_status()
            page = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            message = f"{client.base_url} does not answer as Upheld's API: {error}; is `upheld serve` running?"
            raise DependencyAway(message) from error
        yield from page["items"]
        cursor = page["next"]
        if not cursor:
            return


def _shown(items: list[Item]) -> Group | Text:
    if not items:
        return Text("No objectives yet: `upheld init` writes an agreement, `upheld apply` puts it in force.")
    table = Table(box=None, pad_edge=False, header_style="dim")
    for heading in ("Objective", "Verdict", "Data", "SLI", "Target", "Budget left", "Burn 1h", "Reason"):
        table.add_column(heading, justify="right" if heading in ("SLI", "Target", "Burn 1h") else "left")
    for item in sorted(items, key=lambda one: (_ORDER[one["verdict"]], one["agreement"], one["objective"])):
        table.add_row(*_row(item))
    as_of = max(str(item["as_of"]) for item in items)
    return Group(table, Text(f"{len(items)} objectives, as of {as_of}", style="dim"))


def _row(item: Item) -> tuple[str | Text, ...]:
    word, style = _VERDICTS[item["verdict"]]
    view = item["contractual"]
    group = " ".join(f"{name}={value}" for name, value in item["group"].items())
    name = f"{item['agreement']}/{item['objective']}" + (f" [dim]{escape(group)}[/dim]" if group else "")
    burn = view["burn_rates"].get("1h")
    return (
        Text.from_markup(name),
        Text(word, style=style),
        Text(item["data"], style="magenta" if item["data"] == "blind" else ""),
        "-" if view["sli"] is None else f"{view['sli']:.4%}",
        f"{item['target']:.6g}",
        _bar(view["budget_remaining"]),
        "-" if burn is None else f"{burn:.1f}x",
        Text(item["reason"], overflow="ellipsis", no_wrap=True),
    )


def _bar(remaining: float | None) -> Text:
    if remaining is None:
        return Text("-", style="dim")
    cells = round(max(0.0, min(1.0, remaining)) * _BAR_CELLS)
    style = "green" if remaining > 0.25 else "yellow" if remaining > 0 else "red"
    return Text("█" * cells + "░" * (_BAR_CELLS - cells), style=style) + Text(f" {remaining:7.1%}")
