"""What a process holds, as the operating system and its own metrics say it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

import httpx

_TASKS = re.compile(r"^upheld_tasks (\d+)", re.MULTILINE)


@dataclass
class Gauges:
    """Samples of one process: (seconds, resident MB, open files)."""

    name: str
    pid: int
    log: Path
    samples: list[tuple[float, float, int]] = field(default_factory=list)

    def look(self, seconds: float) -> None:
        status = Path(f"/proc/{self.pid}/status").read_text()
        resident = re.search(r"VmRSS:\s+(\d+)", status)
        assert resident, f"{self.name} has ended"
        files = len(list(Path(f"/proc/{self.pid}/fd").iterdir()))
        self.samples.append((seconds, int(resident[1]) / 1024, files))

    def resident_mb(self, quarter: int) -> float:
        """The mean over a quarter of the time, the first is 1."""
        end = self.samples[-1][0]
        found = [mb for at, mb, _ in self.samples if (quarter - 1) / 4 <= at / end <= quarter / 4]
        return fmean(found)

    def files(self, quarter: int) -> int:
        """The most that were open in a quarter."""
        end = self.samples[-1][0]
        return max(files for at, _, files in self.samples if (quarter - 1) / 4 <= at / end <= quarter / 4)

    async def tasks(self) -> int:
        """Of its event loop, now."""
        for line in self.log.read_text().splitlines():
            said = json.loads(line)
            if said.get("action") == "serving" and said.get("part") == "operations":
                async with httpx.AsyncClient(timeout=10) as client:
                    text = (await client.get(f"http://127.0.0.1:{said['port']}/metrics")).text
                found = _TASKS.search(text)
                assert found, text
                return int(found[1])
        raise AssertionError(f"{self.name} never said where its metrics are")
