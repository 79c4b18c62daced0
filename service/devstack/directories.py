"""Where the devstack keeps things, and whether the account that a server runs as can get at them."""

from __future__ import annotations

import fcntl
import os
import pwd
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from service.devstack.children import Account
from service.errors import BadSettings, DependencyAway

LOCK_POLL_S = 0.05
SYSTEM_CACHE = Path("/var/cache")
NOBODY = "nobody"


class DirectoryInUse(DependencyAway):
    """Another process, or the server that it left behind, still works in the directory."""


def user_cache() -> Path:
    """This user's folder for what can be fetched or made again; not created."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    if named.startswith("/"):
        return Path(named) / "upheld"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "upheld"
    return Path.home() / ".cache" / "upheld"


def private(directory: Path) -> Path:
    """The directory, made if need be, for this user alone."""
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadSettings(f"{directory} cannot be used as a directory: {error.strerror}") from error
    return directory


def lock(directory: Path, *, within_s: float) -> int:
    """Take the directory for oneself and give the open file that holds it; close it to let go.

    A server that inherits the file holds the directory for as long as it runs. So whoever has the lock knows that the
    last server has really ended, even when the process that started it was killed.
    """
    handle = os.open(directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    for _ in range(max(1, int(within_s / LOCK_POLL_S))):
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            time.sleep(LOCK_POLL_S)
        else:
            return handle
    os.close(handle)
    raise DirectoryInUse(f"{directory} is in use by another process")


def server_account(data: Path) -> Account | None:
    """Whom a server that refuses to run as root runs as: whoever owns its data, else nobody. None: as ourselves."""
    if os.geteuid() != 0:
        return None
    if data.exists() and data.stat().st_uid != 0:
        return Account(data.stat().st_uid, data.stat().st_gid)
    entry = pwd.getpwnam(NOBODY)
    return Account(entry.pw_uid, entry.pw_gid)


def open_to_all(path: Path) -> bool:
    """Whether every account can reach this directory and what is directly in it."""
    inside = path.stat().st_mode & (stat.S_IROTH | stat.S_IXOTH)
    above = all(parent.stat().st_mode & stat.S_IXOTH for parent in path.resolve().parents)
    return above and inside == stat.S_IROTH | stat.S_IXOTH


def readable_copy(folders: Sequence[Path], name: str, *, below: Path | None = None) -> Path:
    """A folder with copies of folders that lie side by side; every account can read it and none but root change it.

    Made once a name. For root only: a virtual environment below a home of mode 700 holds programs that no other
    account can start.
    """
    cache = _owned_by_root((below or SYSTEM_CACHE) / "upheld")
    target = cache / name
    if target.exists():
        return target
    fresh = Path(tempfile.mkdtemp(prefix=f"{name}.", dir=cache))
    for folder in folders:
        shutil.copytree(folder, fresh / folder.name, symlinks=True)
    for path in [fresh, *fresh.rglob("*")]:
        if not path.is_symlink():
            runs = path.is_dir() or path.stat().st_mode & stat.S_IXUSR
            path.chmod(0o755 if runs else 0o644)
    try:
        fresh.rename(target)
    except OSError:  # somebody else was faster
        shutil.rmtree(fresh)
    return target


def _owned_by_root(cache: Path) -> Path:
    """The folder, made if need be; refused where somebody else could put a program there."""
    cache.mkdir(mode=0o755, parents=True, exist_ok=True)
    if cache.stat().st_uid != 0 or cache.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise DependencyAway(
            f"{cache} can be written by others; programs that another account runs cannot be put there"
        )
    return cache
