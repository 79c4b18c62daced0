"""`upheld emit` and `upheld explain`."""

from __future__ import annotations

import asyncio
import contextlib
import sys
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import BinaryIO, Final, cast

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from consumers.errors import IngestError, LogUnavailable, RegistryUnavailable
from consumers.explaining import explain as explained
from consumers.formats import native
from consumers.formats.avro import MAGIC, SchemaById, no_registry
from consumers.formats.samples import Payload
from consumers.formats.times import EARLIEST_US, EventTimes, TimeBounds
from consumers.formats.unusable import Unusable
from consumers.kafka import KafkaEventSink, KafkaTopics
from consumers.ports import MatchRule
from service.errors import BadSettings, CheckFailed, DependencyAway
from service.settings import Settings
from service.storage.database import create_engine
from service.storage.definitions import DefinitionsStore
from service.wiring.clock import now_us
from service.wiring.kafka import kafka_connection

STANDARD: Final = Path("-")
CHUNK: Final = 1 << 18
AHEAD: Final = 4  # chunks read while one is being sent
SHOWN: Final = 20  # bad lines named; the rest is counted


class _Lines:
    """Whole lines with their numbers, as they come: a pipe that trickles is passed on at once.

    The reading thread is a daemon: a terminal that nobody types into does not hold up the end of the process.
    """

    def __init__(self, source: BinaryIO) -> None:
        self._source = source
        self._queue: asyncio.Queue[bytes] = asyncio.Queue(AHEAD)

    async def batches(self) -> AsyncIterator[list[tuple[int, bytes]]]:
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._read, args=(loop,), daemon=True, name="read events").start()
        number, rest = 0, b""
        while chunk := await self._queue.get():
            *lines, rest = (rest + chunk).split(b"\n")
            yield [(number + index, line) for index, line in enumerate(lines, start=1) if line.strip()]
            number += len(lines)
        if rest.strip():
            yield [(number + 1, rest)]

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        with contextlib.suppress(RuntimeError, asyncio.CancelledError):  # the loop has ended
            while True:
                chunk = cast("bytes", self._source.read1(CHUNK))  # type: ignore[attr-defined]
                asyncio.run_coroutine_threadsafe(self._queue.put(chunk), loop).result()
                if not chunk:
                    return


def emit(settings: Settings, file: Path, topic: str | None) -> None:
    """Sends what can be used; raises CheckFailed if any line could not, DependencyAway without a broker."""
    topic = topic or settings.written_topic
    if topic is None:
        raise BadSettings("no topic to send to: give --topic or UPHELD_EVENTS_TOPIC")
    try:
        source = sys.stdin.buffer if file == STANDARD else file.open("rb")
    except OSError as error:
        raise BadSettings(f"{file} cannot be read: {error.strerror}") from None
    with source, contextlib.suppress(KeyboardInterrupt):
        sent, refused = asyncio.run(_emit(settings, source, topic))
        typer.echo(f"{sent:,} event{'' if sent == 1 else 's'} sent", err=True)
        if refused:
            raise CheckFailed(f"{refused:,} line{'' if refused == 1 else 's'} not sent")


async def _emit(settings: Settings, source: BinaryIO, topic: str) -> tuple[int, int]:
    connection = kafka_connection(settings, "upheld-emit")
    sink = KafkaEventSink(connection, topic)
    sent = refused = 0
    try:
        await KafkaTopics(connection).ensure(topic, settings.topic_partitions)
        with _progress() as progress:
            task = progress.add_task("sending", total=None, sent=0)
            async for lines in _Lines(source).batches():
                good = list(_usable(lines, settings, shown=SHOWN - refused))
                refused += len(lines) - len(good)
                await sink.send(good)
                sent += len(good)
                progress.update(task, sent=sent)
    except LogUnavailable as error:
        raise DependencyAway(f"{error} ({sent:,} events had been sent)") from error
    finally:
        await sink.stop()
    return sent, refused


