"""Run a program that dies with the process that started it, whatever ends that process (SIGKILL included).

Started as a script of its own (`python -I -S tether.py ORDERS PROGRAM ARGUMENT...`), so that what has to happen between
fork and exec happens in a fresh process: a hook in a forked copy of a process with threads can deadlock. ORDERS is JSON:
`parent` (its pid), `signal` (what the program gets when the parent dies), `uid` and `gid` (null: as the parent),
`watch` (true: the way without Linux).

Linux ends the program by itself (PR_SET_PDEATHSIG) and this script becomes the program. Elsewhere the script stays
beside the program and waits for the end of its standard input, a pipe whose other end only the parent holds.

Linux sends the signal when the *thread* that started this script ends, so `children` starts it from the main thread.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import threading

PR_SET_PDEATHSIG = 1
CANNOT_START = 127  # as a shell says it


def main(arguments: list[str]) -> int:
    """Become the program, or stand beside it; see the head of this file."""
    orders, program = json.loads(arguments[0]), arguments[1:]
    libc = None if orders["watch"] else ctypes.CDLL(None, use_errno=True)  # found before the privileges go
    if orders["uid"] is not None:
        os.setgroups([])
        os.setgid(orders["gid"])
        os.setuid(orders["uid"])
    if libc is None:
        return _watch(program, orders["signal"])
    if libc.prctl(PR_SET_PDEATHSIG, orders["signal"], 0, 0, 0) != 0:  # after setuid, which clears it
        sys.stderr.write(f"cannot tie the program to its parent: {os.strerror(ctypes.get_errno())}\n")
        return CANNOT_START
    if os.getppid() != orders["parent"]:  # it died before the signal was asked for
        return CANNOT_START
    try:
        os.execve(program[0], program, os.environ)  # noqa: S606 - there is no shell in this, which is what S606 notes
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
    return CANNOT_START


def _watch(program: list[str], death_signal: int) -> int:
    try:
        child = subprocess.Popen(program, stdin=subprocess.DEVNULL, close_fds=False)
    except OSError as error:
        sys.stderr.write(f"cannot start {program[0]}: {error.strerror}\n")
        return CANNOT_START
    for name in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT):
        signal.signal(name, lambda number, _frame: child.send_signal(number))
    threading.Thread(target=_end_with_parent, args=(child, death_signal), daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


def _end_with_parent(child: subprocess.Popen[bytes], death_signal: int) -> None:
    while os.read(0, 4096):
        pass
    child.send_signal(death_signal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
