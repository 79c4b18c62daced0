"""Turns an Apache access log (common or combined format, plain or gzipped) into native events, one JSON object a line.

    python convert_access_log.py access.log.gz | upheld emit

Each request becomes one event of the metric `http_requests` with the labels `status` and `method`. Lines that are no
request are counted on standard error and left out. Needs nothing but Python's standard library; reads line by line.
"""

import argparse
import gzip
import json
import re
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from io import BufferedReader
from pathlib import Path

GZIP_MAGIC = b"\x1f\x8b"
REQUEST = re.compile(
    r'\S+ \S+ .*?\[(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-])(\d\d)(\d\d)\] "((?:[^"\\]|\\.)*)" ([1-5]\d\d) ',
    re.ASCII,
)
MONTHS = {
    name: number
    for number, name in enumerate(
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"], 1
    )
}
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
"""Anything else is written by whoever sends the request, and would make a label without bound."""


def event(line: str, service: str) -> dict[str, object] | None:
    """The event of one line of the log; None if the line is no request."""
    found = REQUEST.match(line)
    if found is None:
        return None
    day, month, year, hour, minute, second, sign, zone_hours, zone_minutes, request, status = found.groups()
    offset = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
    try:
        zone = timezone(-offset if sign == "-" else offset)
        moment = datetime(int(year), MONTHS[month], int(day), int(hour), int(minute), int(second), tzinfo=zone)
        time = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (KeyError, ValueError, OverflowError):
        return None
    method = request.partition(" ")[0]
    labels = {"status": status, "method": method if method in METHODS else "other"}
    return {"time": time, "metric": "http_requests", "service": service, "labels": labels}


def lines(file: BufferedReader) -> Iterator[str]:
    """Lines of a plain or gzipped file, told apart by its first two bytes."""
    zipped = file.peek(len(GZIP_MAGIC)).startswith(GZIP_MAGIC)
    for line in gzip.GzipFile(fileobj=file) if zipped else file:
        yield line.decode("utf-8", "replace")


def main() -> int:
    """Writes the events; exit code 1 if the file holds none."""
    parser = argparse.ArgumentParser(description="Apache access log to native events on standard output.")
    parser.add_argument("file", nargs="?", default="-", help="the log, plain or gzipped; - is standard input")
    parser.add_argument("--service", default="web", help="the label `service` of every event (default: web)")
    options = parser.parse_args()
    good = bad = 0
    try:
        with sys.stdin.buffer if options.file == "-" else Path(options.file).open("rb") as file:
            for line in lines(file):
                found = event(line, options.service)
                if found is None:
                    bad += 1
                else:
                    good += 1
                    sys.stdout.write(json.dumps(found, separators=(",", ":")) + "\n")
    except (OSError, EOFError) as error:  # not there, or a gzip file that ends too soon
        print(f"{options.file}: {error}", file=sys.stderr)
        return 1
    print(f"{good} events, {bad} lines that are no request", file=sys.stderr)
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
