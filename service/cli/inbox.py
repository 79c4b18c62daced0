"""`upheld inbox`: a pager for one's own terminal."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime

from rich.console import Console
from rich.markup import escape
from starlette.applications import Starlette
from starlette.routing import Route

from service import logs
from service.alerting.inbox import Inbox, Received
from service.errors import BadSettings
from service.wiring.clock import now_us
from service.wiring.http import HttpServer
from service.wiring.receiving import receiver
from service.wiring.supervise import on_signals, supervise

_STYLES = {"page": "bold red", "ticket": "yellow"}
_OVER = ("incident.resolved", "incident.withdrawn")
_SECOND_US = 1_000_000


def inbox(host: str, port: int, secret_variable: str | None) -> None:
    """Prints pages as they come, until Ctrl-C."""
    logs.configure("auto", "warning")
    secret = os.environ.get(secret_variable, "") if secret_variable else None
    if secret_variable and not secret:
        raise BadSettings(f"environment variable {secret_variable} is not set")
    asyncio.run(_listen(host, port, Inbox(secret, now_us)))


async def _listen(host: str, port: int, received: Inbox) -> None:
    console = Console(soft_wrap=True, highlight=False)
    hook = receiver(received, lambda page: console.print(_line(page)))
    server = HttpServer("inbox", Starlette(routes=[Route("/hook", hook, methods=["POST"])]), host, port)
    console.print(f"waiting for pages at http://{host}:{server.port}/hook   (Ctrl-C stops)", style="dim")
    stopping = asyncio.Event()
    with on_signals(stopping.set):
        await supervise([server], stopping=stopping)


def _line(page: Received) -> str:
    """What was sent is shown as text, whatever it holds."""
    at = datetime.fromtimestamp(page.received_us / _SECOND_US, UTC).strftime("%H:%M:%S")
    data = page.data
    severity = str(data.get("severity"))
    style = "green" if page.type in _OVER else _STYLES.get(severity, "bold")
    where = "/".join(str(data[name]) for name in ("agreement", "objective") if name in data)
    signed = ", signature verified" if page.verified else ""
    again = f", delivered {page.deliveries} times" if page.deliveries > 1 else ""
    head = f"[dim]{at}[/dim]  [{style}]{escape(page.type)}[/{style}]  {escape(severity)}{signed}{again}"
    return f"{head}  [bold]{escape(where)}[/bold]\n          {escape(str(data.get('reason', '')))}"
