"""The `upheld` command: one module a command, imported only when it runs."""

from __future__ import annotations

from service.cli.main import main

__all__ = ["main"]
