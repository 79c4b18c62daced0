"""What expires, each call bounded: entries of the ledger, settled notifications, epochs that are over.

Nothing goes that somebody still has to read: an entry expires only below the cursors of all shards, and a shard that has
no cursor yet holds everything. Entries of an epoch go from its start, so that what is left chains without holes.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from evaluators import durations

KEEP_ENTRIES_US: Final = 7 * durations.DAY
"""By the clock of their reading: so long it can be told which offsets a count came from."""

KEEP_NOTIFICATIONS_DAYS: Final = 30
"""After they were settled, by the database's clock; delivery gives a notification up after about a day."""

MOST_ROWS: Final = 5_000
"""What one call looks at, and so the most that it deletes: some ten milliseconds."""

LEAST_ENTRIES: Final = 100
"""... but so many entries of each epoch, however many partitions there are: more than comes until the next call."""

# The bound on what is looked at comes before the question how old it is: otherwise a call that finds nothing to expire
# reads everything that is kept. `newest_us` keeps what lies behind an entry that stays.
_EXPIRE_ENTRIES = text(
    """
    WITH passed AS (
        SELECT topic, partition, epoch, min(next_offset) AS next_offset FROM shard_cursors
        GROUP BY topic, partition, epoch HAVING count(*) = (SELECT count(*) FROM shards)
    ), oldest AS (
        SELECT entry.*, max(entry.clock_us) OVER (
                   PARTITION BY entry.topic, entry.partition, entry.epoch ORDER BY entry.first_offset
               ) AS newest_us
        FROM passed CROSS JOIN LATERAL (
            SELECT topic, partition, epoch, first_offset, clock_us FROM ledger
            WHERE ledger.topic = passed.topic AND ledger.partition = passed.partition AND ledger.epoch = passed.epoch
              AND ledger.first_offset < passed.next_offset
            ORDER BY ledger.first_offset
            LIMIT greatest(CAST(:least AS bigint), CAST(:most AS bigint) / (SELECT count(*) FROM passed))
        ) AS entry
    )
    DELETE FROM ledger USING oldest
    WHERE oldest.newest_us < :before_us AND ledger.topic = oldest.topic AND ledger.partition = oldest.partition
      AND ledger.epoch = oldest.epoch AND ledger.first_offset = oldest.first_offset
    """
)
# The first rows by id are the oldest; one that is not settled for so long cannot be among them for more than a day.
_EXPIRE_NOTIFICATIONS = text(
    """
    DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT :most)
      AND state <> 'pending' AND settled_at < clock_timestamp() - make_interval(days => :days)
    """
)
# A later epoch has begun, no entry is left, and every shard has read to the end (or there was never anything to read).
# The offset goes in the same statement: an epoch with an offset and without a cursor would be read from its start.
_FORGET_EPOCHS = text(
    """
    WITH ended AS (
        SELECT topic, partition, epoch FROM partition_offsets AS kept
        WHERE EXISTS (SELECT FROM partition_offsets AS later WHERE later.topic = kept.topic
                      AND later.partition = kept.partition AND later.epoch > kept.epoch)
          AND NOT EXISTS (SELECT FROM ledger WHERE ledger.topic = kept.topic
                          AND ledger.partition = kept.partition AND ledger.epoch = kept.epoch)
          AND (SELECT count(*) FROM shard_cursors AS passed WHERE passed.topic = kept.topic
                   AND passed.partition = kept.partition AND passed.epoch = kept.epoch
                   AND passed.next_offset >= kept.next_offset) IN (0, (SELECT count(*) FROM shards))
        ORDER BY topic, partition, epoch LIMIT :most FOR UPDATE OF kept SKIP LOCKED
    ), forgotten AS (
        DELETE FROM shard_cursors USING ended WHERE shard_cursors.topic = ended.topic
          AND shard_cursors.partition = ended.partition AND shard_cursors.epoch = ended.epoch
    )
    DELETE FROM partition_offsets USING ended WHERE partition_offsets.topic = ended.topic
      AND partition_offsets.partition = ended.partition AND partition_offsets.epoch = ended.epoch
    """
)


async def expire_entries(
    connection: AsyncConnection, before_us: int, *, most: int = MOST_ROWS, least: int = LEAST_ENTRIES
) -> int:
    """Delete entries that were read before `before_us` and that every shard has passed; returns how many.

    Looks at the oldest `most` entries, shared out over the epochs, and at `least` of each.
    """
    values = {"before_us": before_us, "most": most, "least": least}
    return (await connection.execute(_EXPIRE_ENTRIES, values)).rowcount


async def expire_notifications(
    connection: AsyncConnection, *, days: int = KEEP_NOTIFICATIONS_DAYS, most: int = MOST_ROWS
) -> int:
    """Delete what was settled more than `days` ago among the oldest `most` notifications; returns how many."""
    return (await connection.execute(_EXPIRE_NOTIFICATIONS, {"days": days, "most": most})).rowcount


async def forget_epochs(connection: AsyncConnection, *, most: int = MOST_ROWS) -> int:
    """Delete offsets and cursors of epochs that are over, expired and read by every shard; returns how many epochs."""
    return (await connection.execute(_FORGET_EPOCHS, {"most": most})).rowcount
