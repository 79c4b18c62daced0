"""One module per kind of notification target."""

from __future__ import annotations
