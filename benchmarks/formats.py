"""How many samples a second one core decodes and counts, format by format, in records of 1,000 samples and of one.

Each sample has four labels besides its metric, of 250 series, and is compared with a bound. Run:
.venv/bin/python benchmarks/formats.py [--rounds N]
"""

from __future__ import annotations

import argparse
import io
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import fastavro
from google.protobuf.json_format import ParseDict
from opentelemetry.proto.metrics.v1.metrics_pb2 import MetricsData

sys.path.insert(0, str(Path(__file__).parent.parent))

from consumers.combining import Combiner
from consumers.formats.avro_schema import Schema
from consumers.formats.choice import Format
from consumers.matching import Matcher
from consumers.memory import MemoryRecords
from consumers.ports import MatchRule, Partition, Record
from evaluators.agreements import ThresholdIndicator
from evaluators.selectors import Selector

START_S: Final = 1_763_900_000
START_US: Final = START_S * 1_000_000
SLOT_US: Final = 10_000_000
SAMPLES: Final = 20_000
AT: Final = "2025-11-23T12:13:20Z"


def labels(number: int) -> dict[str, str]:
    return {"route": f"/r{number % 50}", "status": str(200 + number % 5), "region": "eu", "method": "GET"}


def avro_schemas() -> list[Any]:
    text = ("timestamp", "value", "name")
    fields = [{"name": name, "type": "string"} for name in text]
    fields.append({"name": "labels", "type": {"type": "map", "values": "string"}})
    metric = {"type": "record", "name": "io.prometheus.Metric", "fields": fields}
    return [metric, {"type": "array", "items": metric}]


AVRO: Final = avro_schemas()
AVRO_READ: Final = [Schema.of([json.dumps(schema)]) for schema in AVRO]


def native(numbers: range) -> bytes:
    return b"\n".join(
        json.dumps({"metric": "latency", "time": AT, "value": 0.1, "labels": labels(number)}).encode()
        for number in numbers
    )


def otlp(numbers: range) -> dict[str, Any]:
    points = [
        {
            "timeUnixNano": f"{START_S}000000000",
            "asDouble": 0.1,
            "attributes": [{"key": name, "value": {"stringValue": value}} for name, value in labels(number).items()],
        }
        for number in numbers
    ]
    resource = {"attributes": [{"key": "service.name", "value": {"stringValue": "checkout"}}]}
    metrics = [{"name": "latency", "gauge": {"dataPoints": points}}]
    return {"resourceMetrics": [{"resource": resource, "scopeMetrics": [{"metrics": metrics}]}]}


def lines(one: Callable[[int], Any]) -> Callable[[range], bytes]:
    return lambda numbers: b"\n".join(json.dumps(one(number)).encode() for number in numbers)


def telegraf(number: int) -> dict[str, Any]:
    return {"name": "web", "fields": {"latency": 0.1}, "tags": labels(number), "timestamp": START_S}


def prometheus(number: int) -> dict[str, Any]:
    return {"name": "latency", "value": "0.1", "timestamp": AT, "labels": labels(number)}


def vector(number: int) -> dict[str, Any]:
    gauge = {"name": "latency", "tags": labels(number), "timestamp": AT, "kind": "absolute", "gauge": {"value": 0.1}}
    return {"metric": gauge}


def zabbix(number: int) -> dict[str, Any]:
    tags = [{"tag": name, "value": value} for name, value in labels(number).items()]
    own = {"host": {"host": "web", "name": "web"}, "groups": ["web"], "itemid": number % 250, "name": "latency"}
    return {**own, "item_tags": tags, "clock": START_S, "ns": 0, "value": 0.1, "type": 0}


def influx(numbers: range) -> bytes:
    return "\n".join(
        f"web,{','.join(f'{name}={value}' for name, value in labels(number).items())} latency=0.1 {START_S}"
        for number in numbers
    ).encode()


def avro(numbers: range) -> bytes:
    """What prometheus-kafka-adapter's schema describes: by itself by the schema 0, in an array by the schema 1."""
    found = [prometheus(number) for number in numbers]
    number = int(len(found) > 1)
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(AVRO[number]), found if number else found[0])
    return b"\0" + number.to_bytes(4, "big") + written.getvalue()


def statsd(numbers: range) -> bytes:
    return "\n".join(
        f"latency:0.1|h|#{','.join(f'{name}:{value}' for name, value in labels(number).items())}|T{START_S}"
        for number in numbers
    ).encode()


WRITERS: Final[dict[Format, Callable[[range], bytes]]] = {
    "native": native,
    "otlp_proto": lambda numbers: ParseDict(otlp(numbers), MetricsData()).SerializeToString(),
    "otlp_json": lambda numbers: json.dumps(otlp(numbers)).encode(),
    "telegraf_json": lambda numbers: json.dumps({"metrics": [telegraf(number) for number in numbers]}).encode(),
    "influx": influx,
    "prometheus": lines(prometheus),
    "vector": lines(vector),
    "zabbix": lines(zabbix),
    "statsd": statsd,
    "avro": avro,
}


def rate(form: Format, each: int, rounds: int) -> float:
    """Samples a second of processor time, the best of the rounds: other work on the machine only slows."""
    rules = [
        MatchRule(number, "gold", metric, 0, None, ThresholdIndicator(Selector.parse(metric), "lte", 0.3))
        for number, metric in enumerate(("latency", "web_latency"))
    ]
    combiner = Combiner(Partition("events", 0), Matcher(rules), SLOT_US, 600_000_000, form, AVRO_READ.__getitem__)
    values = [WRITERS[form](range(first, first + each)) for first in range(0, SAMPLES, each)]
    records = MemoryRecords([Record(offset, START_US, None, value) for offset, value in enumerate(values)])
    best = 0.0
    for _ in range(rounds + 1):  # the first one fills what is remembered
        begun = time.process_time()
        combiner.take(records, 0, len(values), START_US)
        rows, tally = combiner.cut()
        best = max(best, SAMPLES / (time.process_time() - begun))
        if int(rows.columns[3].sum()) != SAMPLES or tally.letters:
            raise SystemExit(f"{form}: not all samples were counted: {tally.letters[:1]}")
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    print("samples a second of one core, decoded, matched and counted")
    print(f"| {'format':13} | 1,000 a record | one a record |")
    print("|---|---|---|")
    for form in WRITERS:
        print(f"| {form:13} | {rate(form, 1_000, rounds):>14,.0f} | {rate(form, 1, rounds):>12,.0f} |", flush=True)


if __name__ == "__main__":
    main()
