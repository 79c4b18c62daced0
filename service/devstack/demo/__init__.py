"""The demo: a company's agreements, its traffic and its bad day."""

from __future__ import annotations
