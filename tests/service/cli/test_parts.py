"""Parts as commands: what they say and leave with where they cannot begin."""

from __future__ import annotations

import pytest

from tests.service.cli.conftest import Command

AWAY = "postgresql://upheld:s3cret@127.0.0.1:9/upheld"


@pytest.mark.parametrize("part", ["ingest", "evaluate", "deliver", "serve", "run"])
def test_a_part_that_starts_while_the_database_is_away_leaves_with_exit_code_3(upheld: Command, part: str) -> None:
    """Whoever started it starts it again; the address is named, its password is not."""
    done = upheld(part, UPHELD_DATABASE_URL=AWAY, UPHELD_KAFKA_BOOTSTRAP_SERVERS="127.0.0.1:9", UPHELD_METRICS_PORT="0")
    assert done.code == 3
    assert "127.0.0.1:9/upheld is away" in done.err
    assert "s3cret" not in done.out + done.err
