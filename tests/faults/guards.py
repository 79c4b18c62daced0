"""Every guard taken out once: the test that is to notice must fail (`make guards`, or names of guards as arguments).

Each runs in a copy of the tree of its own, so that nothing here is touched.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
AT_ONCE = 2
TEST_S = 600


@dataclass(frozen=True, slots=True)
class Guard:
    """`without` stands where `code` stood: the guard is gone."""

    name: str
    file: str
    code: str
    without: str
    test: str


GUARDS = (
    Guard(
        "offsets move by compare-and-set",
        "service/storage/ledger.py",
        "          AND kept.next_offset = span.read_from\n",
        "",
        "tests/contracts/test_ledger_contract.py",  # from the outside, bounds on transactions stop a zombie before it
    ),
    Guard(
        "counts and offset in one transaction",
        "service/storage/ledger.py",
        "                async with self._engine.begin() as connection:\n                    won",
        "                async with self._engine.execution_options(isolation_level='AUTOCOMMIT').begin() as connection:\n"
        "                    won",
        "tests/faults/test_killed_parts.py::test_ingest_killed_before_within_and_after_its_transaction",
    ),
    Guard(
        "a tick in one transaction",
        "service/evaluation/commit.py",
        '.begin() as connection:\n                await fence(connection, shard.lease)\n                await self.steps("fenced")\n',
        '.execution_options(isolation_level="AUTOCOMMIT").begin() as connection:\n'
        '                await fence(connection, shard.lease)\n                await self.steps("fenced")\n',
        "tests/faults/test_killed_parts.py::test_evaluate_killed_in_the_middle_of_its_transaction",
    ),
    Guard(
        "a claim of a dead process lapses",
        "service/storage/outbox.py",
        "              AND (due.claimed_until IS NULL OR due.claimed_until < clock_timestamp())\n",
        "              AND due.claimed_until IS NULL\n",
        "tests/faults/test_killed_parts.py::test_deliver_and_serve_killed_while_a_page_is_under_way",
    ),
    Guard(
        "a transaction is bounded",
        "service/storage/database.py",
        "    if connection.get_server_version() >= _HAS_TRANSACTION_TIMEOUT:\n",
        "    if connection.get_server_version() < _HAS_TRANSACTION_TIMEOUT:\n",
        "tests/faults/test_stopped_parts.py::test_a_frozen_ingest_and_a_frozen_deliver_change_nothing_when_they_come_back",
    ),
    Guard(
        "a stop is bounded",
        "service/wiring/supervise.py",
        "    loop = asyncio.get_running_loop()\n    numbers = (signal.SIGINT, signal.SIGTERM)\n",
        "    loop = asyncio.get_running_loop()\n    numbers = (signal.SIGINT,)\n",
        "tests/faults/test_stopped_parts.py::test_sigterm_stops_every_part_cleanly_while_events_pour_in",
    ),
    Guard(
        "ids of the horizon are read again",
        "consumers/reading.py",
        "            self._duplicates.recall(fetched.records, before, clock_us)\n",
        "            pass\n",
        "tests/acceptance/test_duplicates.py",
    ),
    Guard(
        "a log shows its last record again",
        "consumers/reading.py",
        "        if fetched.after_break and not self._fingerprint:\n",
        "        if fetched.after_break and not self._fingerprint and not self.committed:\n",
        "tests/faults/test_made_anew.py",
    ),
    Guard(
        "a denied topic does not stop its neighbours",
        "consumers/kafka/log.py",
        "            self._denials.fetched(error)\n            return ()",
        "            raise await self._failed(error) from error",
        "tests/contracts/test_secure_kafka.py::test_topics_that_may_not_be_read",
    ),
    Guard(
        "letters are safe before the commit",
        "consumers/worker.py",
        "            await self._dead_letters.send(letters)\n",
        "",
        "tests/faults/test_records.py",
    ),
    Guard(
        "a new partition is found soon",
        "consumers/kafka/log.py",
        '"metadata_max_age_ms": 20_000',
        '"metadata_max_age_ms": 3_000_000',
        "tests/faults/test_broker.py::test_a_topic_that_grows_is_read_whole",
    ),
    Guard(
        "an evaluator without its lease writes nothing",
        "service/storage/leases.py",
        "values)).rowcount != 1:\n        raise LeaseLost",
        "values)).rowcount == 7:\n        raise LeaseLost",
        "tests/service/evaluation/test_leases.py",  # from the outside, a process that was frozen sees it first
    ),
    Guard(
        "a gap is blind for its span",
        "service/storage/ledger.py",
        "                    await blind_spans.record(connection, kept)\n",
        "",
        "tests/faults/test_retention.py",
    ),
    Guard(
        "a gap is counted",
        "consumers/worker.py",
        "        self._reports.gap(reading.partition, first - entry.read_from)\n",
        "",
        "tests/faults/test_retention.py",
    ),
)


def main(names: list[str]) -> int:
    """0 where every guard was missed."""
    chosen = [guard for guard in GUARDS if not names or guard.name in names]
    unknown = set(names) - {guard.name for guard in GUARDS}
    if unknown:
        sys.stderr.write(f"no such guard: {', '.join(sorted(unknown))}\n")
        return 2
    with ThreadPoolExecutor(AT_ONCE) as pool:
        missed = list(pool.map(_missed, chosen))
    return 0 if all(missed) else 1


def _missed(guard: Guard) -> bool:
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="upheld-guard-") as folder:
        copy = Path(folder) / "tree"
        shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".venv", ".git", ".*_cache", "__pycache__"))
        file = copy / guard.file
        text = file.read_text()
        if text.count(guard.code) != 1:
            print(f"NOT FOUND  {guard.name}: {guard.file} has changed", flush=True)
            return False
        file.write_text(text.replace(guard.code, guard.without))
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "-x",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            guard.test,
        ]
        done = subprocess.run(
            command,
            cwd=copy,
            env={**os.environ, "PYTHONPATH": str(copy), "UPHELD_REQUIRE": "kafka"},
            capture_output=True,
            text=True,
            timeout=TEST_S,
            check=False,
        )
    errors = [line[1:].strip() for line in done.stdout.splitlines() if line.startswith("E ")]
    said = errors[0][:160] if errors else done.stdout.strip().splitlines()[-1]
    missed = done.returncode == 1 and bool(errors)
    word = "MISSED " if missed else "UNNOTICED"
    print(f"{word}  {guard.name}  ({time.monotonic() - begun:.0f} s)\n    {guard.test}\n    {said}", flush=True)
    return missed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
