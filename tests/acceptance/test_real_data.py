"""Real measurements through a topic: what Upheld computes equals what a few lines of awk give, to the last count."""

from __future__ import annotations

import gzip
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.world import World, eventually

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs" / "examples"
DATA = Path(os.environ.get("UPHELD_TEST_DATA", ROOT.parent / "shared" / "data"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(180),
    pytest.mark.skipif(not DATA.is_dir(), reason=f"no measurements at {DATA}; name their folder in UPHELD_TEST_DATA"),
]


def awk(program: str, text: str, *options: str) -> list[list[str]]:
    done = subprocess.run(["awk", *options, program], input=text, capture_output=True, text=True, check=True)
    return [line.split() for line in done.stdout.splitlines()]


def converted(script: str, file: str) -> bytes:
    done = subprocess.run([sys.executable, EXAMPLES / script, DATA / file], capture_output=True, check=True)
    return done.stdout


async def given(world: World, example: str, events: bytes) -> None:
    await world.command("migrate")
    await world.command(
        "apply", str(EXAMPLES / "targets.yaml"), str(EXAMPLES / example), "--from", "2013-01-01T00:00:00Z"
    )
    world.start("run")
    await world.ready()
    await world.command("emit", stdin=events)


async def test_availability_of_an_access_log_equals_awk_per_hour_and_as_a_whole(world: World) -> None:
    """Share of responses below 500, hour by hour over four days of 2015."""
    text = gzip.decompress((DATA / "apache_access.log.gz").read_bytes()).decode()
    per_hour = awk(
        r"""
        match($0, /\[[0-9][0-9]\/May\/2015:[0-9][0-9]/) {
            split(substr($0, RSTART + 1, RLENGTH - 1), part, /[\/:]/)
            hour = part[3] "-05-" part[1] "T" part[4]
            match($0, /" [0-9][0-9][0-9] /); status = substr($0, RSTART + 2, 3)
            total[hour]++; if (status < 500) good[hour]++
        }
        END { for (hour in total) print hour, good[hour] + 0, total[hour] }
        """,
        text,
    )
    expected = {f"{hour}:00:00Z": (int(good), int(total)) for hour, good, total in per_hour}
    await given(world, "access-log.yaml", converted("convert_access_log.py", "apache_access.log.gz"))

    async def computed() -> dict[str, tuple[int, int]] | None:
        path = "/objectives/access-log/availability/history?from=2015-05-17T00:00:00Z&to=2015-05-21T00:00:00Z&step=1h"
        points = await world.history(path)
        counts = {point["time"]: (point["good"], point["total"]) for point in points if point["total"]}
        return counts if sum(total for _, total in counts.values()) >= sum(t for _, t in expected.values()) else None

    assert await eventually(computed, 60, "the counts") == expected
    assert sum(total for _, total in expected.values()) == 10_000


async def test_latency_share_of_a_failing_server_equals_awk(world: World) -> None:
    """Share of points at or under 50, over the whole file."""
    text = (DATA / "ec2_request_latency_system_failure.csv").read_text()
    ((good, total),) = awk("NR > 1 { total++; if ($2 <= 50) good++ } END { print good, total }", text, "-F,")
    await given(
        world, "request-latency.yaml", converted("convert_latency_csv.py", "ec2_request_latency_system_failure.csv")
    )

    async def computed() -> tuple[int, int] | None:
        path = "/objectives/request-latency/latency/history?from=2014-03-01T00:00:00Z&to=2014-04-01T00:00:00Z&step=1d"
        points = await world.history(path)
        counts = sum(point["good"] or 0 for point in points), sum(point["total"] or 0 for point in points)
        return counts if counts[1] >= int(total) else None

    assert await eventually(computed, 60, "the counts") == (int(good), int(total))
