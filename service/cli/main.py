"""The commands and their flags. Each command's work lies in a module of its own, imported when it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from service import logs
from service.errors import ServiceError
from service.settings import Settings, described, load

_SETTINGS_HELP = "\n\n".join(
    f"`{name}` {text}" + (f" Default: {default}." if default else "") for name, default, text in described()
)

app = typer.Typer(
    name="upheld",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Upheld measures what was promised: metric events in from Kafka, verdicts, budgets and pages out.",
    epilog="**Settings** (file `upheld.yaml` or the one in `UPHELD_CONFIG`, environment, flags; the later wins):\n\n"
    + _SETTINGS_HELP,
)

Kafka = Annotated[str | None, typer.Option("--kafka", metavar="HOST:PORT", help="Kafka brokers.", show_default=False)]
Topics = Annotated[str | None, typer.Option("--topics", help="Topics, comma separated.", show_default=False)]
Database = Annotated[str | None, typer.Option("--database", metavar="URL", help="PostgreSQL.", show_default=False)]
Host = Annotated[str | None, typer.Option("--host", help="Address of the API and pages.", show_default=False)]
Port = Annotated[int | None, typer.Option("--port", help="Port of the API and pages.", show_default=False)]
MetricsPort = Annotated[int | None, typer.Option("--metrics-port", help="Port of this part's own /metrics.")]
Files = Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files or folders; - is standard input.")]
ApiUrl = Annotated[str | None, typer.Option("--url", help="Where Upheld's API answers.", show_default=False)]


def main() -> None:
    """Entry point of the `upheld` command. Exit codes: 0 good, 1 a check failed, 2 wrong use, 3 a dependency is away."""
    try:
        app()
    except ServiceError as error:
        sys.stderr.write(f"upheld: {error}\n")
        raise SystemExit(error.exit_code) from None
    except BrokenPipeError:
        raise SystemExit(0) from None


def _settings(**flags: object) -> Settings:
    settings = load(**flags)
    logs.configure(settings.log_format, settings.log_level)
    return settings


@app.command(rich_help_panel="Service")
def run(
    embedded: Annotated[
        Path | None,
        typer.Option(help="Bring the embedded Postgres and broker along, with the data in this folder.", metavar="DIR"),
    ] = None,
    agreements: Annotated[Path | None, typer.Option(help="Folder of documents to apply at start.")] = None,
    kafka: Kafka = None,
    topics: Topics = None,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    metrics_port: MetricsPort = None,
) -> None:
    """All parts in one process: ingest, evaluate, deliver, serve."""
    from service.cli import parts

    settings = _settings(
        kafka_bootstrap_servers=kafka,
        topics=topics,
        database_url=database,
        host=host,
        port=port,
        metrics_port=metrics_port,
        agreements=agreements,
    )
    parts.run(settings, parts.ALL, embedded=embedded)


def _one_part(name: str, **flags: object) -> None:
    from service.cli import parts

    parts.run(_settings(**flags), (name,))


@app.command(rich_help_panel="Service")
def ingest(
    kafka: Kafka = None, topics: Topics = None, database: Database = None, metrics_port: MetricsPort = None
) -> None:
    """Read topics into the ledger; as many processes as there are partitions may run."""
    _one_part("ingest", kafka_bootstrap_servers=kafka, topics=topics, database_url=database, metrics_port=metrics_port)


@app.command(rich_help_panel="Service")
def evaluate(database: Database = None, metrics_port: MetricsPort = None) -> None:
    """Evaluate the ledger into verdicts and incidents; processes share the shards."""
    _one_part("evaluate", database_url=database, metrics_port=metrics_port)


@app.command(rich_help_panel="Service")
def deliver(database: Database = None, metrics_port: MetricsPort = None) -> None:
    """Send what the outbox holds."""
    _one_part("deliver", database_url=database, metrics_port=metrics_port)


@app.command(rich_help_panel="Service")
def serve(
    kafka: Kafka = None,
    topics: Topics = None,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    metrics_port: MetricsPort = None,
) -> None:
    """The HTTP API, the web pages and /metrics."""
    _one_part(
        "serve",
        kafka_bootstrap_servers=kafka,
        topics=topics,
        database_url=database,
        host=host,
        port=port,
        metrics_port=metrics_port,
    )


@app.command(rich_help_panel="Service")
def migrate(database: Database = None) -> None:
    """Bring the database to this version's tables."""
    from service.cli import database as command

    command.migrate(_settings(database_url=database))


