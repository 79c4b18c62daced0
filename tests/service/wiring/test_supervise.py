"""Running parts together."""

from __future__ import annotations

import asyncio
import os
import signal

import pytest

from service.wiring import supervise as module
from service.wiring.supervise import on_signals, supervise


class Running:
    """A part that runs until stopped, or fails, or will not stop."""

    def __init__(self, name: str, *, failure: Exception | None = None, stubborn: bool = False) -> None:
        self.name = name
        self.started = asyncio.Event()
        self.closed = False
        self._failure = failure
        self._stubborn = stubborn
        self._stopped = asyncio.Event()

    async def run(self) -> None:
        self.started.set()
        try:
            if self._failure:
                raise self._failure
            await self._stopped.wait()
            if self._stubborn:
                await asyncio.Event().wait()
        finally:
            self.closed = True

    def stop(self) -> None:
        self._stopped.set()


async def test_a_stop_from_outside_ends_all_parts_and_raises_nothing() -> None:
    """Ctrl-C is a clean end."""
    parts = [Running("a"), Running("b")]
    stopping = asyncio.Event()
    running = asyncio.create_task(supervise(parts, stopping=stopping))
    await parts[1].started.wait()
    stopping.set()
    await running
    assert all(part.closed for part in parts)


async def test_the_failure_of_one_part_stops_the_others_and_is_raised() -> None:
    """Half a service must not linger on."""
    parts = [Running("a"), Running("b", failure=RuntimeError("broken"))]
    with pytest.raises(RuntimeError, match="broken"):
        await supervise(parts, stopping=asyncio.Event())
    assert parts[0].closed


async def test_a_part_that_will_not_stop_is_cancelled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stop is bounded."""
    monkeypatch.setattr(module, "STOP_WITHIN_S", 0.01)
    part = Running("stubborn", stubborn=True)
    stopping = asyncio.Event()
    stopping.set()
    await supervise([part], stopping=stopping)
    assert part.closed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_signals_ask_for_a_stop_while_inside(number: signal.Signals) -> None:
    """And only there: afterwards Python's own handling is back."""
    stopping = asyncio.Event()
    with on_signals(stopping.set):
        os.kill(os.getpid(), number)
        await asyncio.wait_for(stopping.wait(), 5)
    assert signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler)
