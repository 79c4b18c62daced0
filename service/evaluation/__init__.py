"""Evaluation in the service: leased shards that read the ledger, fold, tick, and commit what came out in one go."""

from __future__ import annotations
