"""Who may ask: tokens where there are some, the own machine where there are none.

Without a tokens file a write must come from this machine to this machine, and from no web page but our own: the
browser of somebody at work here must not write because a page elsewhere told it to (cross-site requests), nor because a
name elsewhere now points here (DNS rebinding). A proxy on this machine makes strangers look local, so that whatever
says that it was forwarded does not count as local.
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.problems import Problem, document
from service.api.tokens import Principal, Role, TokenFile

LOCAL: Final = Principal("local", Role.OWNER)
"""Who writes from this machine while there are no tokens."""

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""Probes never need a token."""

SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_FORWARDED: Final = ("forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-real-ip", "via")
_LOCAL_NAMES: Final = frozenset({"localhost"})
_CHALLENGE: Final = 'Bearer realm="Upheld"'
_BROWSER_CHALLENGE: Final = f'{_CHALLENGE}, Basic realm="Upheld: any name, the token as password", charset="UTF-8"'


class Access:
    """Decides for one application: its tokens, and whether it listens on this machine only."""

    def __init__(self, tokens: TokenFile | None, *, loopback: bool, reads_need_token: bool = False) -> None:
        self.tokens = tokens
        self.loopback = loopback
        self.reads_need_token = reads_need_token and tokens is not None

    def writer(self, request: HTTPConnection, needed: Role) -> Principal:
        """Who writes. Raises Problem 401 or 403."""
        if self.tokens is None:
            self._check_local(request)
            return LOCAL
        return self.holder(self.tokens, _bearer(request.headers), needed, _CHALLENGE)

    def reader(self, connection: HTTPConnection) -> Principal | None:
        """Who reads; None where reading is open to all. Raises Problem 401 or 403."""
        if self.tokens is None or not self.reads_need_token:
            return None
        token = _bearer(connection.headers) or _basic(connection.headers)
        return self.holder(self.tokens, token, Role.READER, _BROWSER_CHALLENGE)

    def holder(self, tokens: TokenFile, token: str | None, needed: Role, challenge: str = _CHALLENGE) -> Principal:
        """Who holds `token`, if that is enough."""
        if not token:
            detail = f"This needs a bearer token with the role {needed}."
            raise Problem(401, detail, headers={"WWW-Authenticate": challenge})
        principal = tokens.principal(token)
        if principal is None:
            raise Problem(401, "This token is not known.", headers={"WWW-Authenticate": challenge})
        if not principal.role.may(needed):
            raise Problem(403, f"This needs the role {needed}; the token of {principal.name} is {principal.role}.")
        return principal

    def _check_local(self, request: HTTPConnection) -> None:
        mend = "set UPHELD_TOKENS_FILE and send a token"
        if not self.loopback:
            raise Problem(403, f"Without a tokens file, writes need an address of this machine only: {mend}.")
        if request.client is None or not is_loopback(request.client.host):
            raise Problem(403, f"Without a tokens file, writes are taken from this machine only: {mend}.")
        if any(name in request.headers for name in _FORWARDED):
            raise Problem(403, f"Without a tokens file, forwarded requests cannot write: {mend}.")
        host = request.headers.get("host", "")
        if not is_loopback(_hostname(f"//{host}")):
            raise Problem(403, f"Without a tokens file, writes are taken under a name of this machine only: {mend}.")
        check_same_origin(request)


def check_same_origin(request: HTTPConnection) -> None:
    """Refuses what a browser says another site made it send. Raises Problem 403."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site", "none")
    foreign = origin is not None and _authority(origin) != request.headers.get("host", "").lower()
    if foreign or site not in {"none", "same-origin"}:
        raise Problem(403, "This request was made by a page of another site.")


def is_loopback(host: str | None) -> bool:
    """Whether an address or a name can only mean this machine."""
    if not host:
        return False
    if host.lower() in _LOCAL_NAMES:
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def requires(role: Role) -> Callable[[Request], Principal]:
    """A dependency of routes that write: who writes, with at least `role`."""

    def principal(request: Request) -> Principal:
        access: Access = request.app.state.access
        return access.writer(request, role)

    return principal


class ReadGuard:
    """Where reading needs a token it needs one everywhere, pages and /metrics included; only probes are open."""

    def __init__(self, app: ASGIApp, *, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in OPEN_PATHS and scope["method"] in SAFE_METHODS:
            try:
                self._access.reader(HTTPConnection(scope))
            except Problem as problem:
                await document(scope["path"], problem)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _authority(origin: str) -> str | None:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None


def _hostname(url: str) -> str | None:
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def _bearer(headers: Headers) -> str | None:
    scheme, _, token = headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _basic(headers: Headers) -> str | None:
    """The password of Basic credentials: what a browser can be asked for; good for reading only."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return None
