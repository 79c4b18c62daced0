"""Directories of the devstack: who may use them, and one user at a time."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from service.devstack import directories
from service.devstack.children import Account
from service.errors import BadSettings, DependencyAway

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="about what root does")


def test_the_cache_follows_the_users_settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """XDG_CACHE_HOME rules where it is absolute, as its specification says."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert directories.user_cache() == tmp_path / "upheld"

    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    assert directories.user_cache().is_relative_to(Path.home())


def test_a_file_in_place_of_a_directory_is_named(tmp_path: Path) -> None:
    """The message says which path cannot be used."""
    (tmp_path / "file").write_text("")

    with pytest.raises(BadSettings, match="file cannot be used as a directory"):
        directories.private(tmp_path / "file")


def test_a_lock_is_held_until_every_holder_has_closed_it(tmp_path: Path) -> None:
    """A server that inherited the file holds the directory after its parent has gone."""
    held = directories.lock(tmp_path, within_s=1)
    inherited = os.dup(held)
    os.close(held)
    with pytest.raises(directories.DirectoryInUse):
        directories.lock(tmp_path, within_s=0.1)

    os.close(inherited)

    os.close(directories.lock(tmp_path, within_s=1))


@only_root
def test_root_lets_a_server_run_as_the_owner_of_its_data_or_nobody(tmp_path: Path) -> None:
    """Data made by an ordinary user stays that user's when root starts the server once."""
    assert directories.server_account(tmp_path / "not there yet") == directories.server_account(tmp_path)
    os.chown(tmp_path, 4321, 1234)

    assert directories.server_account(tmp_path) == Account(4321, 1234)


@only_root
def test_programs_that_others_cannot_reach_are_copied_once_for_all_to_run(tmp_path: Path) -> None:
    """The copy keeps what is a program and what is not, and belongs to root alone."""
    source = tmp_path / "programs"
    (source / "bin").mkdir(parents=True, mode=0o700)
    (source / "bin" / "tool").write_text("#!/bin/sh\n")
    (source / "bin" / "tool").chmod(0o700)
    (source / "data").write_text("x")
    (source / "data").chmod(0o600)
    (source / "link").symlink_to("data")
    assert not directories.open_to_all(source)

    copy = directories.readable_copy([source], "tool-1", below=tmp_path) / "programs"

    assert stat.S_IMODE((copy / "bin" / "tool").stat().st_mode) == 0o755
    assert stat.S_IMODE((copy / "data").stat().st_mode) == 0o644
    assert (copy / "link").readlink() == Path("data")
    assert directories.readable_copy([source], "tool-1", below=tmp_path) == copy.parent
    assert [path.name for path in (tmp_path / "upheld").iterdir()] == ["tool-1"]


@only_root
def test_a_cache_that_others_can_write_to_is_refused(tmp_path: Path) -> None:
    """Root does not run programs that anybody may have put there."""
    (tmp_path / "upheld").mkdir()
    (tmp_path / "upheld").chmod(0o777)

    with pytest.raises(DependencyAway, match="can be written by others"):
        directories.readable_copy([tmp_path], "tool", below=tmp_path)


def test_a_system_directory_is_open_to_all() -> None:
    """/usr/bin is reachable by every account."""
    assert directories.open_to_all(Path("/usr/bin"))