def _progress() -> Progress:
    columns = (SpinnerColumn(), TextColumn("{task.fields[sent]:,} events sent"), TimeElapsedColumn())
    return Progress(*columns, console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty())


def _usable(lines: Sequence[tuple[int, bytes]], settings: Settings, *, shown: int) -> list[bytes]:
    now = now_us()
    bounds = TimeBounds(EARLIEST_US, now + settings.future_bound)
    times = EventTimes()
    good: list[bytes] = []
    for number, line in lines:
        try:
            native.read(line, record_time_us=now, bounds=bounds, event_times=times)
        except Unusable as error:
            if shown > 0:
                typer.echo(f"line {number}: {error.code}: {error.reason}", err=True)
            shown -= 1
        else:
            good.append(line)
    return good


def explain(settings: Settings, event: str, files: Sequence[Path] | None) -> None:
    """Prints for each objective whether the event feeds it, and why. Raises CheckFailed for an unusable event."""
    from consumers.formats.catalogue import samples_of

    text = sys.stdin.buffer.read() if event == "-" else event.encode()
    now = now_us()
    bounds = TimeBounds(EARLIEST_US, now + settings.future_bound)
    try:
        schemas = asyncio.run(_schemas(settings, text)) if text.startswith(MAGIC) else no_registry
        samples = samples_of(settings.formats.otherwise, Payload(text, now, EventTimes(), {}), schemas)
        for sample in samples:
            bounds.check(sample.time_us)
    except Unusable as error:
        raise CheckFailed(f"the event cannot be used: {error.code}: {error.reason}") from None
    rules = _rules_of(files) if files else asyncio.run(_rules_in_force(settings))
    console = Console(soft_wrap=True)
    if not rules:
        console.print("No agreement is in force: `upheld apply` puts one in force.")
    for sample in samples:
        labels = ", ".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
        console.print(f"[bold]{escape(sample.metric)}[/bold]{{{escape(labels)}}}")
        if sample.unfit is not None:
            console.print(f"  [red]cannot be counted[/red]: {sample.unfit.reason}")
            continue
        for one in explained(sample, rules):
            mark = "[green]feeds[/green]    " if one.feeds else "[dim]does not[/dim] "
            console.print(f"  {mark} {one.agreement}/{one.objective}: {escape('; '.join(one.reasons))}")


async def _schemas(settings: Settings, value: bytes) -> SchemaById:
    """What an event in Avro is read by. Raises Unusable."""
    from consumers.schemas import schema_of
    from service.wiring.registry import schema_registry

    try:
        async with schema_registry(settings) as registry:
            return await schema_of(registry, value)
    except RegistryUnavailable as error:
        raise DependencyAway(f"the schema registry cannot be asked: {error}") from error


def _rules_of(files: Sequence[Path]) -> list[MatchRule]:
    """What the agreements in files would match by, as if they had always been in force."""
    from evaluators.agreements import Agreement
    from service.cli.documents import checked

    agreements = [one.document for one in checked(files, alone=False).documents if isinstance(one.document, Agreement)]
    return [
        MatchRule(
            indicator_id=number,
            agreement=agreement.name,
            objective=objective.name,
            from_us=agreement.effective_from_us,
            until_us=agreement.effective_until_us,
            indicator=objective.indicator,
            group_by=objective.group_by,
            exclusions=agreement.exclusions,
        )
        for agreement in agreements
        for number, objective in enumerate(agreement.objectives)
    ]


async def _rules_in_force(settings: Settings) -> Sequence[MatchRule]:
    engine = create_engine(settings.database_url.get_secret_value(), application_name="upheld explain", pool_size=1)
    try:
        return (await DefinitionsStore(engine).load()).rules
    except IngestError as error:
        raise DependencyAway(f"the definitions cannot be read: {error}") from error
    finally:
        await engine.dispose()
