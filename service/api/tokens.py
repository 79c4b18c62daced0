"""Bearer tokens: who may do what. The file holds hashes only.

    tokens:
      - {name: alice, role: oncall, hash: "sha256:9f86d0..."}

A token is made by `new_token` and has 256 random bits, so that one round of SHA-256 is enough: there is nothing to
guess, and a slow hash would only slow each request.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, cast

import structlog
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from service.errors import BadSettings

PREFIX: Final = "upheld_"
_SHORTEST: Final = 32
_LARGEST_FILE: Final = 1 << 20
_HASH: Final = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_NAME: Final = re.compile(r"[^\x00-\x1f\x7f]{1,100}")
_log = structlog.get_logger(__name__)


class Role(StrEnum):
    """What a token is for. An owner may do what on-call may, and on-call what a reader may; an emitter only emits."""

    READER = "reader"
    ONCALL = "oncall"
    OWNER = "owner"
    EMITTER = "emitter"

    def may(self, needed: Role) -> bool:
        """Whether this role includes `needed`."""
        return needed in _INCLUDES[self]


_INCLUDES: Final = {
    Role.READER: frozenset({Role.READER}),
    Role.ONCALL: frozenset({Role.READER, Role.ONCALL}),
    Role.OWNER: frozenset({Role.READER, Role.ONCALL, Role.OWNER}),
    Role.EMITTER: frozenset({Role.EMITTER}),
}


@dataclass(frozen=True, slots=True)
class Principal:
    """Who sent a request; `name` is what every write records."""

    name: str
    role: Role


def new_token() -> str:
    """A token that nobody can guess; show it once, keep `hash_token` of it."""
    return PREFIX + secrets.token_urlsafe(32)


def hash_token(token: str) -> str:
    """What the tokens file holds of `token`. Raises BadSettings for one that could be guessed."""
    if len(token) < _SHORTEST:
        raise BadSettings(f"a token has at least {_SHORTEST} characters: let `upheld token` make one")
    return "sha256:" + hashlib.sha256(token.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class _Stamp:
    modified_ns: int
    size: int
    inode: int


class TokenFile:
    """The tokens of a file; a changed file counts at once, without a restart.

    A file that cannot be read any more, or no longer makes sense, changes nothing: the tokens read last stay, and the
    log says so once. It never opens what was closed.
    """

    def __init__(self, path: Path) -> None:
        """Raises BadSettings when the file cannot be used."""
        self._path = path
        self._stamp = self._look()
        self._known = _read(path)

    def principal(self, token: str) -> Principal | None:
        """Who holds `token`; takes the same time whichever of the hashes fits."""
        self._refresh()
        offered = "sha256:" + hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
        found: Principal | None = None
        for expected, principal in self._known:
            if hmac.compare_digest(expected, offered):
                found = principal
        return found

    def _refresh(self) -> None:
        try:
            stamp = self._look()
            if stamp == self._stamp:
                return
            self._stamp = stamp
            self._known = _read(self._path)
        except BadSettings as error:
            if self._stamp is not None:
                _log.error(
                    "The tokens file cannot be used; the tokens read last stay.", action="tokens_kept", error=str(error)
                )
            self._stamp = None
        else:
            _log.info("The tokens file was read again.", action="tokens_read", tokens=len(self._known))

    def _look(self) -> _Stamp | None:
        try:
            status = self._path.stat()
        except OSError as error:
            raise BadSettings(f"the tokens file {self._path} cannot be read: {error.strerror}") from None
        return _Stamp(status.st_mtime_ns, status.st_size, status.st_ino)


def _read(path: Path) -> tuple[tuple[str, Principal], ...]:
    try:
        written = path.read_bytes()[:_LARGEST_FILE].decode()
        content = cast("Any", YAML(typ="safe", pure=True)).load(written)
    except OSError as error:
        raise BadSettings(f"the tokens file {path} cannot be read: {error.strerror}") from None
    except (YAMLError, UnicodeDecodeError, RecursionError):
        raise BadSettings(f"the tokens file {path} is not YAML") from None  # the original error quotes the line
    entries = cast("dict[str, Any]", content).get("tokens") if isinstance(content, dict) else content
    if not isinstance(entries, list):
        raise BadSettings(f"the tokens file {path} holds no list `tokens`")
    read = tuple(_entry(path, number, entry) for number, entry in enumerate(cast("list[Any]", entries), start=1))
    names = [principal.name for _, principal in read]
    if twice := next((name for name in names if names.count(name) > 1), None):
        raise BadSettings(f"the tokens file {path} has the name {twice!r} twice")
    return read


def _entry(path: Path, number: int, entry: Any) -> tuple[str, Principal]:
    where = f"entry {number} of the tokens file {path}"
    if not isinstance(entry, dict):
        raise BadSettings(f"{where} is no mapping of name, role and hash")
    fields = cast("dict[str, Any]", entry)
    if set(fields) != {"name", "role", "hash"}:
        raise BadSettings(f"{where} has not exactly name, role and hash")
    name, role, hashed = (str(fields[field]) for field in ("name", "role", "hash"))
    if not _NAME.fullmatch(name):
        raise BadSettings(f"{where} has no usable name")
    if role not in set(Role):
        raise BadSettings(f"{where} has an unknown role: one of {', '.join(Role)}")
    if not _HASH.fullmatch(hashed):
        raise BadSettings(f"{where} has no hash of the form sha256:<64 hexadecimal digits>")
    return hashed, Principal(name, Role(role))
