"""Where ports meet their adapters, and the one place (beside the command line) that reads a clock."""

from __future__ import annotations
