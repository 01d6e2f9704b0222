"""What tells a worker's process from a later one of its number, and when who waits for a live job last said so."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    op.add_column("workers", sa.Column("process", sa.String(128), nullable=False, server_default=""))
    op.add_column("jobs", sa.Column("renewed", sa.Float))
