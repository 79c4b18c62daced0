"""The examples for people: their documents are valid, and their converters lose nothing."""

import gzip
import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from evaluators import documents
from evaluators.agreements import Agreement, RatioIndicator, ThresholdIndicator
from evaluators.selectors import Selector

ROOT = Path(__file__).parents[3]
EXAMPLES = ROOT / "docs" / "examples"
DATA = Path(os.environ.get("UPHELD_TEST_DATA", ROOT.parent / "shared" / "data"))

real_data = pytest.mark.skipif(
    not DATA.is_dir(), reason=f"no measurements at {DATA}; name their folder in UPHELD_TEST_DATA"
)


def loaded(*names: str) -> list[documents.Sourced[Any]]:
    files = [documents.load((EXAMPLES / name).read_text(), name) for name in names]
    assert [problem for file in files for problem in file.problems] == []
    return [each for file in files for each in file.documents]


def total_of(name: str) -> Selector:
    (sourced,) = loaded(name)
    assert isinstance(sourced.document, Agreement)
    indicator = sourced.document.objectives[0].indicator
    return indicator.total if isinstance(indicator, RatioIndicator) else indicator.metric


def converted(script: str, given: bytes, *options: str) -> tuple[list[dict[str, Any]], str, int]:
    done = subprocess.run([sys.executable, EXAMPLES / script, *options], input=given, capture_output=True, check=False)
    return [json.loads(line) for line in done.stdout.splitlines()], done.stderr.decode(), done.returncode


def awk(program: str, given: bytes, *options: str) -> list[list[str]]:
    done = subprocess.run(["awk", *options, program], input=given, capture_output=True, check=True)
    return [line.split() for line in done.stdout.decode().splitlines()]


@pytest.mark.parametrize("name", sorted(path.name for path in EXAMPLES.glob("*.yaml") if path.name != "targets.yaml"))
def test_each_example_is_valid_together_with_the_targets(name: str) -> None:
    """As README.md there says to apply them, without so much as a warning."""
    assert documents.check(loaded(name, "targets.yaml")) == ()


def test_all_examples_are_valid_together() -> None:
    """`upheld validate docs/examples/*.yaml`."""
    assert documents.check(loaded(*sorted(path.name for path in EXAMPLES.glob("*.yaml")))) == ()


LINE = '192.0.2.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 203023 "-" "agent"\n'


@pytest.mark.parametrize(
    ("line", "time", "labels"),
    [
        (LINE, "2015-05-17T10:05:03Z", {"status": "200", "method": "GET"}),
        (LINE.replace("+0000", "+0530"), "2015-05-17T04:35:03Z", {"status": "200", "method": "GET"}),
        (LINE.replace("+0000", "-0100"), "2015-05-17T11:05:03Z", {"status": "200", "method": "GET"}),
        (
            LINE.replace("GET /a HTTP/1.1", '\\"x\\" 404 y').replace(" 200 ", " 400 "),
            "2015-05-17T10:05:03Z",
            {"status": "400", "method": "other"},
        ),
        (
            LINE.replace("- - [", "- Some Body [").replace(' "-" "agent"', ""),
            "2015-05-17T10:05:03Z",
            {"status": "200", "method": "GET"},
        ),
    ],
)
def test_a_line_of_an_access_log_becomes_an_event_that_the_example_counts(
    line: str, time: str, labels: dict[str, str]
) -> None:
    """Times in UTC, methods of a fixed set, quotes inside a request as Apache escapes them."""
    events, said, code = converted("convert_access_log.py", line.encode())

    assert events == [{"time": time, "metric": "http_requests", "service": "web", "labels": labels}]
    assert said == "1 events, 0 lines that are no request\n"
    assert code == 0
    assert total_of("access-log.yaml").matches("http_requests", {"service": "web", **labels})


