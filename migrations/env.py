"""Run by Alembic inside `service.storage.migrate`, which hands over an open connection and owns its transaction."""

from __future__ import annotations

from alembic import context

from service.storage.tables import metadata

connection = context.config.attributes.get("connection")
if connection is None:
    raise RuntimeError("migrations run through `upheld migrate` (service.storage.migrate), which opens the connection")

context.configure(connection=connection, target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
