"""Breach alerts: what opened when and why, what people did about it."""
