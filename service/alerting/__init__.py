"""Delivery of incident notifications: from outbox rows to the channels that people use."""

from __future__ import annotations
