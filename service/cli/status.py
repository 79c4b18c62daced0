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
from rich.table import Table
from rich.text import Text

from service.errors import CheckFailed, DependencyAway
from service.settings import Settings
from service.web import figures

REFRESH_S = 2.0
_PAGE_SIZE = 500
_TIMEOUT_S = 10.0
_BAR_CELLS = 12
_WIDE = 100  # columns from which on there is room for bars
_ENOUGH = 0.25
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
        console = Console()
        console.print(_shown(items, console.width))
    if exit_code and any(item["verdict"] == "breached" for item in items):
        message = "at least one objective is breached"
        raise CheckFailed(message)


def _watch(client: httpx.Client, parameters: Mapping[str, str]) -> None:
    console = Console()
    with Live(console=console, screen=True, auto_refresh=False) as live:
        try:
            while True:
                try:
                    shown = _shown(list(_items(client, parameters)), console.width)
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


def _shown(items: list[Item], width: int) -> Group | Text:
    """A table; why something is not simply met stands in full on a line of its own below its row."""
    if not items:
        return Text("No objectives yet: `upheld init` writes an agreement, `upheld apply` puts it in force.")
    with_bars = width >= _WIDE
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("Objective", overflow="fold")
    for heading in ("Verdict", "Data"):
        table.add_column(heading, no_wrap=True)
    for heading in ("SLI", "Target", "Budget left", "Burn 1h"):
        table.add_column(heading, justify="right", no_wrap=True)
    for item in sorted(items, key=lambda one: (_ORDER[one["verdict"]], one["agreement"], one["objective"])):
        table.add_row(*_row(item, with_bars=with_bars))
    why = [Text.assemble((f"{_name(item)}: ", "bold"), str(item["reason"])) for item in items if _wants_words(item)]
    as_of = max(str(item["as_of"]) for item in items)
    count = f"{len(items)} objective{'' if len(items) == 1 else 's'}, as of {as_of}"
    return Group(table, *([Text(""), *why] if why else []), Text(""), Text(count, style="dim"))


def _wants_words(item: Item) -> bool:
    return item["verdict"] in ("breached", "at_risk") or item["data"] != "live" or bool(item["firing"])


def _name(item: Item) -> str:
    group = " ".join(f"{name}={value}" for name, value in item["group"].items())
    return f"{item['agreement']}/{item['objective']}" + (f" {group}" if group else "")


def _row(item: Item, *, with_bars: bool) -> tuple[str | Text, ...]:
    word, style = _VERDICTS[item["verdict"]]
    view = item["contractual"]
    return (
        Text(_name(item)),
        Text(word, style=style),
        Text(item["data"], style="magenta" if item["data"] == "blind" else ""),
        figures.percent(view["sli"], figures.decimals_for(item["target"])),
        figures.target(item["target"]),
        _bar(view["budget_remaining"], with_bars=with_bars),
        figures.burn(view["burn_rates"].get("1h")),
    )


def _bar(remaining: float | None, *, with_bars: bool) -> Text:
    if remaining is None:
        return Text(figures.NOTHING, style="dim")
    cells = round(max(0.0, min(1.0, remaining)) * _BAR_CELLS)
    style = "green" if remaining > _ENOUGH else "yellow" if remaining > 0 else "red"
    bar = "█" * cells + "░" * (_BAR_CELLS - cells) if with_bars else ""
    return Text(f"{bar} {figures.share(remaining):>8}".strip(), style=style)
