"""Child processes: how they start, fail and end, on Linux's way and on the other."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path

import pytest

from service.devstack.children import Child, ServerDidNotStart, free_ports, on_port
from tests.service.devstack.killing import StartedElsewhere, gone, wait_for

WAYS = pytest.mark.parametrize("watch", [False, True], ids=["death signal", "watcher"])
SLEEPER = "import signal; print('up', flush=True); signal.pause()"


def start(tmp_path: Path, code: str, *, watch: bool) -> Child:
    return Child.start("a program", [sys.executable, "-c", code], log=tmp_path / "log", directory=tmp_path, watch=watch)


@WAYS
def test_a_program_is_waited_for_and_stopped(tmp_path: Path, watch: bool) -> None:
    """It is ready when the condition says so, and gone after `stop`."""
    child = start(tmp_path, SLEEPER, watch=watch)
    child.wait_until(lambda: child.log_tail() == "up", within_s=20)

    child.stop()

    assert not child.running()
    assert gone(child.pid)


@WAYS
def test_a_program_that_ends_early_is_an_error_with_the_end_of_its_log(tmp_path: Path, watch: bool) -> None:
    """The message carries what the program said."""
    child = start(tmp_path, "import sys; sys.exit('the disk is full')", watch=watch)

    with pytest.raises(ServerDidNotStart, match=r"a program ended with 1:\nthe disk is full"):
        child.wait_until(lambda: False, within_s=20)


@WAYS
def test_a_program_that_is_never_ready_is_stopped(tmp_path: Path, watch: bool) -> None:
    """A server that does not answer does not stay behind."""
    child = start(tmp_path, SLEEPER, watch=watch)

    with pytest.raises(ServerDidNotStart, match=r"did not answer within 0\.1 s"):
        child.wait_until(lambda: False, within_s=0.1)
    assert not child.running()


@WAYS
def test_a_program_that_is_not_there_is_an_error(tmp_path: Path, watch: bool) -> None:
    """The message names the program."""
    child = Child.start("a program", ["/no/such/thing"], log=tmp_path / "log", directory=tmp_path, watch=watch)

    with pytest.raises(ServerDidNotStart, match="cannot start /no/such/thing: No such file or directory"):
        child.finish(within_s=20)


def test_a_program_that_should_end_and_does_not_is_stopped(tmp_path: Path) -> None:
    """`finish` has a bound."""
    child = start(tmp_path, SLEEPER, watch=False)

    with pytest.raises(ServerDidNotStart, match=r"did not end within 0\.1 s"):
        child.finish(within_s=0.1)
    assert gone(child.pid)


def test_a_program_that_ignores_its_signal_is_killed(tmp_path: Path) -> None:
    """`stop` has a bound too."""
    stubborn = f"import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); {SLEEPER}"
    child = start(tmp_path, stubborn, watch=False)
    child.wait_until(lambda: child.log_tail() == "up", within_s=20)

    child.stop(signal.SIGTERM, within_s=0.1)

    assert gone(child.pid)


def test_without_linux_a_killed_parent_still_ends_the_program(tmp_path: Path) -> None:
    """The watcher sees its parent's end of the pipe close."""
    elsewhere = StartedElsewhere("watched", tmp_path)

    elsewhere.kill()

    wait_for(lambda: gone(elsewhere.pid), "the program has ended")


def test_starting_from_another_thread_is_refused(tmp_path: Path) -> None:
    """Linux would end the program with that thread; better to say so at once."""
    caught: list[Exception] = []

    def attempt() -> None:
        try:
            start(tmp_path, SLEEPER, watch=False)
        except RuntimeError as error:
            caught.append(error)

    thread = threading.Thread(target=attempt)
    thread.start()
    thread.join()

    assert "must be started from the main thread" in str(caught[0])


def test_a_free_port_that_somebody_took_is_replaced_by_another(tmp_path: Path) -> None:
    """A server that finds its port in use is started again elsewhere; one with another trouble is not."""
    tried: list[int] = []

    def serve(port: int) -> Child:
        tried.append(port)
        if len(tried) < 3:
            raise ServerDidNotStart("bind: Address already in use")
        return start(tmp_path, SLEEPER, watch=False)

    child, port = on_port(0, serve)
    child.stop()

    assert port == tried[2]
    with pytest.raises(ServerDidNotStart, match="no memory"):
        on_port(0, lambda _: (_ for _ in ()).throw(ServerDidNotStart("no memory")))


def test_free_ports_differ() -> None:
    """Asked for together, they are not the same one twice."""
    assert len(set(free_ports(8))) == 8