@app.command(rich_help_panel="Agreements")
def init(
    file: Annotated[Path, typer.Argument(help="Where to write it; - is standard output.")] = Path("agreement.yaml"),
) -> None:
    """Write a commented agreement to start from."""
    from service.cli import documents

    documents.init(file)


@app.command(rich_help_panel="Agreements")
def validate(files: Files) -> None:
    """Check documents; every problem with file, line, path and the mend."""
    from service.cli import documents

    documents.validate(files)


@app.command(rich_help_panel="Agreements")
def apply(
    files: Files,
    since: Annotated[
        str | None,
        typer.Option("--from", help="Event time from which they count, RFC 3339. Default: the next slot."),
    ] = None,
    by: Annotated[str | None, typer.Option(help="Name on record. Default: the operating system's user.")] = None,
    database: Database = None,
) -> None:
    """Put documents in force; each version is kept."""
    from service.cli import documents

    documents.apply(_settings(database_url=database), files, since=since, by=by)


@app.command(rich_help_panel="Look")
def status(
    *,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Keep showing, a refresh each 2 s.")] = False,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 1 if anything is breached.")] = False,
    agreement: Annotated[str | None, typer.Option(help="Only this agreement.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="The API's items as JSON.")] = False,
    url: ApiUrl = None,
) -> None:
    """Objectives with verdict, budget, burn and data state, from a running Upheld's API."""
    from service.cli import status as command

    command.status(_settings(), url=url, watch=watch, exit_code=exit_code, agreement=agreement, as_json=as_json)


@app.command(rich_help_panel="Events")
def emit(
    file: Annotated[Path, typer.Option("--file", "-f", help="NDJSON; - is standard input.")] = Path("-"),
    topic: Annotated[
        str | None, typer.Option(help="Default: UPHELD_EVENTS_TOPIC, or the first of UPHELD_TOPICS.")
    ] = None,
    kafka: Kafka = None,
) -> None:
    """Send native events (one JSON object a line) to the topic; bad lines are named and not sent."""
    from service.cli import events

    events.emit(_settings(kafka_bootstrap_servers=kafka), file, topic)


@app.command(rich_help_panel="Events")
def explain(
    event: Annotated[str, typer.Argument(help="One native event as JSON; - reads it from standard input.")],
    files: Annotated[list[Path] | None, typer.Option("--documents", "-d", help="Use these files.")] = None,
    database: Database = None,
) -> None:
    """Which objectives an event feeds, which not, and why."""
    from service.cli import events

    events.explain(_settings(database_url=database), event, files)


@app.command(rich_help_panel="Look")
def inbox(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on; 0 takes a free one.")] = 9009,
    secret_env: Annotated[
        str | None, typer.Option(help="Environment variable with the signing secret; unsigned pages are then refused.")
    ] = None,
) -> None:
    """A webhook receiver that prints the pages it gets: to try alerts before there is a pager."""
    from service.cli import inbox as command

    command.inbox(host, port, secret_env)


@app.command(rich_help_panel="Service")
def demo(
    kafka: Kafka = None,
    database: Database = None,
    host: Host = None,
    port: Port = None,
    days: Annotated[int, typer.Option(help="Days of history that are sent first.", min=0, max=60)] = 30,
) -> None:
    """Everything on this machine, with live traffic and scripted incidents."""
    from service.cli import demo as command

    command.demo(kafka=kafka, database=database, host=host, port=port, days=days)


@app.command("token", rich_help_panel="Agreements")
def token(
    name: Annotated[str, typer.Argument(help="Whose token it is; every write records it.")],
    role: Annotated[str, typer.Option(help="reader, oncall, owner or emitter.")] = "reader",
) -> None:
    """Make a bearer token: the secret for its holder, and the line for the tokens file."""
    from service.cli import tokens

    tokens.token(name, role)
