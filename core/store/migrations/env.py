"""Run by alembic: applies the steps on the connection, within the transaction, that store.database hands over."""

from alembic import context
from compresslab.store.migrations import VERSION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=VERSION_TABLE)
context.run_migrations()
