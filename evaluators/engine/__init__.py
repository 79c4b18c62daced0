"""The engine: a shard's counts over time, and what they say of every promise at every tick."""

from evaluators.engine.shard import ShardEngine
from evaluators.engine.snapshots import CorruptSnapshot
from evaluators.engine.specs import Advance, Restatement, SeriesSpec

__all__ = ["Advance", "CorruptSnapshot", "Restatement", "SeriesSpec", "ShardEngine"]
