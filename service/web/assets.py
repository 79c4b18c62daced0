"""Styles, script and icon, served under names that carry their content's hash, so that a browser may keep them for good."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Final

_TYPES: Final = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml; charset=utf-8",
}
_HASH_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `served_as` is its name with the hash: `upheld.3f2a9c04d1e7.css`."""

    name: str
    served_as: str
    etag: str
    media_type: str
    body: bytes


class Assets:
    """All files of the `assets` folder, read once."""

    def __init__(self) -> None:
        folder = resources.files("service.web") / "assets"
        found = [_asset(file.name, file.read_bytes()) for file in folder.iterdir() if _suffix(file.name) in _TYPES]
        self._by_name = {asset.name: asset for asset in found}

    def url(self, name: str) -> str:
        """Address of the present version. Raises KeyError for a name that is not there."""
        return f"/assets/{self._by_name[name].served_as}"

    def find(self, served_as: str) -> tuple[Asset, bool] | None:
        """The file behind a name, and whether the name is that of its present content.

        A page of another version asks for another hash; it gets what there is, not to be kept.
        """
        stem, _, suffix = served_as.rpartition(".")
        plain = f"{stem.partition('.')[0]}.{suffix}"
        asset = self._by_name.get(plain)
        return (asset, asset.served_as == served_as) if asset else None


def _suffix(name: str) -> str:
    return name.rpartition(".")[2]


def _lean(name: str, body: bytes) -> bytes:
    """Without indents and lines of comment, which are for those who read the source."""
    if _suffix(name) == "svg":
        return body
    lines = (line.strip() for line in body.splitlines())
    return b"\n".join(line for line in lines if line and not line.startswith(b"//"))


def _asset(name: str, source: bytes) -> Asset:
    body = _lean(name, source)
    digest = hashlib.sha256(body).hexdigest()[:_HASH_LENGTH]
    stem, _, suffix = name.rpartition(".")
    return Asset(name, f"{stem}.{digest}.{suffix}", f'"{digest}"', _TYPES[suffix], body)
