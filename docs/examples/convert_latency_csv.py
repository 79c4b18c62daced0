"""Turns a CSV file of `timestamp,value` lines (as the Numenta Anomaly Benchmark has them) into native events.

    python convert_latency_csv.py ec2_request_latency_system_failure.csv | upheld emit

Timestamps such as 2014-03-07 03:41:00 are taken as UTC. Lines that hold no measurement are counted on standard error
and left out; the header is not counted. Needs nothing but Python's standard library; reads line by line.
"""

import argparse
import csv
import json
import math
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

HEADER = ("timestamp", "value")


def event(row: Sequence[str], metric: str, service: str) -> dict[str, object] | None:
    """The event of one row; None if it is no measurement."""
    try:
        written, number = row
        value = float(number)
        moment = datetime.fromisoformat(written)
    except ValueError:
        return None
    if not math.isfinite(value):
        return None
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return {"time": utc.isoformat().replace("+00:00", "Z"), "metric": metric, "service": service, "value": value}


def rows(lines: Iterator[str]) -> Iterator[list[str]]:
    """Rows of the file; one that is no CSV is empty."""
    reader = csv.reader(lines)
    while True:
        try:
            yield next(reader)
        except csv.Error:
            yield []
        except StopIteration:
            return


def main() -> int:
    """Writes the events; exit code 1 if the file holds none."""
    parser = argparse.ArgumentParser(description="CSV of timestamp,value to native events on standard output.")
    parser.add_argument("file", nargs="?", default="-", help="the CSV file; - is standard input")
    parser.add_argument("--metric", default="request_latency", help="the metric (default: request_latency)")
    parser.add_argument("--service", default="server", help="the label `service` of every event (default: server)")
    options = parser.parse_args()
    good = bad = 0
    try:
        with sys.stdin.buffer if options.file == "-" else Path(options.file).open("rb") as file:
            for row in rows(line.decode("utf-8", "replace") for line in file):
                found = event(row, options.metric, options.service)
                if found is not None:
                    good += 1
                    sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
                elif tuple(row) != HEADER:
                    bad += 1
    except OSError as error:
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    print(f"{good} events, {bad} lines that are no measurement", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