def test_lines_that_are_no_request_are_counted_and_left_out() -> None:
    """A broken line costs nothing but itself, whatever bytes are in it; gzipped input is told by its first bytes."""
    bad = b"nonsense\n\n\xff\x00\n" + LINE.replace("May", "Mai").encode() + LINE.replace("17/", "42/").encode()

    events, said, code = converted("convert_access_log.py", gzip.compress(bad + LINE.encode()), "--service", "shop")

    assert [each["service"] for each in events] == ["shop"]
    assert said == "1 events, 5 lines that are no request\n"
    assert code == 0
    assert converted("convert_access_log.py", bad)[2] == 1


def test_a_row_of_measurements_becomes_an_event_that_the_example_counts() -> None:
    """Rows without a number or a time are counted and left out; the header is no row."""
    rows = b"timestamp,value\n2014-03-07 03:41:00,45.868\nsoon,1\n2014-03-07 03:46:00,nan\n2014-03-07 03:46:00\n\xff\n"

    events, said, code = converted("convert_latency_csv.py", rows)

    assert events == [
        {"time": "2014-03-07T03:41:00Z", "metric": "request_latency", "service": "server", "value": 45.868}
    ]
    assert said == "1 events, 4 lines that are no measurement\n"
    assert code == 0
    assert total_of("request-latency.yaml").matches("request_latency", {"service": "server"})
    assert converted("convert_latency_csv.py", b"timestamp,value\n", "--metric", "m", "--service", "s")[2] == 1


@pytest.mark.parametrize("script", ["convert_access_log.py", "convert_latency_csv.py"])
def test_a_file_that_cannot_be_read_is_named(script: str) -> None:
    """In one line, not by a traceback."""
    assert converted(script, b"", "missing.log") == (
        [],
        "missing.log: [Errno 2] No such file or directory: 'missing.log'\n",
        1,
    )


def test_a_gzipped_log_that_ends_too_soon_gives_what_it_holds() -> None:
    """A download that broke off."""
    whole = gzip.compress("".join(LINE.replace(":03 ", f":{each % 60:02} ") for each in range(5000)).encode())

    events, said, code = converted("convert_access_log.py", whole[:-20])

    assert events
    assert "ended before" in said
    assert code == 1


@real_data
def test_the_events_of_the_access_log_agree_with_awk_per_hour_and_as_a_whole() -> None:
    """10,000 requests: the share below 500, to the last count."""
    log = DATA / "apache_access.log.gz"
    events, said, _ = converted("convert_access_log.py", b"", str(log))
    text = gzip.decompress(log.read_bytes())

    total = Counter(each["time"][:13] for each in events)
    good = Counter(each["time"][:13] for each in events if int(each["labels"]["status"]) < 500)

    assert said.startswith("10000 events, 0 lines")
    per_hour = awk(
        "{ h = substr($4, 2, 14); t[h]++; if ($9 < 500) g[h]++ } END { for (h in t) print h, g[h] + 0, t[h] }", text
    )
    assert {hour.replace("/May/2015:", ""): (int(g), int(t)) for hour, g, t in per_hour} == {
        hour[8:10] + hour[11:13]: (good[hour], count) for hour, count in total.items()
    }
    assert awk("{ t++; if ($9 < 500) g++ } END { print g, t }", text) == [[str(good.total()), str(total.total())]]


@real_data
def test_the_events_of_the_latency_file_agree_with_awk() -> None:
    """4,032 points: the share at or under the example's bound, to the last count."""
    file = DATA / "ec2_request_latency_system_failure.csv"
    events, _, _ = converted("convert_latency_csv.py", b"", str(file))
    (sourced,) = loaded("request-latency.yaml")
    indicator = sourced.document.objectives[0].indicator
    assert isinstance(indicator, ThresholdIndicator)

    good = sum(each["value"] <= indicator.bound for each in events)

    expected = awk("NR > 1 { t++; if ($2 <= 50) g++ } END { print g, t }", file.read_bytes(), "-F,")
    assert [[str(good), str(len(events))]] == expected
