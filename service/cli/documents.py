"""`upheld init`, `validate` and `apply`."""

from __future__ import annotations

import asyncio
import getpass
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import typer

from evaluators.documents import Loaded, Problem, check, load
from evaluators.documents.starter import STARTER
from evaluators.moments import rfc3339
from service.errors import BadSettings, CheckFailed
from service.settings import Settings
from service.storage.database import create_engine
from service.storage.definitions import Applied, DefinitionsStore
from service.wiring.clock import now_us

STANDARD = Path("-")
SUFFIXES = frozenset({".yaml", ".yml"})
LARGEST_FILE = 8 << 20
_MICROSECONDS = 1_000_000


def init(file: Path) -> None:
    """Writes the starting agreement; never over something that is there."""
    if file == STANDARD:
        sys.stdout.write(STARTER)
        return
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(STARTER)
    except FileExistsError:
        raise BadSettings(f"{file} exists; name another file") from None
    except OSError as error:
        raise BadSettings(f"{file} cannot be written: {error.strerror}") from None
    typer.echo(f"{file} written. Next: edit it, `upheld validate {file}`, `upheld apply {file}`.")


def validate(files: Sequence[Path]) -> None:
    """Every problem on standard error; raises CheckFailed if any is an error."""
    loaded = checked(files)
    count = len(loaded.documents)
    typer.echo(f"{count} document{'' if count == 1 else 's'} valid: " + ", ".join(_names(loaded)))


def apply(settings: Settings, files: Sequence[Path], *, since: str | None, by: str | None) -> None:
    """Validates, then puts them in force in one transaction."""
    loaded = checked(files, alone=False)
    from_us = None if since is None else _moment(since)
    for line in asyncio.run(applied(settings, loaded, from_us, by or getpass.getuser())):
        typer.echo(line)


async def applied(settings: Settings, loaded: Loaded, from_us: int | None, by: str) -> list[str]:
    """What was done about each document, in words."""
    engine = create_engine(settings.database_url.get_secret_value(), application_name="upheld apply")
    try:
        store = DefinitionsStore(engine)
        return [_said(one) for one in await store.apply(loaded.documents, by=by, from_us=from_us, now_us=now_us())]
    finally:
        await engine.dispose()


def checked(files: Sequence[Path], *, alone: bool = True) -> Loaded:
    """All documents of all files. Prints every problem; raises CheckFailed on an error.

    `alone`: what they name must be among them. Otherwise it may be in force already, which `apply` looks at.
    """
    parts = [load(text, name) for name, text in _texts(files)]
    documents = tuple(document for part in parts for document in part.documents)
    problems = [problem for part in parts for problem in part.problems]
    problems += check(documents) if alone else ()
    for problem in problems:
        _show(problem)
    errors = sum(problem.level == "error" for problem in problems)
    if errors:
        raise CheckFailed(f"{errors} error{'' if errors == 1 else 's'} in {len(parts)} file(s)")
    return Loaded(documents, tuple(problems))


def _show(problem: Problem) -> None:
    colour = typer.colors.RED if problem.level == "error" else typer.colors.YELLOW
    typer.echo(typer.style(problem.level, fg=colour) + f" {problem}", err=True)


def _texts(files: Sequence[Path]) -> list[tuple[str, str]]:
    return [(str(file), _text(file)) for given in files for file in _expanded(given)]


def _expanded(given: Path) -> list[Path]:
    if given == STANDARD or not given.is_dir():
        return [given]
    found = sorted(file for file in given.iterdir() if file.suffix in SUFFIXES)
    if not found:
        raise BadSettings(f"{given} holds no .yaml or .yml file")
    return found


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read(LARGEST_FILE + 1) if file == STANDARD else file.read_bytes()
    except OSError as error:
        raise BadSettings(f"{file} cannot be read: {error.strerror}") from None
    if len(data) > LARGEST_FILE:
        raise BadSettings(f"{file} is larger than {LARGEST_FILE >> 20} MiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CheckFailed(f"{file} is not UTF-8 (byte {error.start})") from None


def _moment(text: str) -> int:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadSettings(f"--from {text!r} is not a time: write 2026-11-23T15:00:00Z") from None
    if moment.tzinfo is None:
        raise BadSettings(f"--from {text!r} has no zone: write 2026-11-23T15:00:00Z")
    return round(moment.timestamp() * _MICROSECONDS)


def _names(loaded: Loaded) -> list[str]:
    return [f"{document.kind} {document.name}" for document in loaded.documents]


def _said(one: Applied) -> str:
    what = f"version {one.version}" if one.changed else f"unchanged (version {one.version})"
    since = f", counts from {rfc3339(one.from_us)}" if one.changed and one.kind == "Agreement" else ""
    return f"{one.kind} {one.name}: {what}{since}" + (f"; {one.note}" if one.note else "")
