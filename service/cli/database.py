"""`upheld migrate`."""

from __future__ import annotations

import typer

from service.settings import Settings
from service.storage import migrate as migrations
from service.storage.database import shown


def migrate(settings: Settings) -> None:
    """Applies what is missing and says what it did."""
    url = settings.database_url.get_secret_value()
    applied = migrations.upgrade(url, slot_us=settings.slot, shards=settings.shards)
    for revision in applied:
        typer.echo(f"applied {revision}")
    typer.echo(f"{shown(url)} is up to date" if applied else f"{shown(url)} was up to date")
